//! The rows of one response, as they arrive.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::announced::announcements;
use crate::api::blocks::{BlockBuilder, FramingError, ResponseEnvelope};
use crate::api::error::ApiError;
use crate::api::events::EventRows;
use crate::api::json_rows::JsonRows;
use crate::api::key_leak::KeyLeakScanner;
use crate::api::rate_limit::Permit;
use crate::api::request::Request;
use crate::api::response_limits::ResponseLimits;
use crate::error_text::{error_chain, escape_controls};
use crate::http::BodyDecoder;
use crate::model::block::Block;
use crate::model::event::{Event, EventSink};
use crate::model::slice::SliceName;

/// When a response that is in progress at the run's deadline is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyDeadline {
    at: Option<Instant>,
    idle_timeout: Duration,
}

impl BodyDeadline {
    /// `idle_timeout` after `deadline`: the request is counted already, so its response is worth a moment.
    pub(super) fn new(deadline: Option<Instant>, idle_timeout: Duration) -> Self {
        Self { at: deadline.map(|deadline| deadline + idle_timeout), idle_timeout }
    }

    fn late(self, what: &str) -> ApiError {
        ApiError::Late { what: what.to_owned(), after: self.idle_timeout }
    }

    /// # Errors
    /// [`ApiError::Late`] if it has passed.
    pub(super) fn check(self, what: &str) -> Result<(), ApiError> {
        if self.at.is_some_and(|at| at <= Instant::now()) {
            return Err(self.late(what));
        }
        Ok(())
    }

    /// Completes when it passes; without a deadline never.
    pub(super) async fn passed(self, what: &str) -> ApiError {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.late(what)
    }
}

/// One attempt at a request. Emits [`Event::RequestFinished`] when it is dropped.
#[derive(Debug)]
pub(super) struct RequestObserver {
    endpoint: String,
    slice: SliceName,
    /// `None` until the response arrives.
    pub(super) status: Option<u16>,
    started: Instant,
    events: EventSink,
}

impl RequestObserver {
    pub(super) fn start(request: &Request, events: &EventSink) -> Self {
        Self {
            endpoint: request.endpoint.clone(),
            slice: request.slice.clone(),
            status: None,
            started: Instant::now(),
            events: events.clone(),
        }
    }
}

impl Drop for RequestObserver {
    fn drop(&mut self) {
        self.events.emit(&Event::RequestFinished {
            endpoint: std::mem::take(&mut self.endpoint),
            slice: std::mem::take(&mut self.slice),
            status: self.status,
            elapsed: self.started.elapsed(),
        });
    }
}

/// The rows of one response, as they arrive. The request is in flight until this is dropped.
#[derive(Debug)]
pub struct Response {
    http: reqwest::Response,
    decoder: BodyDecoder,
    framer: Framer,
    blocks: BlockBuilder,
    what: String,
    announcements: Map<String, Value>,
    deadline: BodyDeadline,
    cancel: CancellationToken,
    limits: ResponseLimits,
    scanner: KeyLeakScanner,
    _permit: Permit,
    _observer: RequestObserver,
}

#[derive(Debug)]
enum Framer {
    Json(JsonRows),
    Events(EventRows),
}

impl Response {
    pub(super) fn new(
        http: reqwest::Response,
        request: &Request,
        deadline: BodyDeadline,
        cancel: CancellationToken,
        scanner: KeyLeakScanner,
        permit: Permit,
        observer: RequestObserver,
    ) -> Result<Self, ApiError> {
        let content_type = http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.to_ascii_lowercase();
        // Some proxies rename the type of an event stream, or drop it.
        let is_event_stream =
            content_type.starts_with("text/event-stream") || (request.events && !content_type.contains("json"));
        let framer = if is_event_stream {
            Framer::Events(EventRows::default())
        } else {
            Framer::Json(JsonRows::new(request.rows.clone()))
        };
        let decoder = BodyDecoder::new(http.headers()).map_err(|encoding| {
            ApiError::broken(&request.what, format!("unknown content encoding `{}`", escape_controls(&encoding)))
        })?;
        Ok(Self {
            framer,
            decoder,
            announcements: announcements(http.headers()),
            http,
            blocks: BlockBuilder::with_members(&request.members),
            what: request.what.clone(),
            limits: ResponseLimits::new(deadline.idle_timeout, request.max_bytes),
            deadline,
            cancel,
            scanner,
            _permit: permit,
            _observer: observer,
        })
    }

    /// Whether this is one event stream instead of a page.
    pub fn is_event_stream(&self) -> bool {
        matches!(self.framer, Framer::Events(_))
    }

    /// Whole rows so far, and the total that was announced before them.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let announced = match &self.framer {
            Framer::Json(rows) => rows.announced(),
            Framer::Events(events) => events.announced(),
        };
        (self.blocks.total_rows(), announced)
    }

    /// The blocks that the next bytes complete, possibly none; `None` when the body is over.
    ///
    /// # Errors
    /// [`ApiError::Broken`], [`ApiError::UnknownEvents`], [`ApiError::KeyLeaked`], [`ApiError::Late`], [`ApiError::Cancelled`].
    pub async fn next_blocks(&mut self) -> Result<Option<Vec<Block>>, ApiError> {
        let idle_timeout = self.deadline.idle_timeout;
        let started = Instant::now();
        let chunk = tokio::select! {
            chunk = tokio::time::timeout(idle_timeout, self.http.chunk()) => chunk,
            late = self.deadline.passed(&self.what) => return Err(late),
            () = self.cancel.cancelled() => return Err(ApiError::Cancelled),
        };
        let chunk = chunk
            .map_err(|_| ApiError::broken(&self.what, format!("no data for {} s", idle_timeout.as_secs())))?
            .map_err(|error| ApiError::broken(&self.what, error_chain(&error.without_url())))?;
        let what = self.what.clone();
        let damaged = |error: std::io::Error| ApiError::broken(&what, format!("its compression is damaged: {error}"));
        let mut waited = Some(started.elapsed());
        // Taken out while the rest of the response is changed.
        let mut decoder = std::mem::replace(&mut self.decoder, BodyDecoder::Identity);
        let Some(chunk) = chunk else {
            let last = decoder.finish().map_err(damaged)?;
            if last.is_empty() {
                return Ok(None);
            }
            self.add(&last, waited.unwrap_or_default())?;
            return Ok(Some(self.blocks.take_ready()));
        };
        decoder.decode(&chunk, damaged, |bytes| self.add(bytes, waited.take().unwrap_or_default()))?;
        self.decoder = decoder;
        Ok(Some(self.blocks.take_ready()))
    }

    /// Adds `bytes` of the decoded body, `waited` after they were asked for.
    fn add(&mut self, bytes: &[u8], waited: Duration) -> Result<(), ApiError> {
        if self.scanner.scan(bytes) {
            return Err(ApiError::KeyLeaked { what: self.what.clone() });
        }
        let pushed = match &mut self.framer {
            Framer::Json(rows) => rows.push(bytes, &mut self.blocks),
            Framer::Events(events) => events.push(bytes, &mut self.blocks),
        };
        pushed
            .and_then(|()| self.limits.record(bytes.len(), self.blocks.total_rows(), waited))
            .map_err(|error| framing_error(&self.what, &error))
    }

    /// The last blocks, the body around the rows, and the number of rows. Call it once the body is over.
    ///
    /// # Errors
    /// [`ApiError::Broken`] if the body is truncated, [`ApiError::UnknownEvents`].
    pub fn finish(mut self) -> Result<(Vec<Block>, ResponseEnvelope, u64), ApiError> {
        let finished = match self.framer {
            Framer::Json(rows) => rows.finish(&mut self.blocks),
            Framer::Events(events) => events.finish(&mut self.blocks),
        };
        let mut envelope = finished.map_err(|error| framing_error(&self.what, &error))?;
        envelope.replaced = self.blocks.replaced();
        envelope.headers = self.announcements;
        Ok((self.blocks.take_ready(), envelope, self.blocks.total_rows()))
    }
}

fn framing_error(what: &str, error: &FramingError) -> ApiError {
    if error.is_unknown_form() {
        return ApiError::UnknownEvents { what: what.to_owned(), problem: error.to_string() };
    }
    ApiError::broken(what, error.to_string())
}
