//! What the simulated account holds, and how its API behaves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use catalog::model::day::Day;
use jiff::Timestamp;

/// Settings of a simulated account. The default is demo scale, on a free port of the loopback interface.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Two accounts with the same seed and settings hold the same data.
    pub seed: u64,
    pub key: String,
    /// The first category belongs to the first two organizations.
    pub organizations: usize,
    /// The last category has days without rows.
    pub categories: usize,
    /// The first two domains have the same host name, in two organizations where there are two.
    pub domains: usize,
    /// One asset of each category is owned; in the first category two are.
    pub assets_per_category: usize,
    /// Every seventh prompt is disabled.
    pub prompts_per_category: usize,
    /// What the simulated clock shows when the server starts; the real time if `None`.
    pub now: Option<Timestamp>,
    /// The first day with data; 400 days before the start if `None`.
    pub first_day: Option<Day>,
    /// Requests allowed in each period.
    pub requests_per_period: u32,
    /// Length of the fixed rate-limit windows.
    pub period: Duration,
    /// Requests that an event stream counts as; a page counts as one.
    pub event_cost: u32,
    /// Rows of each scope and day, by stream: exactly as many, except today. Other streams have a few dozen. Lists that
    /// are not metadata of the account have as many rows in each scope.
    pub rows_per_day: BTreeMap<String, u64>,
    /// Approximate length of an answer's text in bytes.
    pub answer_bytes: usize,
    /// Whether rows of version 1 event streams are named, with `{id, name}` references, as the published examples show;
    /// otherwise they are positional, as the published schema says.
    pub named_events: bool,
    /// Whether every list is wrapped in `{"data": [...]}`; otherwise only those that the published schema wraps.
    pub wrap_lists: bool,
    /// Whether positional values are listed in reverse alphabetical order. `info.query` announces the order either way.
    pub reverse_positions: bool,
    /// Whether `end_date` of a version 2 report is part of the result, as documented.
    pub inclusive_v2: bool,
    /// What `end_date` means where the catalog calls it undocumented.
    pub undocumented_end: UndocumentedEnd,
    /// Which categories have a product, by the gate stream that reports it. A product without an entry is everywhere.
    pub products: BTreeMap<String, ProductHolders>,
    /// The IANA zone that rows of ads name, and in which their days count.
    pub ads_zone: String,
}

/// What `end_date` means where no document says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndocumentedEnd {
    /// The last day.
    Inclusive,
    /// The day after the last; a window without a day has no rows.
    Empty,
    /// The day after the last; a window without a day is a 422.
    Rejected,
}

/// Which categories have a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductHolders {
    All,
    None,
    First,
    /// Every category but the last; if there is one category, it has the product.
    AllButLast,
    /// The categories at these positions.
    Only(BTreeSet<usize>),
}

impl ProductHolders {
    /// Whether the category at `index` of `count` has the product.
    pub fn contains(&self, index: usize, count: usize) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::First => index == 0,
            Self::AllButLast => index + 1 < count || count == 1,
            Self::Only(positions) => positions.contains(&index),
        }
    }
}

impl Default for Account {
    fn default() -> Self {
        let products = [
            ("accuracy_factcheck_setup_status", ProductHolders::AllButLast),
            ("shopping_trigger_rate_v2", ProductHolders::First),
            ("youtube_summary_v2", ProductHolders::First),
        ];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            key: "simulated-key".to_owned(),
            organizations: 2,
            categories: 3,
            domains: 2,
            assets_per_category: 4,
            prompts_per_category: 12,
            now: None,
            first_day: None,
            requests_per_period: 600,
            period: Duration::from_secs(3600),
            event_cost: 1,
            rows_per_day: BTreeMap::new(),
            answer_bytes: 1500,
            named_events: true,
            wrap_lists: false,
            reverse_positions: false,
            inclusive_v2: true,
            undocumented_end: UndocumentedEnd::Inclusive,
            products: products.map(|(gate, holders)| (gate.to_owned(), holders)).into(),
            ads_zone: "America/Los_Angeles".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_holders_are_counted_from_the_first_category() {
        let holders = |holders: ProductHolders, count| -> Vec<bool> {
            (0..count).map(|index| holders.contains(index, count)).collect()
        };
        assert_eq!(holders(ProductHolders::First, 3), [true, false, false]);
        assert_eq!(holders(ProductHolders::AllButLast, 3), [true, true, false]);
        assert_eq!(holders(ProductHolders::AllButLast, 1), [true]);
        assert_eq!(holders(ProductHolders::Only([1].into()), 2), [false, true]);
        assert_eq!(holders(ProductHolders::None, 1), [false]);
    }
}
