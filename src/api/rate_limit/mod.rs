//! When the next request may be sent with the key, learned from response headers.
//!
//! The vendor documents 600 requests an hour, but not whether the window is fixed or sliding. So a request is sent only if both
//! conditions hold:
//!
//! 1. the log of own requests in the trailing window has room for it, and
//! 2. what the API said remains is more than what is in flight and reserved, which respects other users of the key.
//!
//! The first reset that is seen may end a window that was half over, so one request is held back until a whole window was seen,
//! and the first request of each window goes alone, to learn what remains. Together the conditions never pass the limit in any
//! trailing window, retries included; the tests run them against servers that count in fixed windows.
//!
//! `window.rs`, `request_log.rs`, `in_flight.rs` and `blocking.rs` hold one part of the state each, `state.rs` joins them without a
//! clock, and [`RateLimiter`] waits.

mod blocking;
mod external_usage;
mod forecast;
mod in_flight;
mod request_costs;
mod request_log;
mod state;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::error::ApiError;
use crate::model::cost::{RequestCosts, RequestKind};
use crate::model::event::RateLimitStatus;

pub use forecast::completion_times;
pub use state::{Admission, RateLimitState, ResponseKind, SentRequest};
pub use window::{MAX_WINDOW, RateLimitHeaders};

/// What ends the requests of one run.
#[derive(Debug, Clone, Default)]
pub struct RunLimits {
    /// No request is sent after it. A response in progress may end within `api.idle_timeout` after it, since its request is
    /// counted already.
    pub deadline: Option<Instant>,
    /// Stops every wait and every response.
    pub cancel: CancellationToken,
}

/// The rate limit of one key, shared by everything that sends with it.
#[derive(Debug, Clone)]
pub struct RateLimiter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<RateLimitState>,
    changed: Notify,
    waiting_until: watch::Sender<Option<Instant>>,
    waits: Mutex<Waits>,
}

/// How long nothing could be sent, however many requests waited.
#[derive(Debug, Default)]
struct Waits {
    /// Start and end of the wait in progress. A run that is stopped leaves it here, and nothing can be sent before its end.
    current: Option<(Instant, Instant)>,
    finished: Duration,
}

impl Waits {
    fn begin(&mut self, now: Instant, until: Instant) {
        self.current = Some((self.current.map_or(now, |(since, _)| since), until));
    }

    fn end(&mut self, now: Instant) {
        self.finished = self.total(now);
        self.current = None;
    }

    fn total(&self, now: Instant) -> Duration {
        let current = self.current.map(|(since, until)| until.min(now).saturating_duration_since(since));
        self.finished + current.unwrap_or_default()
    }
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    limiter: RateLimiter,
    request: SentRequest,
}

impl Permit {
    /// The headers of the response arrived.
    pub fn record_response(&mut self, headers: RateLimitHeaders, kind: ResponseKind) {
        self.limiter.state().record_response(&mut self.request, Instant::now(), headers, kind);
        self.limiter.0.changed.notify_waiters();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.state().end(&mut self.request, Instant::now());
        self.limiter.0.changed.notify_waiters();
    }
}

impl RateLimiter {
    /// Leaves `reserve` requests of every window to other users of the key.
    pub fn new(reserve: u32) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(RateLimitState::new(reserve)),
            changed: Notify::new(),
            waiting_until: watch::Sender::new(None),
            waits: Mutex::default(),
        }))
    }

    /// Waits until a request of `kind` could be sent, and sends none. Returns whether it had to wait for the limit.
    ///
    /// # Errors
    /// As [`RateLimiter::reserve`].
    pub async fn ready(&self, kind: RequestKind, limits: &RunLimits) -> Result<bool, ApiError> {
        let ((), waited) = self.when_admitted(kind, limits, |_, _| ()).await?;
        Ok(waited)
    }

    /// Waits until a request of `kind` may be sent, and counts it as sent.
    ///
    /// # Errors
    /// [`ApiError::OutOfTime`] as soon as the wait would pass the deadline, [`ApiError::Cancelled`].
    pub async fn reserve(&self, kind: RequestKind, limits: &RunLimits) -> Result<Permit, ApiError> {
        let (request, _) = self.when_admitted(kind, limits, |state, now| state.send(now, kind)).await?;
        Ok(Permit { limiter: self.clone(), request })
    }

    /// Runs `action` as soon as a request of `kind` may be sent; returns also whether it had to wait for the limit.
    async fn when_admitted<T>(
        &self,
        kind: RequestKind,
        limits: &RunLimits,
        action: impl Fn(&mut RateLimitState, Instant) -> T,
    ) -> Result<(T, bool), ApiError> {
        let mut waited = false;
        loop {
            // Created before the state is read, so that no change in between is missed.
            let changed = self.0.changed.notified();
            if limits.cancel.is_cancelled() {
                return Err(ApiError::Cancelled);
            }
            let until = {
                let (mut state, now) = (self.state(), Instant::now());
                match state.admit(now, kind) {
                    Admission::Now => {
                        let done = action(&mut state, now);
                        self.0.waiting_until.send_if_modified(|until| until.take().is_some());
                        self.0.waits.lock().end(now);
                        return Ok((done, waited));
                    }
                    Admission::At(until) => Some(until),
                    Admission::AfterResponse => None,
                }
            };
            if let Some(until) = until {
                if limits.deadline.is_some_and(|deadline| until > deadline) {
                    return Err(ApiError::OutOfTime { wait: until.saturating_duration_since(Instant::now()) });
                }
                waited = true;
                self.0.waiting_until.send_replace(Some(until));
                self.0.waits.lock().begin(Instant::now(), until);
            }
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = changed => {}
                () = limits.cancel.cancelled() => return Err(ApiError::Cancelled),
            }
        }
    }

    /// Sends no request for `pause`.
    pub fn block(&self, pause: Duration) {
        let now = Instant::now();
        self.state().block(now, now + pause);
    }

    /// Starts from the costs that earlier processes learned.
    pub fn assume_costs(&self, costs: RequestCosts) {
        self.state().assume_costs(costs);
    }

    /// Until when the next request waits for the rate limit; `None` while requests are sent.
    pub fn waiting_until(&self) -> watch::Receiver<Option<Instant>> {
        self.0.waiting_until.subscribe()
    }

    /// How long requests could not be sent so far, because of the rate limit.
    pub fn waited(&self) -> Duration {
        self.0.waits.lock().total(Instant::now())
    }

    pub fn status(&self) -> RateLimitStatus {
        self.state().status(Instant::now())
    }

    pub fn snapshot(&self) -> RateLimitState {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, RateLimitState> {
        self.0.state.lock()
    }
}
