//! Every metric there is: its name, its kind, its labels, what it means. docs/reference/metrics.md says the same; a test compares.

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// What is so at the moment.
    Gauge,
    /// How many were at most so large.
    Histogram,
}

impl Kind {
    /// The name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, which carries its unit.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// What tells its samples apart; each has a bounded number of values.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// Upper ends of the buckets of every histogram, in seconds: a page takes a moment, an event stream of a month minutes.
pub const BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $constant: Family = Family {
                name: concat!("profound_export_", $name),
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// Every metric there is, in the order in which they are shown.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    REQUESTS: Counter "requests_total" ["endpoint", "code"]
        "HTTP attempts by endpoint and status, `error` where no answer came.";
    REQUEST_DURATION: Histogram "request_duration_seconds" ["endpoint"]
        "From sending a request to the end of its body.";
    RETRIES: Counter "retries_total" ["reason"] "Attempts that were sent again.";
    BUDGET_LIMIT: Gauge "budget_limit_requests" [] "Requests of a period, as the API tells.";
    BUDGET_REMAINING: Gauge "budget_remaining_requests" [] "Requests that the API says remain of the period.";
    BUDGET_RESERVED: Gauge "budget_reserved_requests" [] "Requests of a period that are left for others.";
    BUDGET_SPENT: Gauge "budget_spent_requests" [] "Own requests in the trailing period.";
    BUDGET_RESET: Gauge "budget_reset_timestamp_seconds" [] "When the period ends.";
    BUDGET_WAITING: Gauge "budget_waiting_seconds" [] "How much longer nothing can be sent.";
    BUDGET_WAITED: Counter "budget_waited_seconds_total" [] "Time spent waiting for the budget.";
    FOREIGN_REQUESTS: Counter "foreign_requests_total" []
        "Requests by others with the same key, seen in what remains.";
    ROWS: Counter "rows_total" ["stream"] "Rows received.";
    WRITTEN_BYTES: Counter "written_bytes_total" ["stream"] "Bytes of Parquet published.";
    FILES: Counter "files_total" ["stream", "result"] "Day files that were written, or left alone as unchanged.";
    SLICES: Counter "slices_total" ["result"] "Slices by what came of them.";
    RUNS: Counter "runs_total" ["job", "result"] "Runs that ended, by how.";
    LAST_RUN: Gauge "last_run_timestamp_seconds" ["job"] "When the last run ended.";
    LAST_RUN_DURATION: Gauge "last_run_duration_seconds" ["job"] "How long the last run took.";
    LAST_RUN_EXIT_CODE: Gauge "last_run_exit_code" ["job"] "The exit code that stands for how the last run ended.";
    LAST_SUCCESS: Gauge "last_success_timestamp_seconds" ["job"] "When the last complete run ended.";
    NEXT_RUN: Gauge "next_run_timestamp_seconds" ["job"] "When the job starts next.";
    JOB_RUNNING: Gauge "job_running" ["job"] "1 while the job runs, else 0.";
    COVERAGE_LAG: Gauge "coverage_lag_seconds" ["job"]
        "Age of the oldest day that the job owes, since that day ended; 0 when nothing is behind.";
    STREAM_COVERAGE_LAG: Gauge "stream_coverage_lag_seconds" ["stream"]
        "Age of the oldest day that is owed of the stream, since that day ended; 0 when nothing is behind.";
    DAYS: Gauge "days" ["state"] "Days of streams and scopes by state, of the last 90 days.";
    KEY_EXPIRY: Gauge "key_expiry_timestamp_seconds" [] "When the API key expires, where that is set.";
    KEY_REJECTED: Gauge "key_rejected" [] "1 after the API rejected the key, until it takes one again.";
    ALERTS_ACTIVE: Gauge "alerts_active" ["event"] "Alerts that stand, by event.";
    ALERTS_SENT: Counter "alerts_sent_total" ["target", "result"] "Alerts that were sent, or could not be.";
    MEMORY: Gauge "memory_resident_bytes" [] "Resident memory of the process.";
    BUILD_INFO: Gauge "build_info" ["version"] "Always 1; the version of the program stands in the label.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_do_not_change() {
        let line = |family: &&Family| format!("{} {} {}", family.name, family.kind.name(), family.labels.join(","));
        insta::assert_snapshot!(FAMILIES.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
}
