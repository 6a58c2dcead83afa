//! Paths of a lake. The first line of an input is a path; those behind it are the ids of a scope.

use object_store::path::Path;

use super::{FuzzOutcome, FuzzTarget};
use profound_export::layout::Layout;
use profound_export::model::day::Day;
use profound_export::model::scope::{Named, Scope, ScopePart};

pub const TARGET: FuzzTarget =
    FuzzTarget { name: "paths", seeds: Vec::new, try_one, bytes: 1 << 20, bytes_per_byte: 64 };

/// Bytes of an input that are used.
const MAX_BYTES: usize = 4096;

fn try_one(input: &[u8]) -> FuzzOutcome {
    // Every id is hashed some dozen times, and longer ones find no further outcomes.
    let input = &input[..input.len().min(MAX_BYTES)];
    let text = String::from_utf8_lossy(input);
    let (path, ids) = text.split_once('\n').unwrap_or((&text, ""));
    let mut parsed_by = Vec::new();
    for path in [Some(Path::from(path)), Path::parse(path).ok()].into_iter().flatten() {
        for layout in Layout::ALL {
            if let Some(file) = layout.parse(&path) {
                assert_eq!(layout.path_of(&file), path, "the path changes");
                parsed_by.push((layout.partition as u8, file.scope.len(), file.day.is_some(), file.month));
            }
        }
    }
    let mut ids = ids.split('\n');
    let mut named = || ids.next().map(|id| Named { id: id.to_owned(), name: id.to_owned() });
    let scope = Scope { organization: named(), category: named(), asset: named(), domain: named() };
    let days = input.iter().fold(0_i32, |days, byte| days.wrapping_mul(31).wrapping_add(i32::from(*byte)));
    // Years of four digits: rows and requests have no others.
    let day = (days % 3 != 0).then(|| Day::from_epoch_days(-719_528 + (days / 3).rem_euclid(3_652_425)));
    assert_inverse(&scope, day);
    // A similar scope: one character of an id is removed or doubled.
    for part in ScopePart::ALL {
        if let Some(id) = scope.part(part).map(|named| named.id.clone()) {
            let shorter: String = id.chars().skip(1).collect();
            for other in [format!("{id}{id}"), shorter, format!("h-{id}"), id.to_uppercase(), id.replace('/', "%2F")] {
                assert_apart(&scope, &with(&scope, part, &other));
            }
        }
    }
    FuzzOutcome::new((parsed_by, scope.parts().map(|(_, named)| named.id.len().min(130) / 40).collect::<Vec<_>>()))
}

fn with(scope: &Scope, part: ScopePart, id: &str) -> Scope {
    let mut other = scope.clone();
    let place = match part {
        ScopePart::Organization => &mut other.organization,
        ScopePart::Category => &mut other.category,
        ScopePart::Asset => &mut other.asset,
        ScopePart::Domain => &mut other.domain,
    };
    *place = Some(Named { id: id.to_owned(), name: String::new() });
    other
}

/// A path is parsed back to its scope and day, and no other layout parses it unless both build the same one.
fn assert_inverse(scope: &Scope, day: Option<Day>) {
    for layout in Layout::ALL {
        let path = layout.data_path("prompts", scope, day);
        let file = layout.parse(&path).unwrap_or_else(|| panic!("`{path}` cannot be read back"));
        assert_eq!((file.stream.as_str(), file.day, file.month), ("prompts", day, false));
        assert_eq!(file.scope.len(), scope.parts().count());
        assert!(scope.parts().all(|(part, named)| file.has_part(part, &named.id)), "`{path}` has other ids");
        assert_eq!(layout.path_of(&file), path);
        assert!(path.parts().all(|part| part.as_ref().len() <= 255), "`{path}` is too long for a disk");
        for other in Layout::ALL.into_iter().filter(|other| *other != layout) {
            assert_eq!(other.parse(&path).is_some(), day.is_none(), "`{path}` is of two layouts");
        }
    }
}

/// Two scopes share a path or a key only if they are equal.
fn assert_apart(one: &Scope, two: &Scope) {
    let same =
        one.parts().map(|(part, named)| (part, &named.id)).eq(two.parts().map(|(part, named)| (part, &named.id)));
    let path = |scope: &Scope| Layout::ALL[0].data_path("prompts", scope, None);
    assert_eq!(path(one) == path(two), same, "{one:?} and {two:?} share a path");
    assert_eq!(one.key() == two.key(), same, "{one:?} and {two:?} share a key");
}
