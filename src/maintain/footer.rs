//! The footer that this program writes into data files.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::layout::DataPath;
use crate::model::column::Protect;
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::scope::Scope;
use crate::write::Footer;

/// A parsed footer.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFooter {
    pub stream: String,
    pub scope: Scope,
    /// The days of the request: the first, and the day after the last. `None` for lists and their snapshots.
    pub window: Option<(Day, Day)>,
    /// The day, or the first of the month; `None` for lists.
    pub day: Option<Day>,
    /// When the request was sent.
    pub extracted_at: Timestamp,
    /// The evidence that the rows are complete.
    pub proof: Option<Proof>,
    /// Ids of the organizations of the key and of the scope, which belong to one account.
    pub organizations: BTreeSet<String>,
    /// The digest of the table's request.
    pub request: String,
    /// Columns that were dropped or hashed.
    pub protected: BTreeMap<String, Protect>,
    /// The fingerprint of the salt, if texts were hashed.
    pub salt: Option<String>,
}

impl FileFooter {
    /// `None` if this program did not write `footer`.
    pub fn parse(footer: &Footer) -> Option<Self> {
        fn json<T: DeserializeOwned>(footer: &Footer, name: &str) -> Option<T> {
            serde_json::from_str(footer.get(name)?).ok()
        }
        let day = |name: &str| footer.get(name)?.parse::<Day>().ok();
        let scope: Scope = json(footer, "scope")?;
        let mut organizations: BTreeSet<String> = json(footer, "organizations").unwrap_or_default();
        organizations.extend(scope.organization.iter().map(|organization| organization.id.clone()));
        Some(Self {
            stream: footer.get("stream")?.clone(),
            window: day("window_start").zip(day("window_end")),
            day: day("day"),
            extracted_at: footer.get("extracted_at")?.parse().ok()?,
            proof: footer.get("proof").and_then(|proof| Proof::from_name(proof)),
            organizations,
            request: footer.get("request")?.clone(),
            protected: json(footer, "protected").unwrap_or_default(),
            salt: footer.get("salt").cloned(),
            scope,
        })
    }

    /// Why the file does not belong at `path`; `None` if it does. A renamed scope, and a request of more days, are no contradiction.
    pub fn contradiction(&self, path: &DataPath) -> Option<String> {
        if self.stream != path.stream {
            return Some(format!("its footer names stream `{}`", self.stream));
        }
        let is_scope = self.scope.parts().all(|(part, named)| path.has_part(part, &named.id));
        if !is_scope || self.scope.parts().count() != path.scope.len() {
            return Some(format!("its footer names {}", self.scope));
        }
        match (path.day, self.window) {
            _ if self.day.is_some_and(|day| path.day != Some(day)) => Some(format!("its footer names {}", self.day?)),
            (Some(day), Some((start, end))) if day < start || end <= day => {
                Some(format!("its footer names {start} to {}", end.plus(-1)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Partition;
    use crate::layout::Layout;

    fn footer(pairs: &[(&str, &str)]) -> FileFooter {
        let own = [
            ("stream", "visibility_v2"),
            ("scope", r#"{"category":{"id":"c","name":"Tea"}}"#),
            ("extracted_at", "2026-03-10T00:00:00Z"),
            ("request", "1"),
        ];
        let pairs = own.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        FileFooter::parse(&pairs.collect()).unwrap()
    }

    #[test]
    fn renamed_category_and_longer_request_are_no_contradiction() {
        let path = "visibility_v2/category=c/day=2026-03-08/data.parquet".into();
        let path = Layout { partition: Partition::Day }.parse(&path).unwrap();
        let scope = r#"{"category":{"id":"c","name":"Coffee"}}"#;
        let sound = footer(&[("scope", scope), ("window_start", "2026-03-01"), ("window_end", "2026-03-09")]);
        assert_eq!(sound.contradiction(&path), None);
        for (pairs, problem) in [
            (vec![("stream", "other")], "its footer names stream `other`"),
            (vec![("scope", r#"{"category":{"id":"d","name":"Tea"}}"#)], "its footer names \"Tea\""),
            (
                vec![("window_start", "2026-03-01"), ("window_end", "2026-03-08")],
                "its footer names 2026-03-01 to 2026-03-07",
            ),
            (vec![("day", "2026-03-07")], "its footer names 2026-03-07"),
        ] {
            let found = footer(&pairs).contradiction(&path).unwrap();
            assert!(found.starts_with(problem), "{found}");
        }
    }
}
