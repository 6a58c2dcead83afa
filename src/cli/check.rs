//! `check`: whether a run would find everything it needs, before the schedule depends on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::schedule_fit::{self, Scheduled};
use crate::cli::setup::{configuration, goal, jobs, schedule, settings, starts};
use crate::cli::{GlobalOptions, OutputFormat, exit, iam, logging, print, print_json, sample};
use crate::clock::Clock;
use crate::config::JobConfig;
use crate::ledger::Ledger;
use crate::model::event::EventSink;
use crate::model::format::format_count;
use crate::run::{AccountFacts, Discovered, Preview, Recheck, discover, preview, recheck, resolve_scopes};

/// Next runs to show for each job.
const RUNS_SHOWN: usize = 3;
/// A clock that is wrong by more is worth a line.
const MAX_CLOCK_ERROR_SECONDS: i64 = 300;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Also request the first rows of each selected stream, and print every value that does not fit its column
    #[arg(long)]
    sample: bool,
    /// Only print the least privileges that the credentials of the destination need: for S3 an IAM policy, as JSON
    #[arg(long, conflicts_with = "sample")]
    iam: bool,
    /// Include the privileges that `forget` needs, which deletes data
    #[arg(long, requires = "iam")]
    forget: bool,
}

pub async fn execute(options: &GlobalOptions, args: CheckArgs) -> Result<u8, Failure> {
    let (events, _progress) = logging::start(options, "check");
    if args.iam {
        return iam::show(options, args.forget);
    }
    let mut findings = Findings { output: options.output, findings: Vec::new() };
    let checked = check(options, &args, events, &mut findings).await;
    findings.finish(checked.as_ref().err())?;
    checked.map(|()| exit::COMPLETE)
}

async fn check(
    options: &GlobalOptions,
    args: &CheckArgs,
    events: EventSink,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (sources, config) = configuration(options)?;
    let chosen = jobs(&config, &[])?;
    findings.add("configuration", "valid".to_owned())?;
    let settings = settings(&sources, &config, Clock::system(), events, CancellationToken::new())?;
    findings.add("key", settings.client.key_origin())?;
    let client = &settings.client;
    let found = client.report_waits(discover(&settings.catalog, client)).await?;
    let at = config.api.base_url.as_str().trim_end_matches('/');
    findings.add("API", format!("{at} responds: {}", holdings(&found)))?;
    if let Some(wrong_by) =
        settings.client.clock_skew().filter(|wrong_by| wrong_by.as_secs().abs() > MAX_CLOCK_ERROR_SECONDS)
    {
        findings.add("clock", format!("differs from the API's by {wrong_by:#}; days follow the API's"))?;
    }
    let lake = &settings.destinations.lake;
    if settings.destinations.single_writer {
        findings
            .add("destination", format!("{}; `single_writer` is set, so atomic creation is not tested", lake.url()))?;
    } else {
        lake.probe().await?;
        findings.add("destination", format!("{} is writable, and creates files without overwriting", lake.url()))?;
    }
    if let Some(tables) = &settings.destinations.tables {
        let tables = tables.open()?;
        if !settings.destinations.single_writer {
            tables.probe().await?;
        }
        findings.add("tables", format!("{} is writable, and creates files without overwriting", tables.url()))?;
    }
    let mut ledger = Ledger::open_lake(lake.clone(), settings.clock.clone(), &settings.catalog).await?;
    if let Some(created_at) = ledger.state().url.as_ref().filter(|url| *url != lake.url()) {
        let fact = format!(
            "the ledger at {} says that its lake was created at {created_at}: harmless if it was moved or copied; otherwise \
             `destination.url` or the endpoint leads to the wrong lake",
            lake.url()
        );
        findings.add("warning", fact)?;
    }
    let now = settings.clock.now();
    for job in &chosen {
        let wanted =
            preview(&settings, &goal(&config, job, now)?, ledger.state(), &found, starts(job, now)?)?.run.wanted;
        let has_many = found.organizations.len() > 1;
        let mut entries = Vec::new();
        for recheck in recheck(&settings, ledger.state(), &wanted, has_many, true, now).await? {
            findings.add("learned", described(&recheck))?;
            entries.extend(recheck.entries);
        }
        if !entries.is_empty() {
            ledger.append(entries, None).await?;
        }
    }
    let planned = |job: &JobConfig| -> Result<Preview, Failure> {
        Ok(preview(&settings, &goal(&config, job, now)?, ledger.state(), &found, starts(job, now)?)?)
    };
    for (object, problem) in &found.incomplete {
        findings.add("warning", format!("the list of {}: {problem}", object.plural()))?;
    }
    let mut sampled = BTreeMap::new();
    let mut scheduled = Vec::new();
    for job in chosen {
        let goal = goal(&config, job, now)?;
        let resolved = resolve_scopes(job, &found, &ledger.state().coverage)?;
        let next = next_runs(job, now)?;
        if let Some(starts) = starts(job, now)? {
            scheduled.push(Scheduled { job, starts, steady_state: planned(job)?.forecast.steady_state });
        }
        findings.add("job", format!("{}: {}; {next}", job.name, format_count(goal.streams.len() as u64, "stream")))?;
        for warning in &resolved.warnings {
            findings.add("warning", warning.clone())?;
        }
        for stream in goal.streams {
            let scope = resolved.scopes.get(&stream.scope).and_then(|scopes| scopes.first()).cloned();
            sampled.entry(stream.name.clone()).or_insert((stream, scope));
        }
    }
    let mut misfitting = 0;
    if args.sample {
        let organizations = found.organization_ids().cloned().collect();
        let facts = ledger.state().facts.clone();
        let account = AccountFacts::new(organizations, settings.event_streams, facts, now);
        for (stream, scope) in sampled.into_values() {
            let report = sample::report(&settings, &stream, scope, &account);
            let (text, fits) = client.report_waits(report).await;
            findings.add("sample", format!("{}: {text}", stream.name))?;
            misfitting += u64::from(!fits);
        }
    }
    let budget = settings.client.rate_limiter().snapshot();
    schedule_fit::check(&config, &scheduled, &budget, |job, tier| {
        let of_tier = JobConfig { streams: vec![tier.name().to_owned()], ..job.clone() };
        planned(&of_tier).map(|preview| preview.forecast.steady_state)
    })?;
    for warning in schedule_fit::uneven(&scheduled) {
        findings.add("warning", warning)?;
    }
    if let Some(sum) = schedule_fit::summary(&scheduled, &budget) {
        findings.add("rate limit", sum)?;
    }
    if misfitting > 0 {
        let hint = "exclude them with `!name` until a version supports the new form; everything else can be exported";
        return Err(Failure::new(exit::FAILED, format!("{} would fail", format_count(misfitting, "stream"))).hint(hint));
    }
    Ok(())
}

/// What trying a rejected request once more showed.
fn described(recheck: &Recheck) -> String {
    let before = recheck.learned.difference().unwrap_or_default();
    match recheck.is_accepted {
        Some(true) => format!("{before}: the API accepts the usual request again, and the next run sends it"),
        Some(false) => format!("{before}: {}; confirmed now", recheck.learned.evidence),
        None => format!("{before}: {}; no answer about it now", recheck.learned.evidence),
    }
}

/// The findings, printed at once as a table and at the end as JSON.
struct Findings {
    output: OutputFormat,
    findings: Vec<(&'static str, String)>,
}

impl Findings {
    fn add(&mut self, topic: &'static str, fact: String) -> Result<(), Failure> {
        if self.output == OutputFormat::Table {
            print(&format!("{topic:<15}{}", fact.replace('\n', "\n               ")))?;
        }
        self.findings.push((topic, fact));
        Ok(())
    }

    /// The JSON has what was found before the failure, and the failure.
    fn finish(self, failure: Option<&Failure>) -> Result<(), Failure> {
        if self.output == OutputFormat::Json {
            let facts = self.findings.into_iter().map(|(topic, fact)| json!({"topic": topic, "fact": fact}));
            let failed = |failure: &Failure| json!({"topic": "error", "fact": failure.message, "hint": failure.hint});
            print_json(&facts.chain(failure.map(failed)).collect::<serde_json::Value>())?;
        }
        Ok(())
    }
}

/// What the key can read: `1 organization, 3 categories, …`.
pub fn holdings(found: &Discovered) -> String {
    let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    [
        count(found.organizations.len(), "organization", "organizations"),
        count(found.categories.len(), "category", "categories"),
        count(found.assets.len(), "asset", "assets"),
        count(found.domains.len(), "domain", "domains"),
    ]
    .join(", ")
}

fn next_runs(job: &JobConfig, now: Timestamp) -> Result<String, Failure> {
    let Some(schedule) = schedule(job)? else {
        return Ok("runs only by hand, because it has no `cron`".to_owned());
    };
    let zone = schedule.zone().clone();
    let times: Vec<String> = schedule
        .upcoming(now)
        .take(RUNS_SHOWN)
        .map(|at| at.to_zoned(zone.clone()).strftime("%a %-d %b %H:%M %Z").to_string())
        .collect();
    Ok(format!("next runs {}", times.join(", ")))
}
