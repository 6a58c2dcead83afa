//! Requests that may still be sent, learned from the response headers.
//!
//! Nobody says whether the vendor's hour is fixed or sliding. So a request is sent only when two conditions hold: a log
//! of what we spent has room in its trailing period, and what the API said remains is more than what is in flight and
//! reserved, which is how others of the key are seen. The period is the longest time to a reset that was seen, an hour at most. Since the first reset seen may belong to a period that was half over,
//! one request is held back until a second one is known, and the first request of every period goes alone, to learn:
//! together they never pass the limit in any trailing period.

mod costs;
mod foreign;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::error::ApiError;
use crate::model::cost::{Costs, RequestKind};
use crate::model::event::RateLimitStatus;

pub use state::{BudgetState, Came, LONGEST_PERIOD, RateHeaders, Sent, Turn};

/// A wait for the budget, for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When the next request may go.
    pub until: Instant,
}

/// The budget of one key, shared by everything that sends with it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<BudgetState>,
    changed: Notify,
    waiting: watch::Sender<Option<Waiting>>,
}

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Budget,
    sent: Sent,
}

impl Permit {
    /// A response came.
    pub fn answer(&mut self, headers: RateHeaders, came: Came) {
        self.budget.state().answer(&mut self.sent, Instant::now(), headers, came);
        self.budget.0.changed.notify_waiters();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.state().end(&mut self.sent, Instant::now());
        self.budget.0.changed.notify_waiters();
    }
}

impl Budget {
    /// A budget that keeps `reserve` requests of every period for others.
    pub fn new(reserve: u32) -> Self {
        let state = Mutex::new(BudgetState::new(reserve));
        Self(Arc::new(Shared { state, changed: Notify::new(), waiting: watch::Sender::new(None) }))
    }

    /// Waits until a request of `kind` could be sent, and sends none; whether there was anything to wait for.
    ///
    /// # Errors
    /// As [`Budget::permit`].
    pub async fn ready(
        &self,
        kind: RequestKind,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
    ) -> Result<bool, ApiError> {
        let ((), waited) = self.in_turn(kind, deadline, cancel, |_, _| ()).await?;
        Ok(waited)
    }

    /// Waits until a request of `kind` may be sent.
    ///
    /// # Errors
    /// [`ApiError::OutOfTime`] as soon as the wait would pass `deadline`, [`ApiError::Cancelled`].
    pub async fn permit(
        &self,
        kind: RequestKind,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
    ) -> Result<Permit, ApiError> {
        let (sent, _) = self.in_turn(kind, deadline, cancel, |state, now| state.send(now, kind)).await?;
        Ok(Permit { budget: self.clone(), sent })
    }

    /// Does `go` as soon as a request of `kind` may be sent; also whether it had to wait for a time.
    async fn in_turn<T>(
        &self,
        kind: RequestKind,
        deadline: Option<Instant>,
        cancel: &CancellationToken,
        go: impl Fn(&mut BudgetState, Instant) -> T,
    ) -> Result<(T, bool), ApiError> {
        let mut waited = false;
        loop {
            // Made before the state is looked at, so that no change between the two is missed.
            let changed = self.0.changed.notified();
            if cancel.is_cancelled() {
                return Err(ApiError::Cancelled);
            }
            let (turn, gone) = {
                let (mut state, now) = (self.state(), Instant::now());
                let turn = state.turn(now, kind);
                (turn, (turn == Turn::Now).then(|| go(&mut state, now)))
            };
            if let Some(gone) = gone {
                self.0.waiting.send_if_modified(|waiting| waiting.take().is_some());
                return Ok((gone, waited));
            }
            let at = match turn {
                Turn::At(until) => Some(until),
                Turn::Now | Turn::AfterResponse => None,
            };
            if let Some(until) = at {
                if deadline.is_some_and(|deadline| deadline < until) {
                    return Err(ApiError::OutOfTime { wait: until.saturating_duration_since(Instant::now()) });
                }
                waited = true;
                self.0.waiting.send_replace(Some(Waiting { until }));
            }
            let time = async {
                match at {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => {}
                () = changed => {}
                () = cancel.cancelled() => return Err(ApiError::Cancelled),
            }
        }
    }

    /// Nothing may be sent for `pause`.
    pub fn block(&self, pause: Duration) {
        let now = Instant::now();
        self.state().block(now, now + pause);
    }

    /// Takes over what earlier processes learned of costs.
    pub fn expect(&self, costs: Costs) {
        self.state().expect(costs);
    }

    /// Tells when a wait begins, and `None` when it ends.
    pub fn waiting(&self) -> watch::Receiver<Option<Waiting>> {
        self.0.waiting.subscribe()
    }

    /// What is left of it, for people to see.
    pub fn told(&self) -> RateLimitStatus {
        self.state().told(Instant::now())
    }

    /// The state as it is now.
    pub fn snapshot(&self) -> BudgetState {
        self.state().clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, BudgetState> {
        // The state is plain numbers: a panic elsewhere leaves it usable.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
