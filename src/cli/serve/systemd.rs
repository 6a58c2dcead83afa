//! Reports the activity to systemd; `systemctl status` shows it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::process_monitor::ProcessMonitor;
use crate::observe::ActiveRun;
use crate::schedule::SystemdNotifier;
use crate::status::JobStatus;

const MIN_INTERVAL: Duration = Duration::from_secs(2);

/// Reports every change until dropped.
pub(super) async fn report_activity(monitor: &ProcessMonitor, notify: &SystemdNotifier) {
    let (mut changes, mut statuses) = (monitor.live.changes(), monitor.cache.subscribe());
    let mut reported = String::new();
    loop {
        let text = activity_text(monitor, &statuses.borrow_and_update().as_ref().map(|status| status.jobs.clone()));
        if text != reported {
            notify.status(&text);
            reported = text;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = statuses.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}

fn activity_text(monitor: &ProcessMonitor, jobs: &Option<Vec<JobStatus>>) -> String {
    let doing = monitor.live.activity();
    match (&doing.run, jobs) {
        (Some(run), _) => under_way(run, doing.rate_limited_until),
        (None, Some(jobs)) => waiting(jobs),
        (None, None) => "waiting".to_owned(),
    }
}

fn under_way(run: &ActiveRun, waits_until: Option<Timestamp>) -> String {
    let far = match run.planned_slices {
        Some(planned) => format!("{} of {planned} slices", run.finished_slices),
        None => "planning".to_owned(),
    };
    let waits = waits_until.map(|until| format!(", rate limit reached, waiting until {until:.0}")).unwrap_or_default();
    format!("running {}: {far}{waits}", run.job)
}

fn waiting(jobs: &[JobStatus]) -> String {
    let next = jobs.iter().filter_map(|job| Some((job.next_run?, job))).min_by_key(|(at, _)| *at);
    next.map_or_else(
        || "no job has a next run".to_owned(),
        |(at, job)| {
            let zone = TimeZone::get(&job.timezone).unwrap_or(TimeZone::UTC);
            format!("next run: {}, {}", job.name, at.to_zoned(zone).strftime("%a %-d %b %H:%M %Z"))
        },
    )
}
