//! Everything that rows depend on.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::Catalog;
use catalog::model::day::{Day, DayZone};
use jiff::Timestamp;

use super::account::Account;
use super::objects::AccountObjects;

/// Days before the start that have data, unless the account says its first day.
const DAYS_WITH_DATA: i64 = 400;

/// Everything that rows depend on, at one moment. Cheap to clone, so that a request sees one state from its first row to
/// its last, whatever a test changes meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Dataset {
    pub(crate) account: Arc<Account>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) objects: Arc<AccountObjects>,
    pub(crate) now: Timestamp,
    pub(crate) first_day: Day,
    /// How often each day was restated.
    pub(crate) revisions: BTreeMap<Day, u64>,
    /// By list: how many rows, from the first, were changed, and when.
    pub(crate) touched: BTreeMap<String, (usize, Timestamp)>,
}

impl Dataset {
    pub(crate) fn new(catalog: Arc<Catalog>, account: Account, now: Timestamp) -> Self {
        Self {
            objects: Arc::new(AccountObjects::new(&account)),
            first_day: account.first_day.unwrap_or_else(|| DayZone::Utc.today(now).plus(-DAYS_WITH_DATA)),
            account: Arc::new(account),
            catalog,
            now,
            revisions: BTreeMap::new(),
            touched: BTreeMap::new(),
        }
    }
}
