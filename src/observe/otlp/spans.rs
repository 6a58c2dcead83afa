//! Runs, slices and requests as spans.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::model::counters::Counters;
use crate::model::event::{Event, RunFinished};
use crate::model::slice::{Slice, SliceName};

/// Spans that are open.
#[derive(Debug)]
pub(super) struct Spans {
    tracer: SdkTracer,
    clock: Clock,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    run: Option<Context>,
    slices: HashMap<SliceName, Context>,
}

impl Spans {
    pub(super) fn new(provider: &SdkTracerProvider, clock: Clock) -> Self {
        Self { tracer: provider.tracer("profound-export"), clock, open: Mutex::default() }
    }

    /// Opens and closes spans for an event.
    pub(super) fn record(&self, event: &Event) {
        let now = SystemTime::from(self.clock.now());
        let mut open = self.open.lock();
        match event {
            Event::RunStarted { run, job } => {
                let attributes = vec![KeyValue::new("job", job.clone()), KeyValue::new("run", run.to_string())];
                let span = self.begin("run", SpanKind::Internal, attributes, now, &Context::new());
                open.run = Some(Context::new().with_span(span));
            }
            Event::SliceStarted { slice } => {
                let parent = open.run.clone().unwrap_or_default();
                let name = slice.name();
                let span = self.begin("slice", SpanKind::Internal, about(&name), now, &parent);
                open.slices.insert(name, parent.with_span(span));
            }
            Event::SlicePublished { slice, counters } => open.end_slice(slice, figures(*counters), Status::Ok, now),
            Event::SliceRetried { slice, problem, remedy } => {
                // What is asked next may be a part of what broke.
                if let Some(broken) = open.containing(&slice.name()) {
                    let attributes = vec![KeyValue::new("remedy", remedy.clone())];
                    end(open.slices.remove(&broken), attributes, Status::error(problem.clone()), now);
                }
            }
            Event::SliceFailed { slice, problem } => {
                let attributes = vec![KeyValue::new("problem", problem.clone())];
                open.end_slice(slice, attributes, Status::error(problem.clone()), now);
            }
            Event::SliceDeferred { slice, problem } => {
                open.end_slice(slice, vec![KeyValue::new("problem", problem.clone())], Status::Unset, now);
            }
            Event::NotEntitled { slice, detail, .. } => {
                open.end_slice(slice, vec![KeyValue::new("not_entitled", detail.clone())], Status::Unset, now);
            }
            Event::RequestFinished { endpoint, slice, status, elapsed } => {
                let parent = open.slices.get(slice).or(open.run.as_ref()).cloned().unwrap_or_default();
                let mut attributes = about(slice);
                attributes.push(KeyValue::new("url.template", endpoint.clone()));
                attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
                let sent = now.checked_sub(*elapsed).unwrap_or(now);
                let mut span = self.begin("request", SpanKind::Client, attributes, sent, &parent);
                match status {
                    Some(200) => {}
                    Some(status) => span.set_status(Status::error(format!("HTTP {status}"))),
                    None => span.set_status(Status::error("no answer came")),
                }
                span.end_with_timestamp(now);
            }
            Event::RunFinished(ended) => open.end_run(ended, now),
            _ => {}
        }
    }

    fn begin(
        &self,
        name: &'static str,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
        at: SystemTime,
        parent: &Context,
    ) -> Span {
        let builder = self.tracer.span_builder(Cow::Borrowed(name)).with_kind(kind).with_attributes(attributes);
        self.tracer.build_with_context(builder.with_start_time(at), parent)
    }
}

impl Open {
    fn end_slice(&mut self, slice: &Slice, attributes: Vec<KeyValue>, status: Status, at: SystemTime) {
        end(self.slices.remove(&slice.name()), attributes, status, at);
    }

    fn end_run(&mut self, ended: &RunFinished, at: SystemTime) {
        // What was dropped whole ends with its run.
        for (_, slice) in self.slices.drain() {
            end(Some(slice), Vec::new(), Status::Unset, at);
        }
        let figures = [
            ("requests", ended.counters.requests),
            ("rows", ended.counters.rows),
            ("files", ended.counters.files),
            ("bytes", ended.counters.bytes),
            ("failed", ended.counters.failed),
            ("deferred", ended.counters.deferred),
        ];
        let mut attributes = counts(&figures);
        attributes.push(KeyValue::new("outcome", ended.outcome.to_string()));
        let status = if ended.outcome.is_failure() {
            Status::error(ended.problem.clone().unwrap_or_else(|| ended.outcome.to_string()))
        } else {
            Status::Ok
        };
        end(self.run.take(), attributes, status, at);
    }

    /// The open slice of which `part` is all or a part.
    fn containing(&self, part: &SliceName) -> Option<SliceName> {
        let holds = |whole: &&SliceName| {
            let is_within = match (whole.window, part.window) {
                (Some(whole), Some(part)) => whole.start <= part.start && part.end <= whole.end,
                (whole, part) => whole == part,
            };
            whole.stream == part.stream && whole.scope == part.scope && is_within
        };
        self.slices.keys().find(holds).cloned()
    }
}

fn end(span: Option<Context>, attributes: Vec<KeyValue>, status: Status, at: SystemTime) {
    if let Some(context) = span {
        let span = context.span();
        span.set_attributes(attributes);
        span.set_status(status);
        span.end_with_timestamp(at);
    }
}

fn about(slice: &SliceName) -> Vec<KeyValue> {
    let mut attributes =
        vec![KeyValue::new("stream", slice.stream.clone()), KeyValue::new("scope", slice.scope.clone())];
    attributes.extend(slice.window.map(|window| KeyValue::new("window", window.to_string())));
    attributes
}

fn figures(done: Counters) -> Vec<KeyValue> {
    counts(&[
        ("requests", done.requests),
        ("rows", done.rows),
        ("files", done.files),
        ("unchanged", done.unchanged),
        ("bytes", done.bytes),
    ])
}

fn counts(figures: &[(&'static str, u64)]) -> Vec<KeyValue> {
    figures.iter().map(|(name, count)| KeyValue::new(*name, i64::try_from(*count).unwrap_or(i64::MAX))).collect()
}
