//! Many names of streams in few words.

use std::collections::BTreeMap;

/// Up to so many names are written out.
const WRITTEN_OUT: usize = 3;

/// `accuracy_* (13), documents`: names that begin with the same word together, where there are many.
pub fn abbreviated<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.len() <= WRITTEN_OUT {
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
    fn many_names_are_told_by_their_first_words() {
        assert_eq!(abbreviated(["b_1", "a_1", "a_1"]), "a_1, b_1");
        assert_eq!(abbreviated(["b_1", "a_1", "a_2", "c", "a_3"]), "a_* (3), b_1, c");
    }
}
