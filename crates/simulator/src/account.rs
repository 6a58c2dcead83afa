//! What the simulated account holds, and how its API behaves.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;

use catalog::model::day::Day;

use super::product::Holders;

/// Settings of a simulated account. The default is demo scale, on a free port of the loopback interface.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Two accounts with the same seed and settings hold the same data.
    pub seed: u64,
    /// The API key that is accepted.
    pub key: String,
    /// Organizations of the key. The first category belongs to the first two of them.
    pub organizations: usize,
    /// Categories of the account. The last one has empty days.
    pub categories: usize,
    /// Domains of the account. The first two bear the same host name, in two organizations where there are two.
    pub domains: usize,
    /// Assets of each category. One is owned, in the first category two are.
    pub assets_per_category: usize,
    /// Prompts of each category; every seventh is disabled.
    pub prompts_per_category: usize,
    /// What the simulated clock shows when the server starts; the real time when `None`. It then goes on.
    pub now: Option<Timestamp>,
    /// The first day with data; 400 days before the start when `None`.
    pub first_day: Option<Day>,
    /// Requests allowed in each period.
    pub requests_per_period: u32,
    /// Length of the fixed windows in which requests are counted.
    pub period: Duration,
    /// How many requests of the budget an event stream takes; a page takes one.
    pub event_cost: u32,
    /// Rows of each scope and day, by stream: exactly as many, but for today. Other streams have a few dozen. Lists that
    /// are no metadata of the account have as many rows in each scope.
    pub rows_per_day: BTreeMap<String, u64>,
    /// About how long the text of an answer is, in bytes.
    pub answer_bytes: usize,
    /// Whether rows of version 1 event streams are named, with `{id, name}` references, as the published examples show;
    /// else they are positional.
    pub named_events: bool,
    /// Whether every list is wrapped in `{"data": [...]}`; else only those that the published schema wraps.
    pub wrap_lists: bool,
    /// Whether positional values are listed backwards, else alphabetically. `info.query` tells the order either way.
    pub reverse_positions: bool,
    /// Whether `end_date` of a version 2 report is itself part of the result, as documented.
    pub inclusive_v2: bool,
    /// What `end_date` means where the catalog calls it undocumented.
    pub undocumented_end: UndocumentedEnd,
    /// Which categories have the product that a gate of the catalog tells of, by the gate's stream; all have others.
    pub products: BTreeMap<String, Holders>,
    /// The IANA zone that rows of ads name, in which their days count.
    pub ads_zone: String,
}

/// What `end_date` means where nobody says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndocumentedEnd {
    /// It is the last day.
    Inclusive,
    /// It is the day after the last, and a window without a day is empty.
    Empty,
    /// It is the day after the last, and a window without a day is refused with 422.
    Refused,
}

impl Default for Account {
    fn default() -> Self {
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
            products: BTreeMap::from([
                ("accuracy_factcheck_setup_status".to_owned(), Holders::AllButLast),
                ("shopping_trigger_rate_v2".to_owned(), Holders::First),
                ("youtube_summary_v2".to_owned(), Holders::First),
            ]),
            ads_zone: "America/Los_Angeles".to_owned(),
        }
    }
}
