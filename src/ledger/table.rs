//! The meaning of a table, so that rows of another meaning are not written into it by mistake.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::column::Protect;
use crate::model::stream::Stream;

/// Members of a request body that only choose columns. Columns are compared separately.
const COLUMN_CHOICES: [&str; 2] = ["include", "metrics"];

/// The meaning of a table: its request, key and columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeaning {
    /// Hash of what must never change: path, grain, scope, days and key.
    pub request: String,
    /// Types by name.
    pub columns: BTreeMap<String, String>,
    /// Dropped and hashed columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub protected: BTreeMap<String, Protect>,
}

impl TableMeaning {
    pub fn from_stream(stream: &Stream) -> Self {
        let mut body = stream.body.clone();
        COLUMN_CHOICES.iter().for_each(|choice| {
            body.remove(*choice);
        });
        // Sorted, so that the order of a declaration does not matter.
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
        // Only if declared, so that tables of older declarations keep their fingerprint.
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

    /// A digest of the whole meaning, part of every slice record.
    pub fn fingerprint(&self) -> String {
        digest(&json!(self).to_string())
    }

    /// Why rows of meaning `now` do not fit a table of this meaning; `None` if they fit. Columns may be added: they are null in older
    /// rows.
    pub fn conflict(&self, now: &Self) -> Option<String> {
        if self.request != now.request {
            return Some("its request, grain, scope or key differs from that of the published rows".into());
        }
        let of_columns = self.columns.iter().find_map(|(name, before)| match now.columns.get(name) {
            None => Some(format!("column `{name}` was removed")),
            Some(after) if after != before => Some(format!("column `{name}` was {before} and is now {after}")),
            Some(_) => None,
        });
        of_columns.or_else(|| {
            let done = |protect: Option<&Protect>| protect.map_or("unprotected", |protect| protect.past_tense());
            self.columns.keys().find_map(|name| {
                let (before, after) = (self.protected.get(name), now.protected.get(name));
                let message = || format!("column `{name}` was {} and is now to be {}", done(before), done(after));
                (before != after).then(message)
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
    fn only_added_columns_keep_the_meaning() {
        let before = TableMeaning::from_stream(&visibility());
        let mut longer = visibility();
        let mut column = longer.columns[2].clone();
        column.name = "added".into();
        longer.columns.push(column);
        longer.body.insert("metrics".into(), json!(["visibility_score", "added"]));
        assert_eq!(before.conflict(&TableMeaning::from_stream(&longer)), None);
        assert_eq!(TableMeaning::from_stream(&longer).conflict(&before).as_deref(), Some("column `added` was removed"));

        let mut grain = visibility();
        grain.body.insert("group_by".into(), json!(["date"]));
        assert!(before.conflict(&TableMeaning::from_stream(&grain)).unwrap().contains("request, grain"));

        let mut retyped = visibility();
        retyped.columns[0].data_type = "utf8".parse().unwrap();
        assert_eq!(
            before.conflict(&TableMeaning::from_stream(&retyped)).as_deref(),
            Some("column `date` was date and is now utf8")
        );
    }

    #[test]
    fn protection_is_part_of_the_meaning() {
        let before = TableMeaning::from_stream(&visibility());
        let protected = |protect| Stream { protect: [("asset".to_owned(), protect)].into(), ..visibility() };
        let dropped = TableMeaning::from_stream(&protected(Protect::Drop));
        assert_ne!(before.fingerprint(), dropped.fingerprint());
        let conflict = before.conflict(&dropped).unwrap();
        assert_eq!(conflict, "column `asset` was unprotected and is now to be dropped");
        let conflict = dropped.conflict(&TableMeaning::from_stream(&protected(Protect::Hash))).unwrap();
        assert_eq!(conflict, "column `asset` was dropped and is now to be hashed");
        assert_eq!(dropped.conflict(&dropped), None);
        let read: TableMeaning = serde_json::from_str(r#"{"request": "x", "columns": {}}"#).unwrap();
        assert!(read.protected.is_empty() && !serde_json::to_string(&read).unwrap().contains("protected"));
    }

    #[test]
    fn descriptions_are_not_part_of_the_meaning() {
        let mut reworded = visibility();
        reworded.about = "other words".into();
        reworded.columns[0].about = "other words".into();
        assert_eq!(TableMeaning::from_stream(&visibility()), TableMeaning::from_stream(&reworded));
    }

    #[test]
    fn stored_fingerprints_do_not_change() {
        let catalog = Catalog::embedded().unwrap();
        let fingerprints: Vec<String> = catalog
            .streams()
            .map(|stream| format!("{} {}", stream.name, TableMeaning::from_stream(stream).fingerprint()))
            .collect();
        insta::assert_snapshot!(fingerprints.join("\n"));
    }
}
