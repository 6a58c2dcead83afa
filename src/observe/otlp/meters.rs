//! The metrics of docs/reference/metrics.md as OpenTelemetry instruments, under the same names.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::model::event::Event;
use crate::observe::{BUCKETS, FAMILIES, MetricFamily, MetricKind, Metrics};

/// Durations of requests. Instruments with callbacks cannot be histograms, so these are recorded as events arrive.
#[derive(Debug, Clone)]
pub(super) struct RequestDurations(Option<Histogram<f64>>);

/// Observes `metrics` at each export; the provider keeps the instruments.
pub(super) fn register(provider: &SdkMeterProvider, metrics: &Metrics) -> RequestDurations {
    let meter = provider.meter("profound-export");
    let callback = |family: &'static MetricFamily| {
        let metrics = metrics.clone();
        move |observer: &dyn AsyncInstrument<f64>| {
            for (labels, value) in metrics.values(family.name) {
                let labels: Vec<_> = labels.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
                observer.observe(value, &labels);
            }
        }
    };
    let mut durations = None;
    for family in FAMILIES {
        let (name, help) = (family.name, family.help);
        match family.kind {
            MetricKind::Counter => {
                let counter = meter.f64_observable_counter(name).with_description(help);
                counter.with_callback(callback(family)).build();
            }
            MetricKind::Gauge => {
                let gauge = meter.f64_observable_gauge(name).with_description(help);
                gauge.with_callback(callback(family)).build();
            }
            MetricKind::Histogram => {
                let histogram = meter.f64_histogram(name).with_description(help);
                durations = Some(histogram.with_boundaries(BUCKETS.to_vec()).build());
            }
        }
    }
    RequestDurations(durations)
}

impl RequestDurations {
    pub(super) fn observe(&self, event: &Event) {
        if let (Event::RequestFinished { endpoint, elapsed, .. }, Some(durations)) = (event, &self.0) {
            durations.record(elapsed.as_secs_f64(), &[KeyValue::new("endpoint", endpoint.clone())]);
        }
    }
}
