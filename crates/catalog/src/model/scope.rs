//! The objects of an account that a request is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An object of the account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Named {
    /// Stable; a host name for domains.
    pub id: String,
    /// May contain anything, and may change.
    pub name: String,
}

/// The objects a stream is requested for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// One request for everything the key can access.
    Account,
    Organization,
    Category,
    /// By default only assets that the customer owns.
    CategoryAsset,
    Domain,
}

impl ScopeKind {
    pub fn describe(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Organization => "organization",
            Self::Category => "category",
            Self::CategoryAsset => "category x asset",
            Self::Domain => "domain",
        }
    }

    /// In the order of paths.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopePart {
    Organization,
    Category,
    Asset,
    Domain,
}

impl ScopePart {
    pub const ALL: [Self; 4] = [Self::Organization, Self::Category, Self::Asset, Self::Domain];

    /// As in `category=<id>`.
    pub fn path_key(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Category => "category",
            Self::Asset => "asset",
            Self::Domain => "domain",
        }
    }

    /// The columns for id and name; a domain has no id.
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

/// The objects one request is about; none means the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Named>,
    /// Id and name are the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Named>,
}

impl Scope {
    pub fn part(&self, part: ScopePart) -> Option<&Named> {
        match part {
            ScopePart::Organization => self.organization.as_ref(),
            ScopePart::Category => self.category.as_ref(),
            ScopePart::Asset => self.asset.as_ref(),
            ScopePart::Domain => self.domain.as_ref(),
        }
    }

    pub fn part_mut(&mut self, part: ScopePart) -> &mut Option<Named> {
        match part {
            ScopePart::Organization => &mut self.organization,
            ScopePart::Category => &mut self.category,
            ScopePart::Asset => &mut self.asset,
            ScopePart::Domain => &mut self.domain,
        }
    }

    /// In the order of paths.
    pub fn parts(&self) -> impl Iterator<Item = (ScopePart, &Named)> {
        ScopePart::ALL.into_iter().filter_map(|part| self.part(part).map(|named| (part, named)))
    }

    /// Made of ids alone, so that a renamed category stays the same scope.
    pub fn key(&self) -> ScopeKey {
        let parts: Vec<_> = self
            .parts()
            .map(|(part, named)| format!("{}={}", part.path_key(), named.id.replace('%', "%25").replace('/', "%2F")))
            .collect();
        ScopeKey(parts.join("/").into())
    }

    /// `Acme CRM / Acme`; `the account` if there are no parts.
    pub fn names(&self) -> String {
        self.join_names(|name| name.to_owned())
    }

    fn join_names(&self, show: impl Fn(&str) -> String) -> String {
        // Two organizations may have the same domain, so both parts are named.
        let names: Vec<String> = self.parts().map(|(_, named)| show(&named.name)).collect();
        if names.is_empty() { "the account".to_owned() } else { names.join(" / ") }
    }
}

impl fmt::Display for Scope {
    /// `"Acme CRM" / "Acme"`; `the account` if there are no parts.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.join_names(|name| format!("{name:?}")))
    }
}

/// `category=<id>/asset=<id>`; empty for the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeKey(Box<str>);

impl ScopeKey {
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
