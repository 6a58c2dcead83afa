//! Streams that tell whether there is anything to read, and what they told.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use jiff::SignedDuration;
use tokio::sync::Notify;

use crate::model::day::Day;
use crate::model::scope::ScopeKey;
use crate::model::slice::Slice;
use crate::run::context::RunContext;

/// How long the signal of a list is believed.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Whether a slice is worth its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// There may be something: it is asked.
    Open,
    /// There is nothing on any of its days.
    Nothing,
    /// The account, or the category, has not got what the slice is about, in words.
    NotEntitled(String),
}

/// Slices that are being read and that others wait for: for their signal, or for their rows.
#[derive(Debug, Default)]
pub struct Signals {
    reading: Mutex<HashMap<(String, ScopeKey), usize>>,
    done: Notify,
}

/// A slice that others wait for is being read for as long as this lives.
pub struct Reading<'a> {
    signals: &'a Signals,
    key: (String, ScopeKey),
}

impl Signals {
    /// Marks `slice` as being read.
    pub fn begin(&self, slice: &Slice) -> Reading<'_> {
        let key = (slice.stream.name.clone(), slice.scope.key());
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default() += 1;
        Reading { signals: self, key }
    }

    /// Waits until no slice of the streams called `names` is being read for `scope`.
    async fn settled(&self, names: BTreeSet<String>, scope: &ScopeKey) {
        for name in names {
            let key = (name, scope.clone());
            loop {
                let done = self.done.notified();
                if !self.reading.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key) {
                    break;
                }
                done.await;
            }
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut reading = self.signals.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = reading.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                reading.remove(&self.key);
            }
        }
        drop(reading);
        self.signals.done.notify_waiters();
    }
}

impl RunContext<'_> {
    /// Waits until no slice is being read whose signal or rows `slice` depends on, itself or through its parents.
    pub async fn wait_for_others(&self, slice: &Slice) {
        let mut names = BTreeSet::new();
        let mut stream = Some(&slice.stream);
        while let Some(current) = stream {
            names.extend([&current.gate, &current.expects].into_iter().flatten().cloned());
            let parent = current.parent.as_ref().filter(|parent| names.insert(parent.stream.clone()));
            stream = parent.and_then(|parent| self.settings.catalog.get(&parent.stream));
        }
        let scope = slice.scope.key();
        tokio::select! {
            () = self.signals.settled(names, &scope) => {}
            () = self.settings.cancel.cancelled() => {}
        }
    }

    /// What the gate of `slice` says. Without an answer, or where rows stand that contradict it, the slice is asked.
    pub async fn gate(&self, slice: &Slice) -> Gate {
        let Some(gate) = slice.stream.gate.as_ref().and_then(|name| self.settings.catalog.get(name)) else {
            return Gate::Open;
        };
        let own = self.coverage_of(slice).await;
        let ledger = self.ledger.lock().await;
        let Some(told) = ledger.state().scope(&gate.name, &slice.scope.key()) else {
            return Gate::Open;
        };
        let Some(_) = &gate.days else {
            let state = told.whole.as_ref();
            let fresh = state
                .and_then(|state| state.read_at)
                .is_some_and(|at| self.now().duration_since(at.time()) < BELIEVED_FOR);
            return match state.and_then(|state| state.signal) {
                Some(false) if fresh => Gate::NotEntitled(format!(
                    "`{}` says that `{}` is false",
                    gate.name,
                    gate.signal.as_deref().unwrap_or_default()
                )),
                _ => Gate::Open,
            };
        };
        let days: Vec<Day> = slice.window.into_iter().flat_map(|window| window.days()).collect();
        let has_rows =
            |mark: &Option<Day>| own.as_ref().and_then(|own| own.state(*mark)).is_some_and(|state| 0 < state.rows);
        let closed = !days.is_empty()
            && days.iter().all(|day| told.days.get(day).is_some_and(|state| state.signal == Some(false)))
            && !slice.recorded_days().iter().any(has_rows);
        match closed {
            true => Gate::Nothing,
            false => Gate::Open,
        }
    }

    /// The stream that says that `slice` must have rows, if one does.
    pub async fn expects_rows(&self, slice: &Slice) -> Option<String> {
        let expects = slice.stream.expects.as_ref()?;
        let ledger = self.ledger.lock().await;
        let told = ledger.state().scope(expects, &slice.scope.key())?;
        let mut days = slice.window.into_iter().flat_map(|window| window.days());
        let said = days.any(|day| told.days.get(&day).is_some_and(|state| state.signal == Some(true)));
        said.then(|| expects.clone())
    }
}
