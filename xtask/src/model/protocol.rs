//! The commit protocol as a state machine: what `src/run/slice` and `src/ledger/log.rs` do, reduced to the steps at which another
//! process, a crash or a lost response can make a difference.

use stateright::{Model, Property};

use super::ledger::{DAYS, Instant, Record, Set, SliceEntry, State};

/// The day that `forget` erases.
const FORGOTTEN_DAY: usize = 0;

/// A rule of the protocol. A model without one of them must violate a promise, or the rule would be superfluous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rule {
    /// A commit is based on the last record before the first request of its slice.
    BasedOnFirstRequest,
    /// A day that another process committed since that record becomes stale.
    ConflictIsStale,
    /// The first record of a run names its days, which are due until the run commits or ends.
    PlanIsRecorded,
    /// A record is created only if its number is not taken.
    CreateIfAbsent,
    /// A file is replaced at once.
    AtomicReplace,
    /// Files whose record may be missing are stale in the next record.
    FailedCommitIsStale,
    /// A checkpoint has the number of the last record that it contains.
    CheckpointNumber,
    /// Before its uploads a run records its plan once more, if the ledger no longer has it: because ten minutes passed since its last
    /// record, or because it has committed the days before.
    PlanIsRenewed,
    /// A day without a record of its own in a commit stays due if a killed run may have overwritten it.
    KeptDayStaysDue,
    /// `forget` writes its record before it deletes.
    ForgottenFirst,
    /// A run leaves out forgotten days before it publishes.
    ForgottenIsKeptOut,
    /// An upload ends before its run counts as killed. Object stores and disks do not promise it: it is the limit of the protocol.
    UploadsEndInTime,
}

/// How much happens, and which rule is taken out.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub runs: usize,
    /// Whether a run may export one day alone, as a backfill does; else each exports both.
    pub backfills: bool,
    /// Whether one more process runs `forget`.
    pub forgets: bool,
    /// Whether runs may write a checkpoint at their end.
    pub checkpoints: bool,
    /// How often the API changes its figures.
    pub restatements: u8,
    pub crashes: u8,
    /// Failed or unanswered requests to the store.
    pub faults: u8,
    /// How often ten minutes pass.
    pub silences: u8,
    pub without: Option<Rule>,
    /// Steps before the first state: a part of a model that would be too large.
    pub after: &'static [Action],
}

/// What readers of the file of a day see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum File {
    #[default]
    Absent,
    Whole(u8),
    /// Half written, which only a store without atomic replacement shows.
    Partial,
}

/// Where a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    NotStarted,
    Begin,
    LookAgain,
    Extract,
    Check,
    Renew,
    Publish,
    MarkStale,
    Commit,
    End,
    Checkpoint,
    Forget,
    Delete,
    Ended,
    Killed,
}

/// What a process holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    phase: Phase,
    /// Days of its job.
    wanted: Set,
    /// Records when it opened the ledger; what others add later is external to it.
    opened: usize,
    /// Records that it has applied.
    seen: usize,
    /// Records that it never saw, because a checkpoint claimed to contain them.
    unseen: (usize, usize),
    planned: Set,
    based_on: usize,
    rows: u8,
    at: Instant,
    /// Verified days, still to be put.
    to_put: Set,
    /// The day that is half written.
    torn: Option<usize>,
    published: Set,
    unchanged: Set,
    conflicts: Set,
    had_conflict: bool,
    /// Days whose record may not have been written.
    unrecorded: Set,
    /// An own record whose response was lost. To this process it looks like another's.
    unknown_record: Option<usize>,
}

/// Everything outside and inside the processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// Version of the API's figures.
    figures: u8,
    pub files: [File; DAYS],
    pub log: Vec<Record>,
    /// The number of the newest checkpoint, and of the last record that it contains.
    checkpoint: (usize, usize),
    pub processes: Vec<Process>,
    /// Runs whose last record is ten minutes old.
    silent: Set,
    crashes: u8,
    faults: u8,
    silences: u8,
    /// The newest committed rows of each day. Only the properties read it.
    committed: [Option<u8>; DAYS],
    /// Forgotten days of which a put was in flight when they were forgotten: the documented exception.
    in_flight: Set,
}

impl World {
    /// `action` in this state, in words.
    pub fn describe(&self, action: Action) -> String {
        match action {
            Action::Step(own) => format!("process {own}: {:?}", self.processes[own].phase),
            Action::Put(own, day) => format!("process {own}: replaces the file of day {day}"),
            other => format!("{other:?}"),
        }
    }
}

/// One step of a process, or of the world around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Step(usize),
    Put(usize, usize),
    /// The file is replaced, but the response is lost: the process repeats the put later.
    PutUnanswered(usize, usize),
    PutFails(usize),
    /// The process gives up on a record, which is stored all the same or not.
    RecordUnanswered(usize, bool),
    SkipCheckpoint(usize),
    Crash(usize),
    TenMinutesPass(usize),
    Restate,
}

impl Protocol {
    /// `runs` runs that nothing disturbs but each other.
    pub fn new(runs: usize) -> Self {
        Self {
            runs,
            backfills: false,
            forgets: false,
            checkpoints: false,
            restatements: 0,
            crashes: 0,
            faults: 0,
            silences: 0,
            without: None,
            after: &[],
        }
    }

    /// The same with backfills and checkpoints.
    pub fn with_variants(self) -> Self {
        Self { backfills: true, checkpoints: true, ..self }
    }

    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    fn state(&self, world: &World, process: &Process) -> State {
        fold(&world.log[..process.seen], process.unseen)
    }

    /// Days that other writers committed after record `based_on`, and those they published or marked stale.
    fn external(world: &World, own: usize, based_on: usize) -> (Set, Set) {
        let process = &world.processes[own];
        let (mut extracted, mut published) = (Set::default(), Set::default());
        for (number, record) in numbered(&world.log[..process.seen]).skip(process.opened.max(based_on)) {
            if record.by == own && process.unknown_record != Some(number) {
                continue;
            }
            if let Some(slice) = &record.slice {
                extracted = extracted.union(slice.days);
                published = published.union(slice.published);
            }
            published = published.union(record.stale);
        }
        (extracted, published)
    }

    /// Appends `record` behind everything that others have added; returns its number.
    fn append(&self, world: &mut World, own: usize, mut record: Record) -> usize {
        record.by = own;
        if self.has(Rule::CreateIfAbsent) {
            world.processes[own].seen = world.log.len();
        }
        let process = world.processes[own];
        record.stale = record.stale.union(process.unrecorded);
        if let Some(slice) = record.slice.as_ref().filter(|_| self.has(Rule::ConflictIsStale)) {
            let (extracted, published) = Self::external(world, own, process.based_on);
            let overwritten = published.union(extracted.iter().filter(|day| slice.published.contains(*day)).collect());
            record.stale = record.stale.union(slice.days.iter().filter(|day| overwritten.contains(*day)).collect());
        }
        if let Some(slice) = &record.slice {
            for day in slice.days.iter() {
                world.committed[day] = world.committed[day].max(Some(slice.rows));
            }
        }
        // Only entries that name their run keep it from counting as killed.
        if record.started.is_some() || record.slice.is_some() {
            world.silent.remove(own);
        }
        match world.log.get_mut(process.seen) {
            Some(taken) => *taken = record,
            None => world.log.push(record),
        }
        let process = &mut world.processes[own];
        process.seen += 1;
        process.unrecorded = Set::default();
        process.seen
    }

    /// The record that a process writes next.
    fn record(process: &Process) -> Record {
        match process.phase {
            Phase::Begin | Phase::Renew => Record { started: Some(process.planned), ..Record::default() },
            Phase::MarkStale => Record { stale: process.published.union(process.to_put), ..Record::default() },
            Phase::Commit => {
                let days = process.published.union(process.unchanged);
                let (published, rows, at) = (process.published, process.rows, process.at);
                let slice = SliceEntry { window: process.planned, days, published, rows, at };
                let slice = Some(slice).filter(|_| !days.is_empty());
                Record { slice, stale: process.conflicts, ..Record::default() }
            }
            Phase::Forget => Record { forgotten: Set::from_iter([FORGOTTEN_DAY]), ..Record::default() },
            _ => Record { ended: true, ..Record::default() },
        }
    }

    /// The one thing that a process does next unless something goes wrong.
    fn step(&self, world: &mut World, own: usize) {
        let log = world.log.len();
        let mut process = world.processes[own];
        match process.phase {
            Phase::NotStarted if self.is_forget(own) => {
                process.phase = if self.has(Rule::ForgottenFirst) { Phase::Forget } else { Phase::Delete };
            }
            Phase::NotStarted => {
                let (number, contained) = world.checkpoint;
                (process.opened, process.seen, process.unseen) = (log, log, (contained, number.min(log)));
                let state = self.state(world, &process);
                // Within the lookback every day is extracted by every run. The last run extracts only what is due.
                let days = if own < self.processes() { process.wanted.without(state.forgotten) } else { state.due() };
                process.planned = days;
                process.phase = if days.is_empty() { Phase::Ended } else { Phase::Begin };
            }
            Phase::Begin if !self.has(Rule::PlanIsRecorded) => process.phase = Phase::LookAgain,
            Phase::LookAgain => {
                process.seen = log;
                let state = self.state(world, &process);
                let (extracted, _) = Self::external(world, own, 0);
                let is_fresh = |day: usize| extracted.contains(day) && !state.days[day].stale;
                let is_settled = process.planned.iter().all(is_fresh)
                    || process.planned.iter().all(|day| state.forgotten.contains(day));
                process.based_on = log;
                process.phase = if is_settled { Phase::End } else { Phase::Extract };
            }
            Phase::Extract => {
                process.rows = world.figures;
                process.at = Instant { records: log, silent: world.silent };
                process.phase = Phase::Check;
            }
            Phase::Check => self.check(world, own, &mut process),
            Phase::Begin | Phase::Renew | Phase::MarkStale | Phase::Commit | Phase::End | Phase::Forget => {
                let record = Self::record(&process);
                if record != Record::default() {
                    if process.phase == Phase::Forget {
                        let uploads = world.processes.iter().filter(|other| other.phase == Phase::Publish);
                        world.in_flight = uploads.map(|other| other.to_put).fold(world.in_flight, Set::union);
                    }
                    self.append(world, own, record);
                    process = world.processes[own];
                }
                after_record(&mut process);
                if process.phase == Phase::Checkpoint && !self.checkpoints {
                    process.phase = Phase::Ended;
                }
                if process.phase == Phase::Delete && !self.has(Rule::ForgottenFirst) {
                    process.phase = Phase::Ended;
                }
            }
            Phase::Checkpoint => {
                let number = if self.has(Rule::CheckpointNumber) { process.seen } else { log };
                world.checkpoint = world.checkpoint.max((number, process.seen));
                process.phase = Phase::Ended;
            }
            Phase::Delete => {
                world.files[FORGOTTEN_DAY] = File::Absent;
                process.phase = if self.has(Rule::ForgottenFirst) { Phase::Ended } else { Phase::Forget };
            }
            Phase::Publish | Phase::Ended | Phase::Killed => {}
        }
        world.processes[own] = process;
    }

    /// The last look at the ledger before files are replaced.
    fn check(&self, world: &mut World, own: usize, process: &mut Process) {
        let planned = self.state(world, process).planned_by(own);
        let is_planned = !world.silent.contains(own) && process.planned.without(planned).is_empty();
        if !is_planned && self.has(Rule::PlanIsRenewed) && self.has(Rule::PlanIsRecorded) {
            process.phase = Phase::Renew;
            return;
        }
        process.seen = world.log.len();
        if !self.has(Rule::BasedOnFirstRequest) {
            process.based_on = process.seen;
        }
        world.processes[own] = *process;
        let state = self.state(world, process);
        let forgotten = if self.has(Rule::ForgottenIsKeptOut) { state.forgotten } else { Set::default() };
        let (newer, _) = Self::external(world, own, process.based_on);
        let newer = newer.iter().filter(|day| process.planned.contains(*day)).collect::<Set>();
        let is_overwritten = |day| state.is_possibly_overwritten(day, Some(own));
        let is_recorded = |day: usize| state.days[day].rows == Some(process.rows) && !state.days[day].stale;
        let is_kept = |day: &usize| is_recorded(*day) && !(self.has(Rule::KeptDayStaysDue) && is_overwritten(*day));
        process.conflicts = newer.without(forgotten).iter().filter(|day| !is_kept(day)).collect();
        let days = process.planned.without(forgotten).without(newer);
        process.unchanged = days.iter().filter(|day| is_recorded(*day) && !is_overwritten(*day)).collect();
        process.to_put = days.without(process.unchanged);
        process.published = Set::default();
        process.phase = if process.to_put.is_empty() { Phase::Commit } else { Phase::Publish };
    }

    fn put(&self, world: &mut World, own: usize, day: usize) {
        let process = &mut world.processes[own];
        if !self.has(Rule::AtomicReplace) && process.torn != Some(day) {
            process.torn = Some(day);
            world.files[day] = File::Partial;
            return;
        }
        process.torn = None;
        world.files[day] = File::Whole(process.rows);
        process.to_put.remove(day);
        process.published.insert(day);
        if process.to_put.is_empty() {
            process.phase = Phase::Commit;
        }
    }

    fn processes(&self) -> usize {
        self.runs + usize::from(self.forgets)
    }

    fn is_forget(&self, process: usize) -> bool {
        self.forgets && process == self.runs
    }

    /// Whether ten minutes may pass now since the last record of `process`.
    fn may_be_silent(&self, world: &World, process: usize) -> bool {
        let phase = world.processes[process].phase;
        let is_open = !matches!(phase, Phase::NotStarted | Phase::Begin | Phase::Ended) && !self.is_forget(process);
        let is_uploading = phase == Phase::Publish && self.has(Rule::UploadsEndInTime);
        is_open && !is_uploading && !world.silent.contains(process)
    }

    /// The world after ten quiet minutes and one more run.
    pub fn after_one_more_run(&self, world: &World) -> World {
        let mut world = world.clone();
        let own = world.processes.len();
        world.silent = Set::first(own);
        world.processes.push(Process::default());
        loop {
            let process = world.processes[own];
            match process.phase {
                Phase::Ended => return world,
                Phase::Publish => {
                    let day = process.to_put.iter().next().expect("a process that publishes has a day to put");
                    self.put(&mut world, own, day);
                }
                _ => self.step(&mut world, own),
            }
        }
    }
}

/// Where a process continues after its record is stored.
fn after_record(process: &mut Process) {
    process.phase = match process.phase {
        Phase::Begin => Phase::LookAgain,
        Phase::Renew => Phase::Check,
        // A slice with a conflict is extracted once more, and then left to the next run.
        Phase::Commit if !process.conflicts.is_empty() && !process.had_conflict => {
            process.had_conflict = true;
            Phase::LookAgain
        }
        Phase::MarkStale | Phase::Commit => Phase::End,
        Phase::End => Phase::Checkpoint,
        Phase::Forget => Phase::Delete,
        other => other,
    };
}

fn numbered(log: &[Record]) -> impl Iterator<Item = (usize, &Record)> {
    log.iter().enumerate().map(|(index, record)| (index + 1, record))
}

/// The state after `log`, without the records above `unseen.0` up to `unseen.1`.
fn fold(log: &[Record], unseen: (usize, usize)) -> State {
    let mut state = State::default();
    for (number, record) in numbered(log) {
        if number <= unseen.0 || unseen.1 < number {
            state.apply(number, record);
        }
    }
    state
}

fn is_quiet(world: &World) -> bool {
    world.processes.iter().all(|process| matches!(process.phase, Phase::NotStarted | Phase::Ended | Phase::Killed))
}

/// The state that the next process reads.
fn next_state_of(world: &World) -> State {
    let (number, contained) = world.checkpoint;
    fold(&world.log, (contained, number.min(world.log.len())))
}

/// Whether every day that is neither due nor forgotten has the newest committed rows, in the file and in the ledger.
fn is_fresh(world: &World) -> bool {
    let state = next_state_of(world);
    let skipped = state.due().union(state.forgotten);
    Set::first(DAYS).without(skipped).iter().all(|day| {
        let rows = state.days[day].rows;
        rows == world.committed[day] && rows.is_some_and(|rows| world.files[day] == File::Whole(rows))
    })
}

/// Whether forgotten days have no rows in the ledger and no file, apart from a put that was in flight.
fn is_forgotten(protocol: &Protocol, world: &World) -> bool {
    if !protocol.forgets || world.processes[protocol.runs].phase != Phase::Ended {
        return true;
    }
    let state = next_state_of(world);
    let has_file = world.files[FORGOTTEN_DAY] != File::Absent && !world.in_flight.contains(FORGOTTEN_DAY);
    state.forgotten.contains(FORGOTTEN_DAY)
        && state.days[FORGOTTEN_DAY].rows.is_none()
        && !(has_file && is_quiet(world))
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let choices = if self.backfills { 1 << self.runs } else { 1 };
        let choices = (0..choices).map(|chosen: usize| {
            let wanted = |own| if chosen & (1_usize << own) == 0 { Set::first(DAYS) } else { Set::first(1) };
            let process = |own| Process { wanted: wanted(own), ..Process::default() };
            (0..self.processes()).map(process).collect()
        });
        let world = |processes| World {
            figures: 1,
            files: [File::Absent; DAYS],
            log: Vec::new(),
            checkpoint: (0, 0),
            processes,
            silent: Set::default(),
            crashes: self.crashes,
            faults: self.faults,
            silences: self.silences,
            committed: [None; DAYS],
            in_flight: Set::default(),
        };
        let begin = |world| self.after.iter().try_fold(world, |world, action| self.next_state(&world, *action));
        choices.map(world).filter_map(begin).collect()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.figures <= self.restatements
            && world.processes.iter().any(|process| process.phase != Phase::NotStarted)
        {
            actions.push(Action::Restate);
        }
        for (own, process) in world.processes.iter().enumerate() {
            match process.phase {
                Phase::Ended | Phase::Killed => {}
                Phase::NotStarted => {
                    // Runs are alike, so they may as well start in order.
                    let is_next = own == 0 || world.processes[own - 1].phase != Phase::NotStarted;
                    if is_next || self.is_forget(own) {
                        actions.push(Action::Step(own));
                    }
                    continue;
                }
                Phase::Publish => {
                    for day in process.to_put.iter() {
                        actions.push(Action::Put(own, day));
                        if world.faults > 0 && process.torn.is_none() {
                            actions.push(Action::PutUnanswered(own, day));
                        }
                    }
                    if world.faults > 0 {
                        actions.push(Action::PutFails(own));
                    }
                }
                phase => {
                    actions.push(Action::Step(own));
                    if phase == Phase::Checkpoint {
                        actions.push(Action::SkipCheckpoint(own));
                    }
                    if world.faults > 0 && matches!(phase, Phase::MarkStale | Phase::Commit | Phase::End) {
                        actions.extend([true, false].map(|stored| Action::RecordUnanswered(own, stored)));
                    }
                }
            }
            if world.crashes > 0 && !matches!(process.phase, Phase::Ended | Phase::Killed) {
                actions.push(Action::Crash(own));
            }
            if world.silences > 0 && self.may_be_silent(world, own) {
                actions.push(Action::TenMinutesPass(own));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        match action {
            Action::Step(own) => self.step(&mut world, own),
            Action::Put(own, day) => self.put(&mut world, own, day),
            Action::PutUnanswered(own, day) => {
                world.faults -= 1;
                world.files[day] = File::Whole(world.processes[own].rows);
            }
            Action::PutFails(own) => {
                world.faults -= 1;
                world.processes[own].phase = Phase::MarkStale;
            }
            Action::RecordUnanswered(own, is_stored) => {
                world.faults -= 1;
                let process = world.processes[own];
                let record = Self::record(&process);
                let stale = process.published.union(process.to_put).union(record.stale).union(process.unrecorded);
                let number = is_stored.then(|| self.append(&mut world, own, record));
                let process = &mut world.processes[own];
                // Whether it is stored is unknown, so the state of the process does not contain it.
                process.seen = process.seen.min(number.map_or(process.seen, |number| number - 1));
                process.unknown_record = number.or(process.unknown_record);
                process.unrecorded = if self.has(Rule::FailedCommitIsStale) { stale } else { Set::default() };
                process.phase = if process.phase == Phase::End { Phase::Ended } else { Phase::End };
            }
            Action::SkipCheckpoint(own) => world.processes[own].phase = Phase::Ended,
            Action::Crash(own) => {
                world.crashes -= 1;
                let dead = Process { phase: Phase::Killed, ..Process::default() };
                world.processes[own] = dead;
            }
            Action::TenMinutesPass(own) => {
                world.silences -= 1;
                world.silent.insert(own);
            }
            Action::Restate => world.figures += 1,
        }
        for process in world.processes.iter_mut().filter(|process| process.phase == Phase::Ended) {
            // Nothing of its memory matters any more.
            *process = Process { phase: Phase::Ended, ..Process::default() };
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never partial", |_, world: &World| !world.files.contains(&File::Partial)),
            Property::always("never stale over fresh", |_, world| !is_quiet(world) || is_fresh(world)),
            Property::always("forgotten stays forgotten", is_forgotten),
            Property::always("converges", |protocol: &Protocol, world| {
                if !is_quiet(world) {
                    return true;
                }
                let after = protocol.after_one_more_run(world);
                next_state_of(&after).due().is_empty() && is_fresh(&after) && is_forgotten(protocol, &after)
            }),
        ]
    }
}
