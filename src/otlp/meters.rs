//! The metrics of docs/metrics.md as instruments, under the same names.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry_sdk::metrics::SdkMeterProvider;

use crate::model::event::Event;
use crate::report::{BUCKETS, FAMILIES, Family, Kind, Metrics};

/// How long requests took. Histograms cannot be observed, so these count from the start of the process.
#[derive(Debug, Clone)]
pub(super) struct Durations(Histogram<f64>);

/// Has `metrics` observed whenever they are sent.
pub(super) fn observe(provider: &SdkMeterProvider, metrics: &Metrics) -> Durations {
    let meter = provider.meter("profound-export");
    let mut durations = None;
    for family in FAMILIES.iter().copied() {
        let metrics = metrics.clone();
        match family.kind {
            Kind::Counter => {
                _ = meter
                    .f64_observable_counter(family.name)
                    .with_description(family.help)
                    .with_callback(move |observer| {
                        tell(&metrics, family, |value, labels| observer.observe(value, labels));
                    })
                    .build()
            }
            Kind::Gauge => {
                _ = meter
                    .f64_observable_gauge(family.name)
                    .with_description(family.help)
                    .with_callback(move |observer| {
                        tell(&metrics, family, |value, labels| observer.observe(value, labels));
                    })
                    .build()
            }
            Kind::Histogram => {
                let histogram = meter.f64_histogram(family.name).with_description(family.help);
                durations = Some(histogram.with_boundaries(BUCKETS.to_vec()).build());
            }
        }
    }
    Durations(durations.unwrap_or_else(|| meter.f64_histogram("unused").build()))
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
        if let Event::RequestEnded { endpoint, took, .. } = event {
            self.0.record(took.as_secs_f64(), &[KeyValue::new("endpoint", endpoint.clone())]);
        }
    }
}
