//! What a stream is asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object of the account: its stable id, and the name it has today.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Named {
    /// The identifier; a host name for domains.
    pub id: String,
    /// The name people know it by. May hold anything, and may change.
    pub name: String,
}

/// Which objects of an account a stream is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// Once for everything the key may read.
    Account,
    /// Each organization.
    Organization,
    /// Each category.
    Category,
    /// Each category and asset; by default the assets the customer owns.
    CategoryAsset,
    /// Each organization and domain.
    Domain,
}

impl ScopeKind {
    /// In words, for tables and the reference.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Organization => "organization",
            Self::Category => "category",
            Self::CategoryAsset => "category x asset",
            Self::Domain => "domain",
        }
    }

    /// The parts that identify such a scope, in the order of its path.
    pub fn parts(self) -> &'static [ScopePart] {
        match self {
            Self::Account => &[],
            Self::Organization => &[ScopePart::Organization],
            Self::Category => &[ScopePart::Category],
            Self::CategoryAsset => &[ScopePart::Category, ScopePart::Asset],
            Self::Domain => &[ScopePart::Organization, ScopePart::Domain],
        }
    }
}

/// One object that helps to identify a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopePart {
    /// An organization, by itself or as the owner of a domain.
    Organization,
    /// A category.
    Category,
    /// An asset of a category.
    Asset,
    /// A domain of an organization.
    Domain,
}

impl ScopePart {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Organization, Self::Category, Self::Asset, Self::Domain];

    /// The name in paths: `category=<id>`.
    pub fn path_key(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Category => "category",
            Self::Asset => "asset",
            Self::Domain => "domain",
        }
    }

    /// The columns that say it in every row: the id's, when it has one, and the name's.
    pub fn columns(self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::Organization => (Some("organization_id"), "organization_name"),
            Self::Category => (Some("category_id"), "category_name"),
            Self::Asset => (Some("asset_id"), "asset_name"),
            // A domain is identified by its host name.
            Self::Domain => (None, "domain_name"),
        }
    }
}

/// The objects one request is about; all absent is the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The organization, by itself or for domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Named>,
    /// The category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Named>,
    /// The asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Named>,
    /// The domain: id and name are both its host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Named>,
}

impl Scope {
    /// The object that is `part` of this scope.
    pub fn part(&self, part: ScopePart) -> Option<&Named> {
        match part {
            ScopePart::Organization => self.organization.as_ref(),
            ScopePart::Category => self.category.as_ref(),
            ScopePart::Asset => self.asset.as_ref(),
            ScopePart::Domain => self.domain.as_ref(),
        }
    }

    /// The parts present, in the order of paths.
    pub fn parts(&self) -> impl Iterator<Item = (ScopePart, &Named)> {
        ScopePart::ALL.into_iter().filter_map(|part| self.part(part).map(|named| (part, named)))
    }

    /// Its identity, made of ids alone, so that a renamed category stays the same scope.
    pub fn key(&self) -> ScopeKey {
        let parts: Vec<_> = self
            .parts()
            .map(|(part, named)| format!("{}={}", part.path_key(), named.id.replace('%', "%25").replace('/', "%2F")))
            .collect();
        ScopeKey(parts.join("/").into())
    }
}

impl Scope {
    /// The names of its parts as they are: `Acme CRM / Acme`; `the account` when there is none.
    pub fn names(&self) -> String {
        self.join_names(|name| name.to_owned())
    }

    fn join_names(&self, show: impl Fn(&str) -> String) -> String {
        // Two organizations may hold the same domain, so both are named.
        let names: Vec<String> = self.parts().map(|(_, named)| show(&named.name)).collect();
        match names.is_empty() {
            true => "the account".to_owned(),
            false => names.join(" / "),
        }
    }
}

impl fmt::Display for Scope {
    /// The names of its parts, quoted: `"Acme CRM" / "Acme"`; `the account` when there is none.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.join_names(|name| format!("{name:?}")))
    }
}

/// The identity of a scope: `category=<id>/asset=<id>`, empty for the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeKey(Box<str>);

impl ScopeKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str, name: &str) -> Named {
        Named { id: id.into(), name: name.into() }
    }

    #[test]
    fn scope_keeps_its_identity_when_a_name_changes() {
        let before = Scope { category: Some(named("c1", "Tea")), ..Scope::default() };
        let after = Scope { category: Some(named("c1", "Tea / Coffee")), ..Scope::default() };
        assert_eq!(before.key(), after.key());
        assert_ne!(before.key(), Scope::default().key());
    }

    #[test]
    fn ids_with_slashes_do_not_collide_with_two_parts() {
        let one = Scope { category: Some(named("a/asset=b", "")), ..Scope::default() };
        let two = Scope { category: Some(named("a", "")), asset: Some(named("b", "")), ..Scope::default() };
        assert_ne!(one.key(), two.key());
    }
}
