//! What a table means, so that no other meaning is written into it by mistake.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::column::Protect;
use crate::model::stream::Stream;

/// Members of a body that only choose columns, which are compared by themselves.
const COLUMN_CHOICES: [&str; 2] = ["include", "metrics"];

/// What a table means: the request behind it, its key, and its columns with their types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeaning {
    /// Hash of everything that must never change: path, grain, scope, days and key.
    pub request: String,
    /// Type of each column.
    pub columns: BTreeMap<String, String>,
    /// Columns whose values are kept from the disk, and how.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protected: BTreeMap<String, Protect>,
}

impl TableMeaning {
    /// What the table of `stream` means.
    pub fn of(stream: &Stream) -> Self {
        let mut body = stream.body.clone();
        COLUMN_CHOICES.iter().for_each(|choice| {
            body.remove(*choice);
        });
        // Sorted, so that the order in which a declaration is written does not count.
        let body: BTreeMap<String, serde_json::Value> = body.into_iter().collect();
        let zone = stream.days.as_ref().map(|days| (days.zone, days.column.clone()));
        let mut request = json!({
            "request": stream.request,
            "query": stream.query,
            "body": body,
            "scope": stream.scope,
            "days": zone,
            "key": stream.key,
        });
        // Told only where they are said, so that tables from before they could be said keep their meaning.
        if let Some(days) = stream.days.as_ref().filter(|days| days.kind.is_single()) {
            request["kind"] = json!(days.kind);
        }
        if let Some(parent) = &stream.parent {
            request["parent"] = json!({"stream": parent.stream, "bind": parent.bind, "variants": parent.variants});
        }
        if !stream.parameters.is_empty() {
            request["parameters"] = json!(stream.parameters);
        }
        let columns = stream.columns.iter().map(|column| (column.name.clone(), column.data_type.to_string())).collect();
        Self { request: digest(&request.to_string()), columns, protected: stream.protect.clone() }
    }

    /// One short text for all of it, which stands in every record of a slice.
    pub fn fingerprint(&self) -> String {
        digest(&json!(self).to_string())
    }

    /// What would break if rows of meaning `now` went into a table of this meaning, in words; `None` when nothing
    /// would. Columns may be added: they are null where they were not asked for.
    pub fn conflict(&self, now: &Self) -> Option<String> {
        if self.request != now.request {
            return Some("it asks another request, grain, scope or key than the rows already there".into());
        }
        let of_columns = self.columns.iter().find_map(|(name, before)| match now.columns.get(name) {
            None => Some(format!("column `{name}` is gone")),
            Some(after) if after != before => Some(format!("column `{name}` was {before} and is now {after}")),
            Some(_) => None,
        });
        of_columns.or_else(|| {
            let done = |protect: Option<&Protect>| protect.map_or("kept as it came", |protect| protect.past_tense());
            self.columns.keys().find_map(|name| {
                let (before, after) = (self.protected.get(name), now.protected.get(name));
                let words = || format!("column `{name}` was {} and is now to be {}", done(before), done(after));
                (before != after).then(words)
            })
        })
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    const_hex::encode(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn visibility() -> Stream {
        Stream::clone(Catalog::embedded().unwrap().get("visibility_v2").unwrap())
    }

    #[test]
    fn added_column_keeps_the_meaning_and_any_other_change_does_not() {
        let before = TableMeaning::of(&visibility());
        let mut longer = visibility();
        let mut column = longer.columns[2].clone();
        column.name = "added".into();
        longer.columns.push(column);
        longer.body.insert("metrics".into(), json!(["visibility_score", "added"]));
        assert_eq!(before.conflict(&TableMeaning::of(&longer)), None);
        assert_eq!(TableMeaning::of(&longer).conflict(&before).as_deref(), Some("column `added` is gone"));

        let mut grain = visibility();
        grain.body.insert("group_by".into(), json!(["date"]));
        assert!(before.conflict(&TableMeaning::of(&grain)).unwrap().contains("another request"));

        let mut retyped = visibility();
        retyped.columns[0].data_type = "utf8".parse().unwrap();
        assert_eq!(
            before.conflict(&TableMeaning::of(&retyped)).as_deref(),
            Some("column `date` was date and is now utf8")
        );
    }

    #[test]
    fn protection_is_part_of_what_a_table_means() {
        let before = TableMeaning::of(&visibility());
        let protected = |protect| Stream { protect: [("asset".to_owned(), protect)].into(), ..visibility() };
        let dropped = TableMeaning::of(&protected(Protect::Drop));
        assert_ne!(before.fingerprint(), dropped.fingerprint());
        let told = before.conflict(&dropped).unwrap();
        assert_eq!(told, "column `asset` was kept as it came and is now to be dropped");
        let told = dropped.conflict(&TableMeaning::of(&protected(Protect::Hash))).unwrap();
        assert_eq!(told, "column `asset` was dropped and is now to be hashed");
        assert_eq!(dropped.conflict(&dropped), None);
        let read: TableMeaning = serde_json::from_str(r#"{"request": "x", "columns": {}}"#).unwrap();
        assert!(read.protected.is_empty() && !serde_json::to_string(&read).unwrap().contains("protected"));
    }

    #[test]
    fn words_of_a_declaration_do_not_count() {
        let mut reworded = visibility();
        reworded.about = "other words".into();
        reworded.columns[0].about = "other words".into();
        assert_eq!(TableMeaning::of(&visibility()), TableMeaning::of(&reworded));
    }

    #[test]
    fn fingerprints_that_stand_in_ledgers_do_not_change() {
        let catalog = Catalog::embedded().unwrap();
        let fingerprints: Vec<String> = catalog
            .streams()
            .map(|stream| format!("{} {}", stream.name, TableMeaning::of(stream).fingerprint()))
            .collect();
        insta::assert_snapshot!(fingerprints.join("\n"));
    }
}
