//! What a data file says of itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::layout::DataPath;
use crate::model::column::Protect;
use crate::model::day::Day;
use crate::model::proof::Proof;
use crate::model::scope::Scope;
use crate::write::Footer;

/// What the footer of a data file says.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFooter {
    pub stream: String,
    pub scope: Scope,
    /// First of the days asked for together, and the day after the last; none for lists, and for snapshots of them.
    pub window: Option<(Day, Day)>,
    /// The day, or the first of the month; none for lists, and in files of earlier versions.
    pub day: Option<Day>,
    /// When the request was sent.
    pub extracted_at: Timestamp,
    /// How the end was known.
    pub proof: Option<Proof>,
    /// Ids of the organizations of the key, and of the scope: those that are known to be of one account.
    pub organizations: BTreeSet<String>,
    /// The hash of what the table's request must always be; files of version 0.1.0 and before do not say it.
    pub request: Option<String>,
    /// Columns whose values were kept from the disk.
    pub protected: BTreeMap<String, Protect>,
    /// Tells the salt from another that texts were hashed with.
    pub salt: Option<String>,
}

impl FileFooter {
    /// What `footer` says; none where it is of no data file of the exporter's.
    pub fn parse(footer: &Footer) -> Option<Self> {
        let day = |name: &str| footer.get(name)?.parse::<Day>().ok();
        let scope: Scope = serde_json::from_str(footer.get("scope")?).ok()?;
        let told: Option<BTreeSet<String>> =
            footer.get("organizations").and_then(|organizations| serde_json::from_str(organizations).ok());
        let mut organizations = told.unwrap_or_default();
        organizations.extend(scope.organization.iter().map(|organization| organization.id.clone()));
        Some(Self {
            stream: footer.get("stream")?.clone(),
            window: day("window_start").zip(day("window_end")),
            day: day("day"),
            extracted_at: footer.get("extracted_at")?.parse().ok()?,
            proof: footer.get("proof").and_then(|proof| Proof::from_name(proof)),
            organizations,
            request: footer.get("request").cloned(),
            protected: footer
                .get("protected")
                .and_then(|protected| serde_json::from_str(protected).ok())
                .unwrap_or_default(),
            salt: footer.get("salt").cloned(),
            scope,
        })
    }

    /// What it says that does not belong where it lies, in words.
    pub fn contradicts(&self, path: &DataPath) -> Option<String> {
        if self.stream != path.stream {
            return Some(format!("it says that it is of stream `{}`", self.stream));
        }
        let is_its = self.scope.parts().all(|(part, named)| path.has_part(part, &named.id));
        if !is_its || self.scope.parts().count() != path.scope.len() {
            return Some(format!("it says that it is of {}", self.scope));
        }
        match (path.day, self.window) {
            _ if self.day.is_some_and(|day| path.day != Some(day)) => {
                Some(format!("it says that it is of {}", self.day?))
            }
            (Some(day), Some((start, end))) if day < start || end <= day => {
                Some(format!("it says that it is of {start} to {}", end.plus(-1)))
            }
            _ => None,
        }
    }
}
