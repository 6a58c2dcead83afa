//! The accounts whose files are in a lake.

use std::collections::BTreeSet;

use object_store::path::Path;

use crate::maintain::error::MaintainError;
use crate::model::format::format_number;

/// Ids of organizations.
pub type Organizations = BTreeSet<String>;

/// Decides which files belong to the account of the lake.
pub struct Accounts {
    /// Empty if the account is not known beforehand.
    known: Organizations,
    found: Vec<FoundAccount>,
}

struct FoundAccount {
    /// Organizations that files name together.
    organizations: Organizations,
    files: u64,
    example: String,
}

impl Accounts {
    pub fn new(known: Organizations) -> Self {
        Self { known, found: Vec::new() }
    }

    /// Whether a file that names `organizations` may belong to the lake.
    pub fn admit(&mut self, organizations: &Organizations, path: &Path) -> bool {
        if organizations.is_empty() {
            return true;
        }
        if !self.known.is_empty() {
            return !self.known.is_disjoint(organizations);
        }
        // Organizations in one file belong to one account, so accounts that share one are the same.
        let same = |account: &FoundAccount| !account.organizations.is_disjoint(organizations);
        let mut account = FoundAccount { organizations: organizations.clone(), files: 1, example: path.to_string() };
        for joined in self.found.extract_if(.., |found| same(found)) {
            account.organizations.extend(joined.organizations);
            account.files += joined.files;
            account.example = joined.example;
        }
        self.found.push(account);
        true
    }

    /// The organizations of the one account whose files were admitted.
    ///
    /// # Errors
    /// [`MaintainError::Rejected`] if there are several accounts.
    pub fn only(&self) -> Result<Organizations, MaintainError> {
        match self.found.as_slice() {
            [] => Ok(Organizations::new()),
            [account] => Ok(account.organizations.clone()),
            several => {
                let list = several.iter().map(|account| {
                    let FoundAccount { organizations, files, example } = account;
                    format!("{} of organizations {} (such as {example})", format_number(*files), joined(organizations))
                });
                Err(MaintainError::Rejected {
                    problem: format!("the lake has files of several accounts: {}", list.collect::<Vec<_>>().join("; ")),
                    hint: "name the organizations of the lake with --organization ID; files of other accounts are reported and kept"
                        .into(),
                })
            }
        }
    }
}

/// `a, b`
pub fn joined(organizations: &Organizations) -> String {
    organizations.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
