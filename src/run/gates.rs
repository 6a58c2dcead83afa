//! Streams that tell whether there is anything to read, and what they told.

use std::collections::HashMap;
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

/// Slices with a signal that are being read, so that those behind them wait for it.
#[derive(Debug, Default)]
pub struct Signals {
    reading: Mutex<HashMap<(String, ScopeKey), usize>>,
    done: Notify,
}

/// A slice with a signal is being read for as long as this lives.
pub struct Reading<'a> {
    signals: &'a Signals,
    key: (String, ScopeKey),
}

impl Signals {
    /// Marks `slice` as being read, when it has a signal.
    pub fn begin(&self, slice: &Slice) -> Option<Reading<'_>> {
        slice.stream.signal.as_ref()?;
        let key = (slice.stream.name.clone(), slice.scope.key());
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default() += 1;
        Some(Reading { signals: self, key })
    }

    /// Waits until no slice is being read whose signal `slice` depends on.
    pub async fn settled(&self, slice: &Slice) {
        let names = [&slice.stream.gate, &slice.stream.expects];
        for name in names.into_iter().flatten() {
            let key = (name.clone(), slice.scope.key());
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
            let fresh =
                state.and_then(|state| state.read_at).is_some_and(|at| self.now().duration_since(at) < BELIEVED_FOR);
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
            && !slice.marks().iter().any(has_rows);
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
