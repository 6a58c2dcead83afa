//! Two processes write one lake at once, with every interleaving of their steps at the store: no row is lost, no record
//! describes another file than the published one, and the next run re-extracts every stale day.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use profound_export::clock::Clock;
use profound_export::config::{Partition, WholeDays};
use profound_export::destination::Destination;
use profound_export::maintain::Depth;
use profound_export::model::day::Day;
use profound_export::run::{Outcome, RunResult, RunSettings, run_job};
use profound_export::simulator::Account;

use crate::support::reader::Reader;
use crate::support::turns::{How, Turns, turns};
use crate::support::{Export, Place, account, day, is_long_test, of_stream};
use crate::verify::verified;

const STREAMS: [&str; 3] = ["visibility_v2_by_day", "bots_v2", "models"];
const DATED: [&str; 2] = ["visibility_v2_by_day", "bots_v2"];

/// One step of an order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A process advances by one step at the store.
    Of(usize, How),
    /// A process advances until its next step is a write.
    ToWrite(usize),
    /// A process runs to its end.
    ToEnd(usize),
    /// The API restates its figures.
    Restate,
    /// Eleven minutes pass: a process that recorded nothing meanwhile is presumed killed.
    Wait,
}

/// Clock skew of the two machines, in seconds.
type Skews = [i64; 2];

/// A lake that two processes write, and a reader of it.
struct Race {
    export: Export,
    store: Arc<dyn ObjectStore>,
    reader: Reader,
    /// The first day of the second process.
    other_start: Day,
    /// Streams that the second process extracted after the figures changed, while the first process waited.
    extracted_after_restatement: BTreeSet<&'static str>,
}

impl Race {
    async fn new() -> Self {
        let small = Account { categories: 1, domains: 1, prompts_per_category: 2, ..account() };
        let mut export = Export::start(Place::Memory, small, &STREAMS).await;
        // All days are final when they are extracted, so that no regular re-extraction hides an error.
        let start = day("2026-03-08");
        export.job.start = Some(start);
        export.job.lookback = Some(WholeDays(0));
        export.api.concurrency = 1;
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut reader = Reader::default();
        reader.allow(&export, &STREAMS);
        let export = export.on(Destination::new(Arc::clone(&store), "memory:///"));
        Self { export, store, reader, other_start: start, extracted_after_restatement: BTreeSet::new() }
    }

    /// A process whose clock is wrong by `skew` seconds, and its turns.
    fn process(&self, skew: i64) -> (RunSettings, Turns) {
        let (store, turns) = turns(Arc::clone(&self.store));
        let mut settings =
            self.export.settings_at(Clock::starting_at(self.export.simulator.now() + SignedDuration::from_secs(skew)));
        settings.destinations.lake = Destination::new(store, "memory:///");
        (settings, turns)
    }

    fn restate(&mut self) {
        ["2026-03-08", "2026-03-09"].iter().for_each(|date| self.export.simulator.restate(day(date)));
        self.reader.allow(&self.export, &STREAMS);
    }

    /// Runs the steps of `order`, then the first process to its end, then the second. Returns how each ended, and how
    /// many steps of `order` existed.
    async fn run(&mut self, skews: Skews, order: &[Step]) -> ([Option<RunResult>; 2], usize) {
        let goal = self.export.goal();
        let mut other_goal = goal.clone();
        other_goal.job.start = Some(self.other_start);
        let ((one, one_turns), (other, other_turns)) = (self.process(skews[0]), self.process(skews[1]));
        let processes = [one_turns.process(run_job(&one, &goal)), other_turns.process(run_job(&other, &other_goal))];
        let (clocks, mut turns) = ([&one.clock, &other.clock], [one_turns, other_turns]);
        let mut steps_run = 0;
        let schedule = async {
            for step in order {
                match *step {
                    Step::Restate => self.restate(),
                    // An upload that takes longer is the limit of the protocol.
                    Step::Wait if turns[0].is_at_write().await => {}
                    Step::Wait => {
                        let later = |now: Timestamp| now + SignedDuration::from_mins(11);
                        self.export.simulator.set_now(later(self.export.simulator.now()));
                        for clock in clocks {
                            clock.correct(later(clock.now()));
                        }
                    }
                    Step::ToWrite(process) => {
                        turns[process].take_to_write().await;
                    }
                    Step::ToEnd(process) => {
                        let before = self.export.simulator.requests().len();
                        while turns[process].take(How::Done).await {}
                        let received = self.export.simulator.requests().split_off(before);
                        let is_extracted = |stream: &&str| !of_stream(&received, stream).is_empty();
                        self.extracted_after_restatement.extend(DATED.into_iter().filter(is_extracted));
                    }
                    Step::Of(process, how) => steps_run += usize::from(turns[process].take(how).await),
                }
                self.reader.look(&self.export).await;
            }
            for turns in &mut turns {
                while turns.take(How::Done).await {}
            }
            self.reader.look(&self.export).await;
        };
        let (ended, ()) = tokio::join!(futures::future::join_all(processes), schedule);
        (ended.try_into().unwrap(), steps_run)
    }

    /// No reader saw a partial file, and after the next run each file matches its ledger record and no work is left.
    async fn assert_converges(&mut self, what: &str) {
        let export = &self.export;
        assert!(self.reader.partial.is_empty(), "{what}: {:?}", self.reader.partial);
        assert!(self.reader.unexpected.is_empty(), "{what}: {:?}", self.reader.unexpected);
        // So much later that it resumes neither run, and a killed one counts as killed.
        export.simulator.set_now(export.simulator.now() + SignedDuration::from_hours(13));
        let run = export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{what}: {} {:?}", run.summary(), run.error);
        let (report, findings) = verified(export, Depth::Rows, false).await;
        assert!(report.is_fine() && findings.is_empty(), "{what}: {findings:?}");
        export.assert_ledger_knows_every_file().await;
        self.reader.look(export).await;
        assert!(self.reader.unexpected.is_empty(), "{what}: {:?}", self.reader.unexpected);
        let state = export.state().await;
        let states = state.coverage.values().flat_map(|scopes| scopes.values());
        let mut states = states.flat_map(|scope| scope.days.values().chain(&scope.whole));
        assert!(states.all(|state| !state.stale && state.suspect.is_none()), "{what}: a day is still stale or suspect");

        let (run, received) = export.run_and_watch().await;
        assert_eq!(run.outcome, Outcome::Complete, "{what}");
        for stream in DATED {
            assert!(of_stream(&received, stream).is_empty(), "{what}: {stream} is requested in every run");
        }
        assert_eq!(export.coverage().await.iter().filter(|row| row["status"] == "missing").count(), 0, "{what}");
    }

    /// If the days are re-extracted, the lake equals the account.
    async fn assert_is_the_account(&mut self, what: &str) {
        self.export.job.lookback = Some(WholeDays(30));
        let run = self.export.run().await;
        assert_eq!(run.outcome, Outcome::Complete, "{what}: {} {:?}", run.summary(), run.error);
        for stream in STREAMS {
            self.export.assert_equals_simulator(stream).await;
        }
    }
}

/// How many steps a process has on its own; the order is longer than any run.
async fn steps_alone() -> usize {
    Race::new().await.run([0, 0], &[Step::Of(0, How::Done); 500]).await.1
}

/// The steps of the first process at which something happens: all of them in a long test, otherwise every fifth, beginning at `offset`.
async fn steps_to_try(offset: usize) -> impl Iterator<Item = usize> {
    // Five has no factor in common with the cycles of clocks and writes below.
    let (first, stride) = if is_long_test() { (0, 1) } else { (offset, 5) };
    (first..=steps_alone().await).step_by(stride)
}

/// `steps` successful steps of the first process.
fn first(steps: usize) -> impl Iterator<Item = Step> {
    std::iter::repeat_n(Step::Of(0, How::Done), steps)
}

/// Runs `order` in a new lake; returns how both processes ended.
async fn raced(skews: Skews, order: &[Step]) -> (Race, [Option<RunResult>; 2]) {
    let mut race = Race::new().await;
    let (ended, _) = race.run(skews, order).await;
    (race, ended)
}

#[tokio::test]
async fn lake_converges_if_another_process_runs_between_two_steps() {
    for at in steps_to_try(0).await {
        // One of the clocks is right, an hour slow or an hour fast.
        let skew = [0, -3600, 3600][at % 3];
        let what = format!("after step {at}, {skew} s");
        let order: Vec<Step> = first(at).chain([Step::Restate, Step::ToEnd(1)]).collect();
        let (mut race, ended) = raced([skew, 0], &order).await;
        for run in ended.map(Option::unwrap) {
            assert_eq!(run.outcome, Outcome::Complete, "{what}: {} {:?}", run.summary(), run.error);
        }
        race.assert_converges(&what).await;
        for stream in &race.extracted_after_restatement {
            race.export.assert_equals_simulator(stream).await;
        }
        race.assert_is_the_account(&what).await;
    }
}

#[tokio::test]
async fn lake_converges_if_the_interrupted_process_dies_at_a_write() {
    for at in steps_to_try(1).await {
        let more = at % 3;
        let what = format!("after step {at}, {more} writes later");
        let next = (0..more).flat_map(|_| [Step::ToWrite(0), Step::Of(0, How::Done)]);
        let dies = [Step::ToWrite(0), Step::Of(0, How::KilledAfter)];
        let order: Vec<Step> = first(at).chain([Step::Restate, Step::ToEnd(1)]).chain(next).chain(dies).collect();
        let (mut race, ended) = raced([0, 0], &order).await;
        assert_eq!(ended[1].as_ref().unwrap().outcome, Outcome::Complete, "{what}");
        race.assert_converges(&what).await;
        race.assert_is_the_account(&what).await;
    }
}

/// The second process exports one of two days: the first commits the other day, extracts both once more, and dies.
#[tokio::test]
async fn lake_converges_if_a_process_dies_in_its_second_attempt() {
    for at in steps_to_try(2).await {
        let more = 2 + at % 2;
        let what = format!("after step {at}, {more} writes later");
        let next = (0..more).flat_map(|_| [Step::ToWrite(0), Step::Of(0, How::Done)]);
        let dies = [Step::ToWrite(0), Step::Of(0, How::KilledAfter)];
        let order: Vec<Step> = first(at).chain([Step::Restate, Step::ToEnd(1)]).chain(next).chain(dies).collect();
        let mut race = Race::new().await;
        race.other_start = day("2026-03-09");
        race.run([0, 0], &order).await;
        race.assert_converges(&what).await;
        race.assert_is_the_account(&what).await;
    }
}

/// The first process waits so long that it is presumed killed, while the second is about to publish what it extracted before the figures
/// changed.
#[tokio::test]
async fn lake_converges_if_a_silent_process_dies_at_a_late_write() {
    for at in steps_to_try(3).await {
        let writes = 2 + at % 2;
        let what = format!("after step {at}, {writes} writes of the other");
        let begins = (0..writes).flat_map(|_| [Step::ToWrite(1), Step::Of(1, How::Done)]);
        let late = [Step::ToWrite(1), Step::Restate, Step::ToWrite(0), Step::ToEnd(1), Step::Of(0, How::KilledAfter)];
        let order: Vec<Step> = first(at).chain([Step::Wait]).chain(begins).chain(late).collect();
        let (mut race, _) = raced([0, 0], &order).await;
        race.assert_converges(&what).await;
        race.assert_is_the_account(&what).await;
    }
}

#[tokio::test]
async fn lake_converges_whatever_the_store_answers_to_a_late_write() {
    for how in [How::TryAgain, How::Lost, How::Twice] {
        for before in 0.. {
            let what = format!("write {before} {how:?}");
            let writes = (0..before).flat_map(|_| [Step::ToWrite(0), Step::Of(0, How::Done)]);
            let hurt = [Step::ToWrite(0), Step::Restate, Step::ToEnd(1), Step::Of(0, how)];
            let order: Vec<Step> = writes.chain(hurt).collect();
            let mut race = Race::new().await;
            let (ended, steps_run) = race.run([0, 0], &order).await;
            for run in ended.map(Option::unwrap) {
                // A create that is retried by the client looks like an overwriting store to the probe.
                assert!(matches!(run.outcome, Outcome::Complete | Outcome::Unavailable), "{what}: {}", run.summary());
            }
            race.assert_converges(&what).await;
            race.assert_is_the_account(&what).await;
            if steps_run < before + 1 {
                assert!(5 < before, "only {before} writes were tried");
                break;
            }
        }
    }
}

/// Random orders: as many as `PROFOUND_EXPORT_ORDERS` says, or a few.
#[tokio::test]
async fn lake_converges_in_random_orders_with_random_failures() {
    let orders = std::env::var("PROFOUND_EXPORT_ORDERS").ok().map_or(10, |orders| orders.parse().unwrap());
    for seed in 0..orders {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut order = Vec::new();
        for _ in 0..chance.usize(20..90) {
            let process = chance.usize(..2);
            let how = match chance.u8(..) {
                ..6 => How::KilledBefore,
                6..12 => How::KilledAfter,
                12..24 => How::TryAgain,
                24..36 => How::Lost,
                36..48 => How::Twice,
                _ => How::Done,
            };
            // Bursts, as machines have them.
            order.extend((0..chance.usize(..6)).map(|_| Step::Of(process, How::Done)));
            order.push(Step::Of(process, how));
            if chance.u8(..) < 16 {
                order.push(Step::Restate);
            }
        }
        let skews = [chance.i64(-3600..3600), chance.i64(-3600..3600)];
        let (mut race, _) = raced(skews, &order).await;
        let what = format!("seed {seed}");
        race.assert_converges(&what).await;
        race.assert_is_the_account(&what).await;
    }
}

/// Two processes that must not share a lake start in an empty one at once: after each write of the first, the second runs
/// to its end.
async fn assert_one_is_rejected(other: impl Fn(&Race) -> RunSettings, words: &str) {
    for before in 0.. {
        let mut race = Race::new().await;
        let (one, mut one_turns) = race.process(0);
        let (store, mut other_turns) = turns(Arc::clone(&race.store));
        let mut other = other(&race);
        other.destinations.lake = Destination::new(store, "memory:///");
        let goal = race.export.goal();
        let processes = [one_turns.process(run_job(&one, &goal)), other_turns.process(run_job(&other, &goal))];
        let mut steps_run = 0;
        let schedule = async {
            for _ in 0..before {
                one_turns.take_to_write().await;
                steps_run += usize::from(one_turns.take(How::Done).await);
            }
            one_turns.take_to_write().await;
            while other_turns.take(How::Done).await {}
            while one_turns.take(How::Done).await {}
        };
        let (ended, ()) = tokio::join!(futures::future::join_all(processes), schedule);
        let ended: Vec<RunResult> = ended.into_iter().map(Option::unwrap).collect();
        let rejected: Vec<&RunResult> = ended.iter().filter(|run| run.outcome == Outcome::ConfigMismatch).collect();
        assert_eq!(
            rejected.len(),
            1,
            "after write {before}: {:?}",
            ended.iter().map(|run| &run.error).collect::<Vec<_>>()
        );
        let report = crate::support::error_chain(rejected[0].error.as_ref().unwrap());
        assert!(report.contains(words), "after write {before}: {report}");
        assert!(ended.iter().any(|run| run.outcome == Outcome::Complete), "after write {before}");
        assert!(race.export.state().await.open_runs.is_empty(), "after write {before}: a rejected run is still open");
        if ended[0].outcome == Outcome::Complete {
            race.assert_converges(&format!("after write {before}")).await;
        }
        if steps_run < before {
            assert!(5 < before, "only {before} writes were tried");
            return;
        }
    }
}

#[tokio::test]
async fn two_accounts_starting_at_once_never_share_a_lake() {
    let other = Export::start(Place::Memory, Account { seed: 99, ..account() }, &STREAMS).await;
    let stranger = |_: &Race| other.settings();
    assert_one_is_rejected(stranger, "belongs to another account").await;
}

#[tokio::test]
async fn two_layouts_starting_at_once_never_mix() {
    let by_month = |race: &Race| {
        let mut settings = race.export.settings();
        settings.destinations.layout.partition = Partition::Month;
        settings
    };
    assert_one_is_rejected(by_month, "has partition").await;
}
