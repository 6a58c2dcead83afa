//! Traces and metrics over OTLP, from the same events as everything else, where the variables of OpenTelemetry name an
//! endpoint.
//!
//! A run is a trace: its slices are spans below it, and its requests below these. Metrics are those of docs/reference/metrics.md.

mod meters;
mod send;
mod spans;

use std::sync::Arc;

use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::clock::Clock;
use crate::model::event::EventSink;
use crate::observe::metrics::Metrics;
use crate::observe::otlp_variables::{SIGNALS, is_exported};
use meters::RequestDurations;
use send::Client;
use spans::Spans;

/// The name of the service, where no variable gives another.
const SERVICE: &str = "profound-export";

/// Why nothing can be sent over OTLP.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A variable says something that cannot be followed.
    #[error("the variables of OpenTelemetry cannot be followed")]
    Variables(#[from] ExporterBuildError),
    /// A protocol that is not spoken here.
    #[error("`{0}` is not spoken here; OTEL_EXPORTER_OTLP_PROTOCOL can be `http/protobuf` or `http/json`")]
    Protocol(String),
    /// The HTTP client cannot be made.
    #[error("no HTTP can be spoken to the endpoint of OpenTelemetry")]
    Http(#[from] reqwest::Error),
}

/// Sends traces and metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Otlp {
    traces: Option<(SdkTracerProvider, Arc<Spans>)>,
    metrics: Option<(SdkMeterProvider, RequestDurations)>,
}

impl Otlp {
    /// Starts the exporters that the environment configures (`variable` reads a variable): nothing
    /// where no endpoint is named. Must run inside the runtime.
    ///
    /// # Errors
    /// [`OtlpError`].
    pub fn start(
        variable: impl Fn(&str) -> Option<String>,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Option<Self>, OtlpError> {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let [wants_traces, wants_metrics] = SIGNALS.map(|signal| is_exported(value, signal));
        if !(wants_traces || wants_metrics) {
            return Ok(None);
        }
        let client = Client::new()?;
        let resource = resource(value("OTEL_SERVICE_NAME").is_some());
        let traces = if !wants_traces {
            None
        } else {
            let exporter = {
                let builder = SpanExporter::builder().with_http().with_http_client(client.clone());
                builder.with_protocol(protocol(&value, "TRACES")?).build()?
            };
            let provider =
                SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build();
            let spans = Spans::new(&provider, clock.clone());
            Some((provider, Arc::new(spans)))
        };
        let metrics = if !wants_metrics {
            None
        } else {
            let exporter = {
                let builder = MetricExporter::builder().with_http().with_http_client(client);
                builder.with_protocol(protocol(&value, "METRICS")?).build()?
            };
            let provider = SdkMeterProvider::builder().with_resource(resource).with_periodic_exporter(exporter).build();
            let durations = meters::register(&provider, metrics);
            Some((provider, durations))
        };
        Ok(Some(Self { traces, metrics }))
    }

    /// Records events.
    pub fn events(&self) -> EventSink {
        let otlp = self.clone();
        EventSink::new(move |event| {
            if let Some((_, spans)) = &otlp.traces {
                spans.record(event);
            }
            if let Some((_, durations)) = &otlp.metrics {
                durations.observe(event);
            }
        })
    }

    /// Sends what was not sent yet, which takes some seconds at most, and then no more. What cannot be sent is logged.
    pub async fn end(self) {
        let ending = tokio::task::spawn_blocking(move || {
            let traces = self.traces.map(|(provider, _)| provider.shutdown());
            let metrics = self.metrics.map(|(provider, _)| provider.shutdown());
            traces.into_iter().chain(metrics).find_map(Result::err)
        });
        if let Ok(Some(error)) = ending.await {
            tracing::warn!(%error, "OTLP export failed at shutdown, pending data is lost");
        }
    }
}

/// How what is sent of `signal` is written: as the specification has it where no variable says otherwise.
fn protocol(value: &impl Fn(&str) -> Option<String>, signal: &str) -> Result<Protocol, OtlpError> {
    let names = [&format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL"];
    match names.into_iter().find_map(value).as_deref() {
        None | Some("http/protobuf") => Ok(Protocol::HttpBinary),
        Some("http/json") => Ok(Protocol::HttpJson),
        Some(other) => Err(OtlpError::Protocol(other.to_owned())),
    }
}

fn resource(is_named: bool) -> Resource {
    let resource =
        Resource::builder().with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_named { resource.build() } else { resource.with_service_name(SERVICE).build() }
}
