//! One run of one job: prepare, begin, execute, conclude.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::{ApiError, RunLimits};
use crate::error_text::error_chain;
use crate::ledger::{Entry, Fact, LearnedFact, Ledger, Planned, RunEnd, State};
use crate::model::cost::RequestKind;
use crate::model::counters::Counters;
use crate::model::event::{Event, RunFinished};
use crate::model::format::format_duration;
use crate::model::outcome::Outcome;
use crate::model::scope::Scope;
use crate::model::slice::Slice;
use crate::model::stream::Stream;
use crate::plan::{Known, Plan, reversed};
use crate::retry::{RetryDecision, RetryState};
use crate::run::coverage_table::write_coverage;
use crate::run::disposition::Origin;
use crate::run::error::RunError;
use crate::run::prepare::{
    Discovered, PreparedRun, admit, check_tables, discover, has_concurrent_run, prepare, recheck,
};
use crate::run::result::RunResult;
use crate::run::settings::{RunRequest, RunSettings};
use crate::run::slice::{
    AccountFacts, CircuitBreaker, InProgress, LedgerView, ParentCache, SliceAdmission, SliceContext, SliceOptions,
    SliceReport, WindowLimits, ancestors_of, run_slice,
};
use crate::tables::{PublishedTable, TablesError};
use crate::write::{Spool, Worker};

/// A clock error above this is a warning.
const MAX_UNREPORTED_SKEW_SECONDS: i64 = 300;
/// How often the tables are published while another process publishes later records.
const TABLE_ATTEMPTS: u32 = 3;
/// How often the coverage table is written at the end of a run while other runs end, too.
const COVERAGE_ATTEMPTS: u32 = 5;
/// Problems of a run that its record keeps, and how many characters of each.
const RECORDED_PROBLEMS: usize = 10;
const RECORDED_CHARACTERS: usize = 500;

/// Runs `request` once. Whatever happens, published slices are recorded, and the result says what was deferred.
pub async fn run_job(settings: &RunSettings, request: &RunRequest) -> RunResult {
    let started = Instant::now();
    let deadline = request.time_limit.map(|limit| started + limit);
    let (requests_before, waited_before) = (settings.client.requests(), settings.client.rate_limiter().waited());
    // A failure that ends this run stops its own requests, not those of later runs, nor the publishing of its tables.
    let stop = settings.cancel.clone();
    let settings = &RunSettings { cancel: settings.cancel.child_token(), ..settings.clone() };
    settings.client.set_limits(RunLimits { deadline, cancel: settings.cancel.clone() });
    // An outage during the run before may be over.
    settings.client.probe_again();
    let (run, started_at) = (Uuid::now_v7(), settings.clock.now());
    let events = &settings.events;
    events.emit(&Event::RunStarted { run, job: request.job.name.clone() });
    let result = RunResult { run_id: run, job: request.job.name.clone(), ..RunResult::default() };
    let mut session = Session { settings, request, deadline, requests_before, waited_before, stop, result };
    if let Err(error) = settings.client.report_waits(session.run()).await {
        // The failure that ended the run is its error; that its end could not be recorded follows from it.
        session.result.error.get_or_insert(error);
    }
    let mut result = session.result;
    result.requests = settings.client.requests() - requests_before;
    result.elapsed = started.elapsed();
    result.outcome = result.current_outcome();
    let error = result.error.as_ref();
    events.emit(&Event::RunFinished(Box::new(RunFinished {
        run,
        job: result.job.clone(),
        outcome: result.outcome,
        summary: result.summary(),
        problem: error.map(|error| error_chain(error)),
        hint: error.and_then(RunError::hint),
        is_destination_error: error.is_some_and(|error| error.disposition().origin == Origin::Destination),
        started_at,
        elapsed: result.elapsed,
        counters: result.counters(),
    })));
    result
}

/// A run in progress.
struct Session<'a> {
    settings: &'a RunSettings,
    request: &'a RunRequest,
    deadline: Option<Instant>,
    requests_before: u64,
    waited_before: Duration,
    /// Cancelled if the process is to end.
    stop: CancellationToken,
    result: RunResult,
}

/// A run that is recorded in the ledger and has its plan.
struct BegunRun {
    plan: Plan,
    found: Discovered,
    spool: Arc<Spool>,
    worker: Worker,
    started_at: Timestamp,
}

impl Session<'_> {
    async fn run(&mut self) -> Result<(), RunError> {
        let settings = self.settings;
        let (lake, clock) = (settings.destinations.lake.clone(), settings.clock.clone());
        let mut ledger = Ledger::open_lake(lake, clock, &settings.catalog).await?;
        settings.client.rate_limiter().assume_costs(ledger.state().facts.costs());
        let (prepared, found) = match self.prepare(&mut ledger).await {
            Ok(prepared) => prepared,
            Err(error) => {
                // A lake of another account or layout must not get a record of this one, nor a new one the time of a wrong clock.
                let may_record = match ledger.state().partition {
                    Some(_) => !matches!(error, RunError::ConfigMismatch { .. }),
                    None => error.disposition().outcome != Outcome::ConfigMismatch,
                };
                self.result.error = Some(error);
                return if may_record { self.record_empty_run(&mut ledger).await } else { Ok(()) };
            }
        };
        let begun = match self.begin(prepared, found, &mut ledger).await {
            Ok(begun) => begun,
            Err(error @ RunError::Write(_)) => {
                self.result.error = Some(error);
                None
            }
            Err(error) => return Err(error),
        };
        let Some(begun) = begun else {
            return self.record_empty_run(&mut ledger).await;
        };
        let started_at = begun.started_at;
        let ledger = Arc::new(Mutex::new(ledger));
        self.execute(begun, &ledger).await;
        self.conclude(&mut *ledger.lock().await, started_at).await
    }

    /// Discovers the account, tries requests once more that were rejected a week ago, and plans the run.
    async fn prepare(&self, ledger: &mut Ledger) -> Result<(PreparedRun, Discovered), RunError> {
        let (settings, request) = (self.settings, self.request);
        let found = discover(&settings.catalog, &settings.client).await?;
        // The clock is corrected by the first response, so it is read after it.
        let prepared = prepare(settings, request, ledger.state(), &found, settings.clock.now())?;
        let (has_many, now) = (found.organizations.len() > 1, settings.clock.now());
        // A person who extracts days once more wants everything that the API has.
        let rechecks = recheck(settings, ledger.state(), &prepared.wanted, has_many, request.is_forced(), now).await?;
        let entries: Vec<Entry> = rechecks.into_iter().flat_map(|recheck| recheck.entries).collect();
        if entries.is_empty() {
            return Ok((prepared, found));
        }
        ledger.append(entries, None).await?;
        let prepared = prepare(settings, request, ledger.state(), &found, settings.clock.now())?;
        Ok((prepared, found))
    }

    /// Reports what was found, opens spool and destination, and records the start of the run. `None` if another writer has
    /// taken the lake meanwhile.
    async fn begin(
        &mut self,
        prepared: PreparedRun,
        found: Discovered,
        ledger: &mut Ledger,
    ) -> Result<Option<BegunRun>, RunError> {
        let settings = self.settings;
        let destinations = &settings.destinations;
        self.report(&prepared);
        let PreparedRun { wanted, mut plan, mut entries, .. } = prepared;
        entries.extend(self.probe(ledger.state()).await?);
        destinations.lake.sweep_staging(settings.clock.now()).await;
        let spool = Spool::open(&destinations.spool_dir, self.result.run_id, destinations.spool_bytes)?;
        let worker = Worker::start().map_err(RunError::NoThread)?;
        let started_at = settings.clock.now();
        let planned = plan.slices.iter().map(|planned| Planned {
            stream: planned.slice.stream.name.clone(),
            scope: planned.slice.scope.key(),
            window: planned.slice.window,
        });
        entries.push(Entry::RunStarted {
            run: self.result.run_id,
            job: self.request.job.name.clone(),
            planned: planned.collect(),
            backfill: self.request.is_backfill(),
        });
        ledger.append(entries, None).await?;
        // An empty lake belongs to the account of its first record, which another process may have written just now.
        let admitted = admit(ledger.state(), &found, destinations.layout.partition, destinations.lake.url());
        match admitted.and_then(|added| check_tables(ledger.state(), &wanted.streams).map(|()| added)) {
            Ok(added) => ledger.append(added, None).await?,
            Err(error) => {
                self.result.error = Some(error);
                return Ok(None);
            }
        }
        // Known only now: both runs may have started at the same moment, and the number of the record says which was first.
        if has_concurrent_run(ledger.state(), self.result.run_id, started_at) {
            settings.events.emit(&Event::ConcurrentRun);
            let known = Known::at(started_at, &ledger.state().coverage, &ledger.state().forgotten, &|_, _, _| false);
            plan = reversed(plan, &wanted, &known);
        }
        settings.events.emit(&Event::RunPlanned {
            job: self.request.job.name.clone(),
            slices: plan.slices.len(),
            requests: plan.requests(),
        });
        self.result.not_entitled.append(&mut plan.not_entitled);
        Ok(Some(BegunRun { plan, found, spool, worker, started_at }))
    }

    /// Reports what the preparation found.
    fn report(&mut self, prepared: &PreparedRun) {
        let RunSettings { events, client, catalog, .. } = self.settings;
        let is_large = |wrong_by: &SignedDuration| wrong_by.as_secs().abs() > MAX_UNREPORTED_SKEW_SECONDS;
        if let Some(difference) = client.clock_skew().filter(is_large) {
            events.emit(&Event::ClockSkew { difference });
        }
        for message in prepared.notices.iter().cloned() {
            events.emit(&Event::Notice { message });
        }
        for message in prepared.warnings.iter().cloned() {
            events.emit(&Event::Warning { message });
        }
        for (object, problem) in &prepared.list_problems {
            if let Some(stream) = catalog.discovering(*object) {
                let slice = Slice { stream: Arc::clone(stream), scope: Scope::default(), window: None };
                events.emit(&Event::SliceFailed { slice: slice.clone(), problem: problem.clone() });
                self.result.failed.push((slice, problem.clone()));
            }
        }
    }

    /// Runs the planned slices, as many at the same time as `api.concurrency`.
    async fn execute(&mut self, begun: BegunRun, ledger: &Arc<Mutex<Ledger>>) {
        let BegunRun { plan, mut found, spool, worker, started_at } = begun;
        let settings = self.settings;
        let streams: Vec<Arc<Stream>> = plan.slices.iter().map(|planned| Arc::clone(&planned.slice.stream)).collect();
        let options = SliceOptions {
            rewrite: self.request.is_forced(),
            list_snapshots: self.request.job.list_snapshots,
            on_shrink: self.request.job.on_shrink,
            parents: ancestors_of(&streams, &settings.catalog),
        };
        let organizations = {
            let ledger = ledger.lock().await;
            found.organization_ids().chain(&ledger.state().organizations).cloned().collect::<BTreeSet<_>>()
        };
        let facts = ledger.lock().await.state().facts.clone();
        let (view, records) = LedgerView::new(self.result.run_id, Arc::clone(ledger));
        let slices = async {
            // Owned here, and with it the view: `records` ends when that is dropped, together with the last slice.
            let cx = SliceContext {
                settings,
                options,
                ledger: view,
                account: AccountFacts::new(organizations, settings.event_streams, facts, started_at),
                admission: SliceAdmission::new(self.deadline, settings.cancel.clone()),
                breaker: CircuitBreaker::default(),
                limits: WindowLimits::default(),
                worker,
                spool,
                parents: ParentCache::default(),
                in_progress: InProgress::default(),
            };
            let mut slices: Vec<_> =
                plan.slices.into_iter().map(|planned| (planned.slice, planned.is_backfill)).collect();
            let mut deferred = Vec::new();
            let mut outages = settings.outage_retries.start();
            loop {
                let runs = slices.drain(..).map(|(slice, is_backfill)| {
                    let is_list = slice.window.is_none();
                    let prefetched = is_list.then(|| found.lists.remove(&slice.stream.name)).flatten();
                    let run = run_slice(&cx, slice, prefetched);
                    async move { (run.await, is_backfill) }
                });
                // Collected, since a lazy iterator with captured state would need a longer life than the stream.
                let runs: Vec<_> = runs.collect();
                let mut reports = futures::stream::iter(runs).buffer_unordered(settings.concurrency.max(1));
                while let Some((mut report, is_backfill)) = reports.next().await {
                    deferred.extend(report.deferred.drain(..).map(|slice| (slice, is_backfill)));
                    self.add(report, &cx.admission);
                }
                let resumed = cx.breaker.resume_after_outage();
                if resumed.is_empty() || !self.is_outage_over(&mut outages, &cx.admission).await {
                    break;
                }
                slices.extend(deferred.extract_if(.., |(slice, _)| resumed.contains(&slice.stream.name)));
            }
            self.result.backfill_remaining = deferred.iter().filter(|(_, is_backfill)| *is_backfill).count() as u64;
            self.result.deferred.extend(deferred.into_iter().map(|(slice, _)| slice));
            if self.result.error.is_none() && !self.result.deferred.is_empty() && cx.admission.is_past_deadline() {
                self.result.error = Some(RunError::DeadlinePassed);
            }
        };
        tokio::join!(slices, records);
    }

    /// After slices were deferred because the API was down: waits before they are requested once more. `false` if the run ends.
    async fn is_outage_over(&mut self, outages: &mut RetryState, admission: &SliceAdmission) -> bool {
        let RunSettings { client, events, cancel, .. } = self.settings;
        let outage = client.outage();
        let retry_after = match &outage {
            // Others were answered since, so there is nothing to wait for.
            None => Some(Duration::ZERO),
            Some(ApiError::Outage { retry_after, .. }) => *retry_after,
            Some(_) => None,
        };
        let pause = outages.next_pause(RetryDecision::after(retry_after));
        let is_in_time = |pause: &Duration| self.deadline.is_none_or(|deadline| Instant::now() + *pause < deadline);
        let Some(pause) = pause.filter(|pause| is_in_time(pause) && admission.accepts_slices()) else {
            if let Some(outage) = outage {
                self.result.error.get_or_insert(outage.into());
            }
            return false;
        };
        if let Some(outage) = outage {
            let message = format!("{outage}; the next request follows in {}", format_duration(pause));
            events.emit(&Event::Notice { message });
            client.probe_again();
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = cancel.cancelled() => false,
        }
    }

    /// Adds the report of a slice to the result, and stops the run if the slice says so.
    fn add(&mut self, report: SliceReport, admission: &SliceAdmission) {
        for (stream, counters) in report.published {
            *self.result.streams.entry(stream).or_default() += counters;
        }
        self.result.failed.extend(report.failed);
        self.result.not_entitled.extend(report.not_entitled);
        let Some(error) = report.fatal else {
            return;
        };
        if let RunError::Api(ApiError::OutOfTime { wait }) = error {
            // Requests in progress are paid for and may finish; no other slice starts.
            if admission.drain() {
                self.settings.events.emit(&Event::DeadlineBeforeReset { wait });
            }
        } else {
            // Everything in progress is dropped as a whole; nothing more is sent.
            self.settings.cancel.cancel();
        }
        // The failure that ends a run ends other slices, too: their errors are milder, or the same.
        let known = self.result.error.as_ref().map(|known| known.disposition().outcome);
        if known.is_none_or(|known| error.disposition().outcome > known) {
            self.result.error = Some(error);
        }
    }

    /// Records the end of the run, and writes the coverage table and the checkpoint.
    async fn conclude(&mut self, ledger: &mut Ledger, started_at: Timestamp) -> Result<(), RunError> {
        let settings = self.settings;
        self.publish_tables(ledger).await?;
        tracing::debug!("recording the end of the run");
        let mut entries = learned_costs(settings, ledger.state());
        let requests = settings.client.requests() - self.requests_before;
        entries.push(self.run_ended(started_at, Counters { requests, ..self.result.counters() }));
        ledger.append(entries, None).await?;
        let (lake, layout, now) = (&settings.destinations.lake, settings.destinations.layout, settings.clock.now());
        let last_end = |ledger: &Ledger| ledger.state().runs.back().map(|run| run.number);
        for _ in 0..COVERAGE_ATTEMPTS {
            let before = last_end(ledger);
            write_coverage(lake, layout, ledger.state(), &settings.catalog, now).await?;
            // A run that ended meanwhile may have written a newer table, which ours has then replaced.
            ledger.refresh().await?;
            if last_end(ledger) == before {
                break;
            }
        }
        Ok(ledger.checkpoint().await?)
    }

    /// Publishes what the ledger has and the tables lack, from whichever run. A failure is one of this run, whose slices stay recorded.
    async fn publish_tables(&mut self, ledger: &mut Ledger) -> Result<(), RunError> {
        let settings = self.settings;
        let is_mismatch = self.result.current_outcome() == Outcome::ConfigMismatch;
        let Some(tables) = settings.destinations.tables.as_ref().filter(|_| !is_mismatch) else { return Ok(()) };
        for attempt in 1..=TABLE_ATTEMPTS {
            ledger.refresh().await?;
            let report = tables.publish(settings.tables_source(ledger.state(), &self.stop)).await;
            for (table, published) in &report.published {
                let PublishedTable { added_files: files, bytes, .. } = *published;
                settings.events.emit(&Event::TablePublished { table: table.clone(), files, bytes });
            }
            self.result.tables.extend(report.published);
            // Another process has published records that were added since.
            let is_behind = report.failed.iter().any(|error| matches!(error, TablesError::Behind { .. }));
            if is_behind && attempt < TABLE_ATTEMPTS {
                continue;
            }
            for error in report.failed {
                settings.events.emit(&Event::TableFailed { table: error.table().map(str::to_owned) });
                let error = RunError::from(Box::new(error));
                let known = self.result.error.as_ref().map(|known| known.disposition().outcome);
                if known.is_none_or(|known| error.disposition().outcome > known) {
                    self.result.error = Some(error);
                } else {
                    settings.events.emit(&Event::Warning { message: error_chain(&error) });
                }
            }
            break;
        }
        Ok(())
    }

    /// Before the first record of a lake: that the store never lets two writers create the same one.
    async fn probe(&self, state: &State) -> Result<Option<Entry>, RunError> {
        let RunSettings { destinations, clock, .. } = self.settings;
        if destinations.single_writer || state.facts.contains(&Fact::CreateIfAbsent) {
            return Ok(None);
        }
        destinations.lake.probe().await?;
        let evidence = "the store rejected the second create of a probe object";
        Ok(Some(Entry::Learned(LearnedFact::new(Fact::CreateIfAbsent, evidence, clock.now()))))
    }

    /// Records a run that did nothing, so that the run before it does not look like the last one, and a lake without any export shows why.
    async fn record_empty_run(&mut self, ledger: &mut Ledger) -> Result<(), RunError> {
        let mut entries = Vec::from_iter(self.probe(ledger.state()).await?);
        self.publish_tables(ledger).await?;
        entries.push(self.run_ended(self.settings.clock.now(), Counters::default()));
        Ok(ledger.append(entries, None).await?)
    }

    fn run_ended(&self, started_at: Timestamp, counters: Counters) -> Entry {
        Entry::RunEnded(RunEnd {
            run: self.result.run_id,
            job: self.request.job.name.clone(),
            backfill: self.request.is_backfill(),
            started_at,
            outcome: self.result.current_outcome(),
            counters,
            backfill_remaining: self.result.backfill_remaining,
            waited_seconds: (self.settings.client.rate_limiter().waited() - self.waited_before).as_secs(),
            failed_streams: self.result.failed.iter().map(|(slice, _)| slice.stream.name.clone()).collect(),
            problems: self.problems(),
            hint: self.result.error.as_ref().and_then(RunError::hint),
        })
    }

    /// What went wrong, for people who look later: the first few problems, shortened.
    fn problems(&self) -> Vec<String> {
        let error = self.result.error.iter().map(|error| error_chain(error));
        let failed = self.result.failed.iter().map(|(slice, problem)| format!("{slice}: {problem}"));
        let shortened = |text: String| text.chars().take(RECORDED_CHARACTERS).collect();
        error.chain(failed).take(RECORDED_PROBLEMS).map(shortened).collect()
    }
}

impl RunResult {
    fn current_outcome(&self) -> Outcome {
        match &self.error {
            Some(error) => error.disposition().outcome,
            None if !self.failed.is_empty() => Outcome::Failed,
            None if !self.deferred.is_empty() => Outcome::Incomplete,
            None => Outcome::Complete,
        }
    }
}

/// What requests turned out to cost and how long they took, if the ledger says otherwise.
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
    let learned = costs.chain(duration).map(|(fact, evidence)| LearnedFact::new(fact, evidence, learned_at));
    learned.map(Entry::Learned).collect()
}
