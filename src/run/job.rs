//! One run of one job, from the first look at the ledger to the last record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::{ApiError, Limits};
use crate::config::JobConfig;
use crate::error_text::error_chain;
use crate::ledger::{Entry, Fact, LearnedFact, Ledger, Planned, RunEnd, State};
use crate::model::cost::RequestKind;
use crate::model::counters::Counters;
use crate::model::event::{Event, EventSink, RunFinished};
use crate::model::format::format_duration;
use crate::model::outcome::Outcome;
use crate::model::scope::Scope;
use crate::model::slice::Slice;
use crate::model::stream::{DiscoveredObject, Stream};
use crate::plan::{Known, WantedDays, beside_another};
use crate::run::account::{admit, check_tables};
use crate::run::commit::committer;
use crate::run::context::{RunContext, RunSettings, RunStart};
use crate::run::coverage::write_coverage;
use crate::run::discover::discover;
use crate::run::disposition::Origin;
use crate::run::error::RunError;
use crate::run::opening::{Opening, is_beside_another, open};
use crate::run::parents::ancestors_of;
use crate::run::process::{Processed, process};
use crate::run::result::RunResult;
use crate::write::Spool;

/// A clock that is wrong by more is told of.
const TOLD_SKEW_SECONDS: i64 = 300;
/// Waits whose ends lie no further apart are told as one.
const SAME_WAIT: Duration = Duration::from_secs(1);
/// How often the coverage table is written at the end of a run while others end, too.
const COVERAGE_AGAIN: u32 = 5;
/// Problems of a run that its record keeps, and how much of each.
const RECORDED_PROBLEMS: usize = 10;
const RECORDED_LETTERS: usize = 500;

/// What a run is for.
#[derive(Debug, Clone)]
pub struct Goal {
    /// The job.
    pub job: JobConfig,
    /// Its streams.
    pub streams: Vec<Arc<Stream>>,
    /// Given days in place of those that are due: a backfill.
    pub days: Option<WantedDays>,
    /// How long it may take.
    pub time: Option<Duration>,
}

impl Goal {
    /// Whether somebody asked for these very days.
    pub fn is_backfill(&self) -> bool {
        self.days.is_some_and(WantedDays::is_backfill)
    }
}

/// When a run began, when it must end, and how many requests its client had sent by then.
struct Began {
    at: Instant,
    deadline: Option<Instant>,
    requests: u64,
}

/// Runs `goal` once. Whatever happens, what was published is recorded, and the result says what is left.
pub async fn run_job(settings: &RunSettings, goal: &Goal) -> RunResult {
    let at = Instant::now();
    let deadline = goal.time.map(|time| at + time);
    let began = Began { at, deadline, requests: settings.client.requests() };
    // What is fatal for this run stops its own requests, not those of later runs.
    let settings = &RunSettings { cancel: settings.cancel.child_token(), ..settings.clone() };
    settings.client.set_limits(Limits { deadline, cancel: settings.cancel.clone() });
    let (run, job, started_at) = (Uuid::now_v7(), goal.job.name.clone(), settings.clock.now());
    settings.events.emit(&Event::RunStarted { run, job });
    let mut result = RunResult {
        run_id: run,
        job: goal.job.name.clone(),
        outcome: Outcome::Complete,
        error: None,
        streams: BTreeMap::new(),
        failed: Vec::new(),
        left: Vec::new(),
        backfill_remaining: 0,
        not_entitled: Vec::new(),
        requests: 0,
        took: Duration::ZERO,
    };
    let waits = tell_waits(settings.client.rate_limiter().waiting_until(), settings.events.clone());
    let running = async {
        match run_opened(settings, goal, &mut result, &began).await {
            Ok(()) => {}
            // What stopped the run comes first; that its end could not be recorded follows from it.
            Err(error) => {
                result.error.get_or_insert(error);
            }
        }
    };
    tokio::select! {
        () = running => {}
        () = waits => {}
    }
    result.requests = settings.client.requests() - began.requests;
    result.took = began.at.elapsed();
    result.outcome = outcome_of(&result);
    settings.events.emit(&Event::RunFinished(Box::new(RunFinished {
        run,
        job: result.job.clone(),
        outcome: result.outcome,
        summary: result.summary(),
        problem: result.error.as_ref().map(|error| error_chain(error)),
        hint: result.error.as_ref().and_then(RunError::hint),
        is_destination_error: result
            .error
            .as_ref()
            .is_some_and(|error| error.disposition().origin == Origin::Destination),
        started_at,
        elapsed: result.took,
        counters: result.counters(),
    })));
    result
}

async fn run_opened(
    settings: &RunSettings,
    goal: &Goal,
    result: &mut RunResult,
    began: &Began,
) -> Result<(), RunError> {
    let destinations = &settings.destinations;
    let (lake, clock) = (destinations.lake.clone(), settings.clock.clone());
    let mut ledger = Ledger::open_lake(lake, clock, &settings.catalog).await?;
    settings.client.rate_limiter().assume_costs(ledger.state().facts.costs());
    let opened = async {
        let found = discover(&settings.catalog, &settings.client).await?;
        // The clock is right from the first response on.
        Ok::<_, RunError>((open(settings, goal, ledger.state(), &found, settings.clock.now())?, found))
    };
    let (Opening { wanted, mut plan, warnings, news, doubt, mut entries, .. }, mut found) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            let (outcome, belongs) = (error.disposition().outcome, !matches!(error, RunError::ConfigMismatch { .. }));
            result.error = Some(error);
            return match belongs && 0 < ledger.state().number {
                true => record_vain(settings, goal, result, &mut ledger, outcome).await,
                false => Ok(()),
            };
        }
    };
    if let Some(wrong_by) = settings.client.clock_skew().filter(|wrong_by| TOLD_SKEW_SECONDS < wrong_by.as_secs().abs())
    {
        let message =
            format!("the clock of this machine differs from the API's by {wrong_by:#}; days follow the API's");
        settings.events.emit(&Event::Warning { message });
    }
    for message in news {
        settings.events.emit(&Event::Notice { message });
    }
    for message in warnings {
        settings.events.emit(&Event::Warning { message });
    }
    if let (Some(problem), Some(stream)) = (doubt, settings.catalog.discovering(DiscoveredObject::Category)) {
        let slice = Slice { stream: Arc::clone(stream), scope: Scope::default(), window: None };
        settings.events.emit(&Event::SliceFailed { slice: slice.clone(), problem: problem.clone() });
        result.failed.push((slice, problem));
    }
    if !destinations.single_writer && !ledger.state().facts.contains(&Fact::CreateIfAbsent) {
        destinations.lake.probe().await?;
        let evidence = "the store rejected the second create of a probe object".to_owned();
        let learned_at = settings.clock.now();
        entries.push(Entry::Learned(LearnedFact { fact: Fact::CreateIfAbsent, evidence, learned_at }));
    }
    destinations.lake.sweep_staging(settings.clock.now()).await;
    let spool = Spool::open(&destinations.spool_dir, result.run_id, destinations.spool_bytes)?;
    let started_at = settings.clock.now();
    let planned = plan.slices.iter().map(|planned| Planned {
        stream: planned.slice.stream.name.clone(),
        scope: planned.slice.scope.key(),
        window: planned.slice.window,
    });
    entries.push(Entry::RunStarted {
        run: result.run_id,
        job: goal.job.name.clone(),
        planned: planned.collect(),
        backfill: goal.is_backfill(),
    });
    ledger.append(entries, u64::MAX).await?;
    // An empty lake is nobody's until the first record stands, which may be another's.
    let admitted = admit(ledger.state(), &found, destinations.layout.partition, destinations.lake.url());
    match admitted.and_then(|added| check_tables(ledger.state(), &wanted.streams).map(|()| added)) {
        Ok(added) => ledger.append(added, u64::MAX).await?,
        Err(error) => {
            result.error = Some(error);
            return record_vain(settings, goal, result, &mut ledger, Outcome::ConfigMismatch).await;
        }
    }
    // Known only now: both may have begun at the same moment, and the number of the record says who was first.
    if is_beside_another(ledger.state(), result.run_id, started_at) {
        let message = "another run is under way on this lake: this one begins at the other end of what has no order of its \
                       own, and asks nothing that the other has read";
        settings.events.emit(&Event::Notice { message: message.to_owned() });
        let known = Known::at(started_at, &ledger.state().coverage, &ledger.state().forgotten, &|_, _, _| false);
        plan = beside_another(plan, &wanted, &known);
    }

    settings.events.emit(&Event::RunPlanned {
        job: goal.job.name.clone(),
        slices: plan.slices.len(),
        requests: plan.requests(),
    });
    result.not_entitled.extend(plan.not_entitled);
    let planned_streams: Vec<Arc<Stream>> =
        plan.slices.iter().map(|planned| Arc::clone(&planned.slice.stream)).collect();
    let start = RunStart {
        run_id: result.run_id,
        rewrite: matches!(goal.days, Some(WantedDays::Only { force: true, .. })),
        list_snapshots: goal.job.list_snapshots,
        on_shrink: goal.job.on_shrink,
        organizations: found.organizations.iter().map(|organization| organization.id.clone()).collect(),
        facts: ledger.state().facts.clone(),
        spool,
        parents: ancestors_of(&planned_streams, &settings.catalog),
        deadline: began.deadline,
    };
    let ledger = Arc::new(Mutex::new(ledger));
    let (committer, commits) = committer(Arc::clone(&ledger));
    let work: Vec<_> = plan
        .slices
        .into_iter()
        .map(|planned| {
            let fetched = match planned.slice.window {
                None => found.lists.remove(&planned.slice.stream.name),
                Some(_) => None,
            };
            (planned, fetched)
        })
        .collect();
    let slices = async {
        // Owned here, so that the last committer is gone when the last slice is, and the loop ends.
        let cx = RunContext::new(settings, start, Arc::clone(&ledger), committer);
        let mut running = futures::stream::iter(work)
            .map(|(planned, fetched)| {
                let processing = process(&cx, planned.slice, fetched);
                async move { (processing.await, planned.history) }
            })
            .buffer_unordered(settings.concurrency.max(1));
        while let Some((processed, history)) = running.next().await {
            if history {
                result.backfill_remaining += processed.left.len() as u64;
            }
            let Some(error) = take(result, processed) else {
                continue;
            };
            match error {
                // What was sent before is paid for and may arrive; nothing more is begun.
                RunError::Api(ApiError::OutOfTime { wait }) => {
                    if cx.stop_beginning() {
                        settings.events.emit(&out_of_time(settings, wait));
                    }
                }
                // Everything in flight is dropped whole; nothing more is sent.
                _ => settings.cancel.cancel(),
            }
            // An error that ends the run makes other slices end, too: their errors are milder, or the same.
            let known = result.error.as_ref().map(|error| error.disposition().outcome);
            let counts_more = known.is_none_or(|known| error.disposition().outcome > known);
            if counts_more {
                result.error = Some(error);
            }
        }
        if result.error.is_none() && !result.left.is_empty() && cx.is_late() {
            result.error = Some(RunError::DeadlinePassed);
        }
    };
    tokio::join!(slices, commits.run());
    finish(settings, goal, result, &ledger, began, started_at).await
}

/// What is told when the budget lets nothing be sent for `wait`, and the deadline comes first.
fn out_of_time(settings: &RunSettings, wait: Duration) -> Event {
    // A wait too long for a calendar is told by its length alone.
    let until = SignedDuration::try_from(wait).ok().and_then(|wait| settings.clock.now().checked_add(wait).ok());
    let until = until.map(|until| format!("before {until:.0}, ")).unwrap_or_default();
    let message = format!(
        "no request may be sent {until}for {}, and the deadline of this run comes first: nothing more is begun, and the \
         next run continues",
        format_duration(wait)
    );
    Event::Notice { message }
}

/// Adds what came of a slice to the result; returns what stops the run, if anything does.
fn take(result: &mut RunResult, processed: Processed) -> Option<RunError> {
    for (stream, counters) in processed.done {
        *result.streams.entry(stream).or_default() += counters;
    }
    result.failed.extend(processed.failed);
    result.left.extend(processed.left);
    result.not_entitled.extend(processed.not_entitled);
    processed.fatal
}

/// Records that a run came to nothing: whoever looks must not take the run before for the last.
async fn record_vain(
    settings: &RunSettings,
    goal: &Goal,
    result: &RunResult,
    ledger: &mut Ledger,
    outcome: Outcome,
) -> Result<(), RunError> {
    let end = RunEnd {
        run: result.run_id,
        job: goal.job.name.clone(),
        backfill: goal.is_backfill(),
        started_at: settings.clock.now(),
        outcome,
        counters: Counters::default(),
        backfill_remaining: 0,
        problems: problems_of(result),
        hint: result.error.as_ref().and_then(RunError::hint),
    };
    Ok(ledger.append(vec![Entry::RunEnded(end)], u64::MAX).await?)
}

/// Records the end of the run, and writes the coverage table and the checkpoint.
async fn finish(
    settings: &RunSettings,
    goal: &Goal,
    result: &mut RunResult,
    ledger: &Mutex<Ledger>,
    began: &Began,
    started_at: Timestamp,
) -> Result<(), RunError> {
    let end = RunEnd {
        run: result.run_id,
        job: goal.job.name.clone(),
        backfill: goal.is_backfill(),
        started_at,
        outcome: outcome_of(result),
        counters: Counters { requests: settings.client.requests() - began.requests, ..result.counters() },
        backfill_remaining: result.backfill_remaining,
        problems: problems_of(result),
        hint: result.error.as_ref().and_then(RunError::hint),
    };
    tracing::debug!(took = ?began.at.elapsed(), "recording the end of the run");
    let mut ledger = ledger.lock().await;
    let mut entries = learned_costs(settings, ledger.state());
    entries.push(Entry::RunEnded(end));
    ledger.append(entries, u64::MAX).await?;
    let destinations = &settings.destinations;
    let (layout, now) = (destinations.layout, settings.clock.now());
    let last_end = |ledger: &Ledger| ledger.state().runs.back().map(|run| run.number);
    for _ in 0..COVERAGE_AGAIN {
        let before = last_end(&ledger);
        write_coverage(&destinations.lake, layout, ledger.state(), &settings.catalog, now).await?;
        // Whoever ended meanwhile may have written a table that says more, before ours took its place.
        ledger.refresh().await?;
        if last_end(&ledger) == before {
            break;
        }
    }
    ledger.checkpoint().await?;
    Ok(())
}

/// What went wrong, for whoever looks later: the first few, each in a few lines at most.
fn problems_of(result: &RunResult) -> Vec<String> {
    let stopped = result.error.iter().map(|error| error_chain(error));
    let failed = result.failed.iter().map(|(slice, problem)| format!("{slice}: {problem}"));
    let shortened = |text: String| text.chars().take(RECORDED_LETTERS).collect();
    stopped.chain(failed).take(RECORDED_PROBLEMS).map(shortened).collect()
}

/// What requests turned out to cost and how long they took, where the ledger says otherwise.
fn learned_costs(settings: &RunSettings, state: &State) -> Vec<Entry> {
    let budget = settings.client.rate_limiter().snapshot();
    let (costs, known) = (budget.costs(), state.facts.costs());
    let changed = RequestKind::ALL.into_iter().filter(|kind| costs.cost(*kind) != known.cost(*kind));
    let costs = changed.map(|request| {
        let requests = costs.cost(request);
        let evidence = format!("the remaining requests fell by {requests} across requests that were in flight alone");
        (Fact::RequestCost { request, requests }, evidence)
    });
    let differs = |duration: &Duration| {
        let is_near = |known: Duration| (known.mul_f64(0.8)..=known.mul_f64(1.25)).contains(duration);
        !state.facts.request_duration().is_some_and(is_near)
    };
    let duration = budget.average_latency().filter(differs).map(|duration| {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or_default();
        (Fact::RequestDuration { milliseconds }, "the average over the requests of one run".to_owned())
    });
    let learned_at = settings.clock.now();
    let learned = costs.chain(duration).map(|(fact, evidence)| LearnedFact { fact, evidence, learned_at });
    learned.map(Entry::Learned).collect()
}

fn outcome_of(result: &RunResult) -> Outcome {
    match &result.error {
        Some(error) => error.disposition().outcome,
        None if !result.failed.is_empty() => Outcome::Failed,
        None if !result.left.is_empty() => Outcome::Incomplete,
        None => Outcome::Complete,
    }
}

/// Tells of waits for the budget, for as long as it is polled: once for each time that is waited for, however many wait.
async fn tell_waits(mut waiting: tokio::sync::watch::Receiver<Option<Instant>>, events: EventSink) {
    let mut told = Instant::now();
    while waiting.changed().await.is_ok() {
        let until = *waiting.borrow_and_update();
        if let Some(until) = until.filter(|until| told + SAME_WAIT < *until) {
            told = until;
            events.emit(&Event::RateLimitWait { wait: until.saturating_duration_since(Instant::now()) });
        }
    }
    std::future::pending().await
}
