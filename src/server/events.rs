//! Server-sent events: that something changed, so that an open page fetches itself anew.

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

/// The least time between two events.
const PAUSE: Duration = Duration::from_secs(1);
/// A sign of life while nothing changes, for what lies between and would close the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// When a browser whose connection broke asks again.
const RETRY: Duration = Duration::from_secs(3);

/// `/events`.
pub(super) async fn events(State(shared): State<Arc<ServerState>>) -> Response {
    let Ok(permit) = Arc::clone(&shared.event_streams).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let changes =
        ChangeEvents { statuses: shared.cache.subscribe(), doings: shared.live.changes(), told: None, _permit: permit };
    Sse::new(changes.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

struct ChangeEvents {
    statuses: watch::Receiver<Option<Arc<Status>>>,
    doings: watch::Receiver<u64>,
    told: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl ChangeEvents {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut changes| async move {
            let event = changes.next().await?;
            Some((Ok(event), changes))
        })
    }

    /// The next event; none when the process ends.
    async fn next(&mut self) -> Option<Event> {
        let Some(told) = self.told.replace(Instant::now()) else {
            return Some(Event::default().event("hello").retry(RETRY).data("connected"));
        };
        tokio::select! {
            changed = self.statuses.changed() => changed.ok()?,
            changed = self.doings.changed() => changed.ok()?,
        }
        // What follows within the pause is the same piece of news.
        tokio::time::sleep_until(told + PAUSE).await;
        self.statuses.mark_unchanged();
        self.doings.mark_unchanged();
        self.told = Some(Instant::now());
        Some(Event::default().event("changed").data("changed"))
    }
}
