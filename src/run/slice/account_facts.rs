//! What a run knows about the account: learned facts, missing entitlements, and what it has reported already.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::api::{RequestOptions, Transport};
use crate::decode::{Drift, MAX_REPORTED_MEMBERS, OTHER_MEMBERS};
use crate::ledger::{Entry, Facts, LearnedFact};
use crate::model::event::{Event, EventSink};
use crate::model::scope::ScopeKey;
use crate::model::slice::Slice;
use crate::model::stream::{Days, DaysKind, Stream, WindowEnd};

/// What a run knows about the account. Shared by its slices, which add to it.
pub struct AccountFacts {
    /// Ids of the organizations of the account.
    pub organizations: BTreeSet<String>,
    event_streams: bool,
    /// When the run started: facts do not expire in its middle.
    pub started_at: Timestamp,
    known: Mutex<Facts>,
    not_entitled: Mutex<HashSet<(String, ScopeKey)>>,
    reported: Mutex<HashSet<(String, String)>>,
}

impl AccountFacts {
    pub fn new(organizations: BTreeSet<String>, event_streams: bool, facts: Facts, started_at: Timestamp) -> Self {
        Self {
            organizations,
            event_streams,
            started_at,
            known: Mutex::new(facts),
            not_entitled: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// How the rows of `stream` are requested first.
    pub fn transport(&self, stream: &Stream) -> Transport {
        let is_event_stream = self.event_streams && stream.event_stream.is_some();
        let known = self.known.lock();
        let has_pages_only =
            known.events_incomplete(&stream.name, self.started_at) || known.page_limit(&stream.name).is_some();
        if is_event_stream && !has_pages_only { Transport::Events } else { Transport::Pages }
    }

    /// Remembers a fact for this run. Returns the entry that keeps it for later ones, unless it was known.
    pub fn learn(&self, learned: LearnedFact) -> Option<Entry> {
        let mut known = self.known.lock();
        if known.is_valid(&learned.fact, self.started_at) {
            return None;
        }
        known.learn(learned.clone());
        Some(Entry::Learned(learned))
    }

    /// What requests of `stream` depend on.
    pub fn request_options(&self, stream: &Stream) -> RequestOptions {
        let known = self.known.lock();
        // Responses of these streams show once more how `end_date` is read; others rely on what was learned.
        let shows_end = |days: &Days| days.kind == DaysKind::Dated || days.end == WindowEnd::Undocumented;
        let is_expired = known.is_window_end_expired(&stream.family, self.started_at);
        let is_open = is_expired && stream.days.as_ref().is_some_and(shows_end);
        let window_end = known.window_end(&stream.family).filter(|_| !is_open);
        let page_limit = known.page_limit(&stream.name);
        let without = known.rejected_member(&stream.name).map(str::to_owned).into_iter().collect();
        RequestOptions { many_organizations: self.organizations.len() > 1, window_end, without, page_limit }
    }

    /// How the family of `stream` reads `end_date`, as far as it was ever learned.
    pub fn window_end(&self, stream: &Stream) -> Option<WindowEnd> {
        self.known.lock().window_end(&stream.family)
    }

    /// Since when requests of `stream` leave out a member.
    pub fn without_member_since(&self, stream: &Stream) -> Option<Timestamp> {
        self.known.lock().without_member_since(&stream.name)
    }

    /// Remembers that the account may not read the stream and scope of `slice`.
    pub fn record_not_entitled(&self, slice: &Slice) {
        self.not_entitled.lock().insert((slice.stream.name.clone(), slice.scope.key()));
    }

    /// Whether this run found that the account may not read the stream and scope of `slice`.
    pub fn is_not_entitled(&self, slice: &Slice) -> bool {
        self.not_entitled.lock().contains(&(slice.stream.name.clone(), slice.scope.key()))
    }

    /// Whether `detail` has not been reported about `subject` before in this run.
    pub fn first_report(&self, subject: String, detail: &str) -> bool {
        self.reported.lock().insert((subject, detail.to_owned()))
    }

    /// Reports fields that the catalog does not declare, each once a run and stream.
    pub fn report_drift(&self, events: &EventSink, stream: &str, drift: &Drift) {
        let subject = format!("stream {stream}");
        for (field, example) in drift {
            let reported = self.reported.lock().iter().filter(|(other, _)| *other == subject).count();
            let field = if reported < MAX_REPORTED_MEMBERS { field } else { OTHER_MEMBERS };
            if self.first_report(subject.clone(), field) {
                let (stream, field, example) = (stream.to_owned(), field.to_owned(), example.clone());
                events.emit(&Event::SchemaDrift { stream, field, example });
            }
        }
    }
}
