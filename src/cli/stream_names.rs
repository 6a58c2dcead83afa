//! Abbreviated lists of stream names.

use std::collections::BTreeMap;

/// Up to this number, names are listed in full.
const MAX_LISTED: usize = 3;

/// `accuracy_* (13), documents`: many names are grouped by their first word.
pub fn abbreviated<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.len() <= MAX_LISTED {
        return names.join(", ");
    }
    let mut words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        words.entry(name.split('_').next().unwrap_or(name)).or_default().push(name);
    }
    let short = words.into_iter().map(|(word, names)| match names.as_slice() {
        [name] => (*name).to_owned(),
        names => format!("{word}_* ({})", names.len()),
    });
    short.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_grouped_by_first_word() {
        assert_eq!(abbreviated(["b_1", "a_1", "a_1"]), "a_1, b_1");
        assert_eq!(abbreviated(["b_1", "a_1", "a_2", "c", "a_3"]), "a_* (3), b_1, c");
    }
}
