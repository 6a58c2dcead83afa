//! All paths of data files: built and parsed here and nowhere else. The ledger and the destination name their own objects.
//!
//! ```text
//! <stream>/category=<id>/day=2026-11-21/data.parquet        partition = "day"
//! <stream>/category=<id>/month=2026-11/2026-11-21.parquet   partition = "month"
//! <stream>/category=<id>/2026-11-21.parquet                 partition = "none"
//! <stream>/category=<id>/month=2026-11/data.parquet         totals of a month, partition = "day" or "month"
//! <stream>/category=<id>/2026-11.parquet                    totals of a month, partition = "none"
//! <stream>/category=<id>/data.parquet                       lists, whatever the partition
//! ```

use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::config::Partition;
use crate::model::day::Day;
use crate::model::scope::{Named, Scope, ScopePart};
use crate::model::stream::{DaysKind, Stream};

const LIST_FILE: &str = "data.parquet";
const FILE_SUFFIX: &str = ".parquet";
/// Longer values are hashed: some file systems limit names to 255 bytes.
const MAX_VALUE_BYTES: usize = 120;
const HASH_DIGITS: usize = 32;

/// The layout of the files of a lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub partition: Partition,
}

/// A parsed path of a data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPath {
    pub stream: String,
    /// The parts of the scope as they appear in the path: an id, or `h-` and a hash.
    pub scope: Vec<(ScopePart, String)>,
    /// The day, or the first day of the month; `None` for lists.
    pub day: Option<Day>,
    /// Whether the rows are totals of a whole month.
    pub month: bool,
}

impl DataPath {
    /// Whether the path is one of a scope whose `part` is `id`.
    pub fn has_part(&self, part: ScopePart, id: &str) -> bool {
        self.scope.iter().any(|(of, value)| *of == part && *value == path_value(id))
    }

    /// The scope, with ids as names; `None` if an id is hashed.
    pub fn scope(&self) -> Option<Scope> {
        let mut scope = Scope::default();
        for (part, id) in &self.scope {
            let named = self.has_part(*part, id).then(|| Named { id: id.clone(), name: id.clone() })?;
            *scope.part_mut(*part) = Some(named);
        }
        Some(scope)
    }
}

impl Layout {
    pub const ALL: [Self; 3] =
        [Self { partition: Partition::Day }, Self { partition: Partition::Month }, Self { partition: Partition::None }];

    /// Whether `path` is that of a data file in any layout.
    pub fn is_data_file(path: &Path) -> bool {
        Self::ALL.into_iter().any(|layout| layout.parse(path).is_some())
    }

    /// By the name in the ledger.
    pub fn from_name(partition: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == partition)
    }

    /// The name in the ledger.
    pub fn name(self) -> &'static str {
        match self.partition {
            Partition::Day => "day",
            Partition::Month => "month",
            Partition::None => "none",
        }
    }

    /// The path of the file for `day`, or for the month that begins with it.
    pub fn path_for(self, stream: &Stream, scope: &Scope, day: Option<Day>) -> Path {
        let month = stream.days.as_ref().is_some_and(|days| days.kind == DaysKind::Month);
        self.built(&stream.name, scope, day, month)
    }

    /// The path for `day` of the table called `name`, whose stream this version may not know.
    pub fn path_in(self, stream: Option<&Stream>, name: &str, scope: &Scope, day: Option<Day>) -> Path {
        stream.map_or_else(|| self.data_path(name, scope, day), |stream| self.path_for(stream, scope, day))
    }

    /// The path for `day` of a stream that this version may not know, and whose rows are of single days.
    pub fn data_path(self, stream: &str, scope: &Scope, day: Option<Day>) -> Path {
        self.built(stream, scope, day, false)
    }

    fn built(self, stream: &str, scope: &Scope, day: Option<Day>, month: bool) -> Path {
        let scope = scope.parts().map(|(part, named)| (part, path_value(&named.id))).collect();
        self.path_of(&DataPath { stream: stream.to_owned(), scope, day, month })
    }

    pub fn path_of(self, file: &DataPath) -> Path {
        let mut parts = vec![file.stream.clone()];
        parts.extend(file.scope.iter().map(|(part, value)| format!("{}={value}", part.path_key())));
        match (file.day, self.partition) {
            (None, _) => parts.push(LIST_FILE.to_owned()),
            (Some(first), Partition::None) if file.month => parts.push(format!("{}{FILE_SUFFIX}", first.month())),
            (Some(first), _) if file.month => {
                parts.extend([format!("month={}", first.month()), LIST_FILE.to_owned()]);
            }
            (Some(day), Partition::Day) => parts.extend([format!("day={day}"), LIST_FILE.to_owned()]),
            (Some(day), Partition::Month) => {
                parts.extend([format!("month={}", day.month()), format!("{day}{FILE_SUFFIX}")])
            }
            (Some(day), Partition::None) => parts.push(format!("{day}{FILE_SUFFIX}")),
        }
        parts.into_iter().collect()
    }

    /// The path of a file of a table that engines scan, from the directory of the table: `category_id=<id>/month=2026-11/<name>`.
    pub fn scanned_path<'a>(partition: impl Iterator<Item = (&'a str, &'a str)>, name: &str) -> Path {
        let directories = partition.map(|(column, value)| format!("{column}={}", path_value(value)));
        directories.chain([name.to_owned()]).collect()
    }

    pub fn directory(stream: &str) -> Path {
        Path::from_iter([stream])
    }

    /// Keys and values of the directories of a data file, such as `category` and an id.
    pub fn directories(path: &Path) -> Vec<(String, String)> {
        let parts = path.parts().filter_map(|part| {
            let (key, value) = part.as_ref().split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        });
        parts.collect()
    }

    /// `None` if this layout has no such path.
    pub fn parse(self, path: &Path) -> Option<DataPath> {
        let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let (stream, rest) = parts.split_first()?;
        let (file, directories) = rest.split_last()?;
        let mut scope: Vec<(ScopePart, String)> = Vec::new();
        let name = file.strip_suffix(FILE_SUFFIX)?;
        let first_of = |month: &str| format!("{month}-01").parse::<Day>().ok();
        let mut month = first_of(name);
        let mut day: Option<Day> = name.parse().ok().or(month);
        for directory in directories {
            let (key, value) = directory.split_once('=')?;
            match ScopePart::ALL.into_iter().find(|part| part.path_key() == key) {
                // Each part once and in order.
                Some(part) if scope.last().is_some_and(|(before, _)| part <= *before) || !is_path_value(value) => {
                    return None;
                }
                Some(part) => scope.push((part, value.to_owned())),
                None if key == "day" => day = Some(value.parse().ok()?),
                None if key == "month" && file == LIST_FILE => {
                    month = first_of(value);
                    day = month;
                }
                None => {}
            }
        }
        let parsed = DataPath { stream: stream.clone(), scope, day, month: month.is_some() };
        // Every other part of the path must be what this layout would write.
        (self.path_of(&parsed) == *path).then_some(parsed)
    }
}

/// `id` if it is safe on every file system, else `h-` and the first digits of its SHA-256. Capital letters are not safe: on a disk that
/// ignores case, two ids would share a directory.
fn path_value(id: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    let plain = (1..=MAX_VALUE_BYTES).contains(&id.len())
        && id.bytes().all(safe)
        && id.as_bytes()[0].is_ascii_alphanumeric()
        && !looks_hashed(id);
    if plain {
        return id.to_owned();
    }
    let digest = Sha256::digest(id.as_bytes());
    format!("h-{}", &const_hex::encode(digest)[..HASH_DIGITS])
}

/// Whether some id has this path value.
fn is_path_value(value: &str) -> bool {
    let is_lower = !value.bytes().any(|byte| byte.is_ascii_uppercase());
    path_value(value) == value || (looks_hashed(value) && is_lower)
}

/// Such ids are hashed too, so that no two ids share a path.
fn looks_hashed(id: &str) -> bool {
    id.strip_prefix("h-")
        .is_some_and(|digits| digits.len() == HASH_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::scope::Named;

    fn scope(category: &str, asset: Option<&str>) -> Scope {
        let named = |id: &str| Named { id: id.into(), name: "any / name = 100 % 🫖".into() };
        Scope { category: Some(named(category)), asset: asset.map(named), ..Scope::default() }
    }

    fn day_of(text: &str) -> Option<Day> {
        text.parse().ok()
    }

    fn path(partition: Partition, day: Option<&str>) -> String {
        let day = day.map(|day| day.parse().unwrap());
        Layout { partition }.data_path("visibility_v2", &scope("0055737f-ccd7", None), day).to_string()
    }

    #[test]
    fn published_paths_do_not_change() {
        let day = Some("2026-11-21");
        assert_eq!(path(Partition::Day, day), "visibility_v2/category=0055737f-ccd7/day=2026-11-21/data.parquet");
        assert_eq!(
            path(Partition::Month, day),
            "visibility_v2/category=0055737f-ccd7/month=2026-11/2026-11-21.parquet"
        );
        assert_eq!(path(Partition::None, day), "visibility_v2/category=0055737f-ccd7/2026-11-21.parquet");
        assert_eq!(path(Partition::Month, None), "visibility_v2/category=0055737f-ccd7/data.parquet");
        let month = |partition| {
            Layout { partition }.built("visibility_v2_month", &scope("c", None), day_of("2026-10-01"), true)
        };
        for (partition, expected) in [
            (Partition::Day, "visibility_v2_month/category=c/month=2026-10/data.parquet"),
            (Partition::Month, "visibility_v2_month/category=c/month=2026-10/data.parquet"),
            (Partition::None, "visibility_v2_month/category=c/2026-10.parquet"),
        ] {
            let path = month(partition);
            assert_eq!(path.to_string(), expected);
            let parsed = Layout { partition }.parse(&path).unwrap();
            assert_eq!((parsed.day, parsed.month), (day_of("2026-10-01"), true));
        }
        assert_ne!(path_value("Acme").to_lowercase(), path_value("acme"));
        assert_eq!(path_value("a/b"), "h-c14cddc033f64b9dea80ea675cf280a0");
    }

    #[test]
    fn paths_of_unmanaged_files_are_not_parsed() {
        let layout = Layout { partition: Partition::Day };
        for unmanaged in [
            "visibility_v2",
            "visibility_v2/part-0.parquet",
            "visibility_v2/category=1/day=2026-11-21/part-0.parquet",
            "visibility_v2/category=1/month=2026-11/2026-11-21.parquet",
            "visibility_v2/category=1/day=2026-13-01/data.parquet",
            "visibility_v2/colour=red/data.parquet",
            "visibility_v2/category=1/category=2/data.parquet",
            "visibility_v2/asset=1/category=2/data.parquet",
            "visibility_v2/category=/data.parquet",
            "visibility_v2/category=a b/data.parquet",
            "visibility_v2/category=h-1/asset=-1/data.parquet",
        ] {
            assert_eq!(layout.parse(&Path::from(unmanaged)), None, "{unmanaged}");
        }
    }

    /// Any id: of any characters, and of those that paths, disks and this module itself read otherwise than they stand.
    fn any_id() -> impl Strategy<Value = String> {
        const AWKWARD: [&str; 31] = [
            "",
            ".",
            "..",
            "-",
            "_",
            "a/b",
            "/",
            "//",
            "a\\b",
            "%",
            "%2F",
            "a%2Fb",
            "a=b",
            "category=a",
            "day=2026-11-21",
            "data.parquet",
            "2026-11-21",
            "h-",
            "h-c14cddc033f64b9dea80ea675cf280a0",
            "h-C14CDDC033F64B9DEA80EA675CF280A0",
            "h-c14cddc033f64b9dea80ea675cf280a",
            "CON",
            "a.",
            " a",
            "a ",
            "\0",
            "a\nb",
            "é",
            "e\u{301}",
            "\u{202e}a",
            "*?:<>|\"",
        ];
        prop_oneof![
            3 => any::<String>(),
            2 => "[a-zA-Z0-9._-]{0,200}",
            1 => "h-[0-9a-fA-F]{30,34}",
            2 => proptest::sample::select(&AWKWARD[..]).prop_map(str::to_owned),
            1 => (0_usize..400).prop_map(|length| "x".repeat(length)),
        ]
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        let part = || proptest::option::of(any_id().prop_map(|id| Named { id, name: "any / name = 100 % 🫖".into() }));
        let parts = (part(), part(), part(), part());
        parts.prop_map(|(organization, category, asset, domain)| Scope { organization, category, asset, domain })
    }

    /// The days of the years 0 to 9999, which is what four digits can say.
    const FOUR_DIGITS: std::ops::Range<i32> = -719_528..2_932_897;

    proptest! {
        #[test]
        fn paths_are_parsed_as_they_are_written(scope in any_scope(), days in FOUR_DIGITS, month in any::<bool>()) {
            let first = Day::from_epoch_days(days).first_of_month();
            for layout in Layout::ALL {
                for (day, month) in [(None, false), (Some(Day::from_epoch_days(days)), false), (Some(first), month)] {
                    let path = layout.built("prompts", &scope, day, month);
                    let parsed = layout.parse(&path).unwrap();
                    let expected = scope.parts().map(|(part, named)| (part, path_value(&named.id))).collect();
                    prop_assert_eq!(&parsed, &DataPath { stream: "prompts".into(), scope: expected, day, month });
                    prop_assert!(scope.parts().all(|(part, named)| parsed.has_part(part, &named.id)));
                    prop_assert!(path.parts().all(|step| step.as_ref().len() <= 255), "no disk takes {}", path);
                    // Stores and readers take it apart as it was put together.
                    prop_assert_eq!(Path::parse(path.as_ref()).unwrap(), path);
                }
            }
        }

        #[test]
        fn no_two_scopes_share_a_path(one in any_scope(), two in any_scope(), part in 0_usize..4, id in any_id()) {
            let mut alike = one.clone();
            let place = [&mut alike.organization, &mut alike.category, &mut alike.asset, &mut alike.domain];
            *place.into_iter().nth(part).unwrap() = Some(Named { id, name: String::new() });
            let ids = |scope: &Scope| scope.parts().map(|(part, named)| (part, named.id.clone())).collect::<Vec<_>>();
            let path = |scope: &Scope| Layout::ALL[0].data_path("prompts", scope, None);
            for other in [&two, &alike] {
                prop_assert_eq!(ids(&one) == ids(other), path(&one) == path(other));
                prop_assert_eq!(ids(&one) == ids(other), one.key() == other.key());
            }
        }

        #[test]
        fn no_two_ids_share_a_path_on_a_disk_that_ignores_case(one in any_id(), two in any_id()) {
            prop_assert_eq!(one == two, path_value(&one).eq_ignore_ascii_case(&path_value(&two)));
            // Not even the id that looks like what another one is written as.
            prop_assert_eq!(path_value(&path_value(&one)) == path_value(&one), path_value(&one) == one);
            prop_assert!(!path_value(&one).bytes().any(|byte| byte.is_ascii_uppercase()));
        }
    }
}
