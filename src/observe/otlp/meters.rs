//! The metrics of docs/reference/metrics.md as instruments, under the same names.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::model::event::Event;
use crate::observe::{BUCKETS, FAMILIES, Family, Kind, Metrics};

/// How long requests took. Histograms cannot be observed, so these count from the start of the process.
#[derive(Debug, Clone)]
pub(super) struct Durations(Option<Histogram<f64>>);

/// Has `metrics` observed whenever they are sent: the provider keeps the instruments that are built here.
pub(super) fn observe(provider: &SdkMeterProvider, metrics: &Metrics) -> Durations {
    let meter = provider.meter("profound-export");
    let observed = |family: &'static Family| {
        let metrics = metrics.clone();
        move |observer: &dyn AsyncInstrument<f64>| {
            tell(&metrics, family, |value, labels| observer.observe(value, labels));
        }
    };
    let mut durations = None;
    for family in FAMILIES.iter().copied() {
        let (name, help) = (family.name, family.help);
        match family.kind {
            Kind::Counter => {
                let counter = meter.f64_observable_counter(name).with_description(help);
                counter.with_callback(observed(family)).build();
            }
            Kind::Gauge => {
                let gauge = meter.f64_observable_gauge(name).with_description(help);
                gauge.with_callback(observed(family)).build();
            }
            Kind::Histogram => {
                let histogram = meter.f64_histogram(name).with_description(help);
                durations = Some(histogram.with_boundaries(BUCKETS.to_vec()).build());
            }
        }
    }
    Durations(durations)
}

fn tell(metrics: &Metrics, family: &'static Family, observe: impl Fn(f64, &[KeyValue])) {
    for (values, value) in metrics.samples().numbers(family) {
        let labels = family.labels.iter().zip(values).map(|(name, value)| KeyValue::new(*name, value.clone()));
        observe(value, &labels.collect::<Vec<_>>());
    }
}

impl Durations {
    /// Hears an event.
    pub(super) fn hear(&self, event: &Event) {
        if let (Event::RequestFinished { endpoint, elapsed, .. }, Some(durations)) = (event, &self.0) {
            durations.record(elapsed.as_secs_f64(), &[KeyValue::new("endpoint", endpoint.clone())]);
        }
    }
}
