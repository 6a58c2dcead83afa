//! Server-sent events that tell an open page to reload itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::ServerState;
use crate::status::Status;

/// Minimum time between two events.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Idle proxies would close a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// When a browser reconnects after its connection broke.
const RETRY: Duration = Duration::from_secs(3);

/// `/events`.
pub(super) async fn events(State(server): State<Arc<ServerState>>) -> Response {
    let Ok(permit) = Arc::clone(&server.event_streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many open pages\n").into_response();
    };
    let changes = ChangeEvents {
        statuses: server.cache.subscribe(),
        activity: server.live.changes(),
        last_sent: None,
        _permit: permit,
    };
    Sse::new(changes.into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

struct ChangeEvents {
    statuses: watch::Receiver<Option<Arc<Status>>>,
    activity: watch::Receiver<u64>,
    last_sent: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl ChangeEvents {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut changes| async move {
            let event = changes.next().await?;
            Some((Ok(event), changes))
        })
    }

    /// The next event; `None` when the process ends.
    async fn next(&mut self) -> Option<Event> {
        let Some(last_sent) = self.last_sent.replace(Instant::now()) else {
            return Some(Event::default().event("hello").retry(RETRY).data("connected"));
        };
        tokio::select! {
            changed = self.statuses.changed() => changed.ok()?,
            changed = self.activity.changed() => changed.ok()?,
        }
        // Changes within the interval are one event: the page reloads as a whole.
        tokio::time::sleep_until(last_sent + MIN_INTERVAL).await;
        self.statuses.mark_unchanged();
        self.activity.mark_unchanged();
        self.last_sent = Some(Instant::now());
        Some(Event::default().event("changed").data("changed"))
    }
}
