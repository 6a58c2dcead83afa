//! Whether the variables of OpenTelemetry ask for OTLP. A program without the feature `otlp` reads them too, and warns.

/// The signals that this program has.
pub const SIGNALS: [&str; 2] = ["TRACES", "METRICS"];

/// Whether `signal` is to be sent, where `variable` reads a variable.
pub fn is_exported(variable: impl Fn(&str) -> Option<String>, signal: &str) -> bool {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_off = value("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_none = value(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none");
    let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", &format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")];
    !is_off && !is_none && names.into_iter().any(|name| value(name).is_some())
}
