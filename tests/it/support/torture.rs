//! The built program, killed repeatedly at instants that a seed chooses, while a reader polls its lake.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use profound_export::clock::Clock;
use profound_export::config::DestinationConfig;
use profound_export::destination::Destination;
use profound_export::model::day::DayZone;
use profound_export::simulator::Account;
use profound_export::write::Spool;
use uuid::Uuid;

use super::lake::contents;
use super::reader::Reader;
use super::{Export, Place, account};

/// Lists, and dated streams over event streams and pages.
const STREAMS: [&str; 6] =
    ["visibility_v2_by_day", "answers_v2", "citations_v2_domain_by_day", "bots_v2", "models", "category_topics"];
/// Days of history before today.
const DAYS: i64 = 4;
/// Runs of each seed that are killed.
const KILLS: usize = 4;
/// How far the clocks of the program and of the API may differ, and a little less.
const MOST_APART: SignedDuration = SignedDuration::from_hours(11);

/// The results of one seed, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub seeds: u64,
    /// Runs that a SIGKILL ended.
    pub kills: u64,
    /// All runs, those that were killed included.
    pub runs: u64,
    /// Files that the reader opened meanwhile; a replaced one counts twice.
    pub files: u64,
    /// Files that were incomplete when the reader opened them, or not expected there.
    pub partial: u64,
    /// Complete files with rows that the account never had.
    pub unexpected: u64,
    /// Rows of the account that are in no file at the end.
    pub lost: u64,
    /// Rows in files at the end beyond those of the account.
    pub duplicated: u64,
    /// Directories of killed runs in the spool at the end.
    pub spools_left: u64,
    /// Problems, as text.
    pub problems: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.kills += other.kills;
        self.runs += other.runs;
        self.files += other.files;
        self.partial += other.partial;
        self.unexpected += other.unexpected;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.spools_left += other.spools_left;
        self.problems.extend(other.problems);
    }
}

/// The duration, requests and files of a run that is not killed.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    elapsed: Duration,
    requests: usize,
    files: u64,
}

/// When a run is killed, counted from its beginning.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// So long after.
    Time(Duration),
    /// When the API has received so many requests.
    Requests(usize),
    /// When the reader has seen so many new files.
    Files(u64),
}

impl Fate {
    /// A random instant within a run that gets as far as `reach`.
    fn chosen(chance: &mut fastrand::Rng, reach: Reach) -> Self {
        match chance.u8(0..3) {
            0 => Self::Time(reach.elapsed.mul_f64(chance.f64())),
            1 => Self::Requests(chance.usize(1..=reach.requests)),
            _ => Self::Files(chance.u64(1..=reach.files)),
        }
    }
}

/// The program, and where its lakes are.
#[derive(Debug)]
pub struct Torture {
    /// The built program.
    pub program: PathBuf,
    /// A bucket and prefix, such as `s3://lake/torture`, reached by the usual variables; none for directories.
    pub bucket: Option<String>,
}

impl Torture {
    /// Measures a first run that is not killed.
    pub async fn reach(&self) -> Reach {
        let mut victim = Victim::new(self, "reach").await;
        let began = Instant::now();
        assert!(!victim.run(None).await, "the run was killed");
        let requests = victim.export.simulator.requests().len();
        Reach { elapsed: began.elapsed(), requests, files: victim.reader.files }
    }

    /// Kills runs at the instants that `seed` chooses, then completes two runs: the first resumes the killed ones, the second
    /// re-extracts what was restated meanwhile.
    ///
    /// # Panics
    /// If a run that is not killed does not complete, or if the ledger and the files disagree at the end.
    pub async fn seed(&self, seed: u64, reach: Reach) -> Tally {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut victim = Victim::new(self, &format!("{seed}-{}", Uuid::now_v7())).await;
        let mut tally = Tally { seeds: 1, ..Tally::default() };
        for number in 0..KILLS {
            // In a complete lake, runs replace published files.
            if number == KILLS / 2 && chance.bool() {
                victim.run(None).await;
                tally.runs += 1;
            }
            let fate = Fate::chosen(&mut chance, reach);
            tally.kills += u64::from(victim.run(Some(fate)).await);
            tally.runs += 1;
            if chance.bool() {
                victim.restate();
            }
        }
        for _ in 0..2 {
            victim.run(None).await;
            tally.runs += 1;
        }
        victim.export.assert_ledger_knows_every_file().await;
        let mut problems: Vec<String> =
            victim.reader.partial.iter().map(|partial| format!("partial: {partial}")).collect();
        problems.extend(victim.reader.unexpected.iter().map(|unexpected| format!("never so: {unexpected}")));
        let (lost, duplicated) = victim.lost_and_duplicated(&mut problems).await;
        problems.iter_mut().for_each(|problem| problem.insert_str(0, &format!("seed {seed}: ")));
        Tally {
            files: victim.reader.files,
            partial: victim.reader.partial.len() as u64,
            unexpected: victim.reader.unexpected.len() as u64,
            lost,
            duplicated,
            spools_left: victim.spools_left(),
            problems,
            ..tally
        }
    }
}

/// An account and its lake, a reader of it, and the program between them.
struct Victim {
    program: PathBuf,
    export: Export,
    reader: Reader,
    /// The spool of another run, which lives all the time.
    neighbour: std::sync::Arc<Spool>,
}

impl Victim {
    async fn new(torture: &Torture, name: &str) -> Self {
        let account = Account { now: Some(a_quiet_hour()), categories: 2, domains: 1, ..account() };
        let mut export = Export::start(Place::Disk, account, &STREAMS).await;
        if let Some(bucket) = &torture.bucket {
            let url = format!("{bucket}/{name}");
            let lake = Destination::open(&DestinationConfig { url, ..DestinationConfig::default() }).unwrap();
            export = export.on(lake);
        }
        let start = DayZone::Eastern.today(export.simulator.now()).plus(-DAYS);
        export.job.start = Some(start);
        let (scratch, streams) = (export.scratch.path(), format!("{STREAMS:?}"));
        let settings = format!(
            "[api]\nbase_url = {:?}\n[destination]\nurl = {:?}\n[spool]\ndir = {:?}\n[[job]]\nname = \"nightly\"\nstreams = {streams}\nstart = \"{start}\"\n",
            export.simulator.url(),
            export.lake.url(),
            scratch.join("spool"),
        );
        std::fs::write(scratch.join("jobs.toml"), settings).unwrap();
        let neighbour = Spool::open(&scratch.join("spool"), Uuid::now_v7(), u64::MAX).unwrap();
        let mut reader = Reader::default();
        reader.allow(&export, &STREAMS);
        Self { program: torture.program.clone(), export, reader, neighbour }
    }

    /// Changes the figures of yesterday, which every new run re-extracts.
    fn restate(&mut self) {
        self.export.simulator.restate(DayZone::Eastern.yesterday(self.export.simulator.now()));
        self.reader.allow(&self.export, &STREAMS);
    }

    /// Runs the program until it ends or is killed; returns whether it was killed.
    async fn run(&mut self, fate: Option<Fate>) -> bool {
        // The API's times are whole seconds, and a run is shorter: otherwise the order of two runs is unknown.
        self.export.a_minute_later();
        let log = self.export.scratch.path().join("log");
        let mut program = self.spawn(File::create(&log).unwrap());
        let (began, requests, files) = (Instant::now(), self.export.simulator.requests().len(), self.reader.files);
        loop {
            // Before polling, so that the program's last write is polled too.
            let ended = program.try_wait().unwrap();
            self.reader.look(&self.export).await;
            if let Some(status) = ended {
                let output = std::fs::read_to_string(&log).unwrap();
                assert!(status.success(), "the run ended with {status}:\n{output}");
                return false;
            }
            let is_due = match fate {
                None => false,
                Some(Fate::Time(after)) => after <= began.elapsed(),
                Some(Fate::Requests(number)) => requests + number <= self.export.simulator.requests().len(),
                Some(Fate::Files(number)) => files + number <= self.reader.files,
            };
            if is_due {
                // SIGKILL: nothing of the program runs any more.
                program.kill().unwrap();
                let killed = !program.wait().unwrap().success();
                self.reader.look(&self.export).await;
                return killed;
            }
            std::thread::yield_now();
        }
    }

    fn spawn(&self, log: File) -> Child {
        Command::new(&self.program)
            .arg("run")
            .current_dir(self.export.scratch.path())
            .env("PROFOUND_API_KEY", self.export.simulator.key())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Rows of the account that the lake lacks, and rows of the lake that the account lacks.
    async fn lost_and_duplicated(&self, problems: &mut Vec<String>) -> (u64, u64) {
        let (mut lost, mut duplicated) = (0, 0);
        for name in STREAMS {
            let stream = self.export.stream(name);
            let window = self.export.wanted(stream);
            for scope in self.export.simulator.scopes(stream.scope) {
                let mut missing: BTreeMap<String, i64> = BTreeMap::new();
                for row in contents(stream, &self.export.simulator.rows(stream, &scope, window)) {
                    *missing.entry(row).or_default() += 1;
                }
                for row in contents(stream, &self.export.rows(name, &scope).await) {
                    *missing.entry(row).or_default() -= 1;
                }
                let above: u64 = missing.values().map(|count| count.max(&0).unsigned_abs()).sum();
                let below: u64 = missing.values().map(|count| count.min(&0).unsigned_abs()).sum();
                if above + below > 0 {
                    problems.push(format!("{name} of {scope}: {above} rows lost, {below} too many"));
                }
                (lost, duplicated) = (lost + above, duplicated + below);
            }
        }
        (lost, duplicated)
    }

    /// The directories of runs in the spool, except for the neighbour's, which must still exist.
    fn spools_left(&self) -> u64 {
        drop(self.neighbour.create_slice_dir().expect("the spool of the live neighbour exists"));
        let entries = std::fs::read_dir(self.export.scratch.path().join("spool")).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count() as u64 - 1
    }
}

/// About four in the afternoon in London, when no zone that counts days is near its midnight. The nearest to the system's
/// clock, so that the program, whose clock that is, accepts it.
fn a_quiet_hour() -> Timestamp {
    let now = Clock::system().now();
    let day = SignedDuration::from_hours(24).as_secs();
    let quiet = SignedDuration::from_hours(16).as_secs();
    let after = (now.as_second() - quiet).rem_euclid(day);
    let back = if after <= day / 2 { after } else { after - day };
    now - SignedDuration::from_secs(back).clamp(-MOST_APART, MOST_APART)
}
