//! The ledger of the model: records, and the state that they give, as in `src/ledger/state.rs`.

/// Days of the one slice that every process exports.
pub const DAYS: usize = 2;

/// A set of days or of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set(u8);

impl Set {
    pub fn first(count: usize) -> Self {
        (0..count).collect()
    }

    pub fn contains(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }

    pub fn insert(&mut self, member: usize) {
        self.0 |= 1 << member;
    }

    pub fn remove(&mut self, member: usize) {
        self.0 &= !(1 << member);
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |member| self.contains(*member))
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(members: I) -> Self {
        let mut set = Self::default();
        members.into_iter().for_each(|member| set.insert(member));
        set
    }
}

/// When a process requested its rows. The number of records is the wall clock of the model; `silent` are the runs whose last record was
/// ten minutes old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instant {
    pub records: usize,
    pub silent: Set,
}

/// One record of the log: all entries that are written at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    pub by: usize,
    /// Days that a run plans, in its first record.
    pub started: Option<Set>,
    pub slice: Option<SliceEntry>,
    pub stale: Set,
    pub forgotten: Set,
    pub ended: bool,
}

/// The rows of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SliceEntry {
    /// The days that were requested.
    pub window: Set,
    /// The days that are recorded: those of the window without the ones that another process has committed, or `forget` erased.
    pub days: Set,
    /// The recorded days whose file was replaced.
    pub published: Set,
    pub rows: u8,
    pub at: Instant,
}

/// The ledger's state of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayState {
    pub rows: Option<u8>,
    pub stale: bool,
    at: Instant,
}

/// A run without an end.
#[derive(Clone, Copy, Debug)]
struct OpenRun {
    by: usize,
    planned: Set,
    last_record: usize,
}

impl OpenRun {
    /// Whether it counted as killed at `at`: its last record was ten minutes old.
    fn is_presumed_killed(&self, at: Instant) -> bool {
        at.silent.contains(self.by) && self.last_record <= at.records
    }
}

/// The state that records give.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub days: [DayState; DAYS],
    pub forgotten: Set,
    open: Vec<OpenRun>,
}

impl State {
    pub fn apply(&mut self, number: usize, record: &Record) {
        if let Some(planned) = record.started {
            self.open.retain(|open| open.by != record.by);
            self.open.push(OpenRun { by: record.by, planned, last_record: number });
        }
        if let Some(slice) = &record.slice {
            self.apply_slice(number, record.by, slice);
        }
        for day in record.stale.without(self.forgotten).iter() {
            self.days[day].stale = true;
        }
        self.forgotten = self.forgotten.union(record.forgotten);
        record.forgotten.iter().for_each(|day| self.days[day] = DayState::default());
        if record.ended {
            self.open.retain(|open| open.by != record.by);
        }
    }

    fn apply_slice(&mut self, number: usize, by: usize, slice: &SliceEntry) {
        for open in &mut self.open {
            if open.by == by {
                open.last_record = number;
            }
            if open.by == by || open.is_presumed_killed(slice.at) {
                open.planned = open.planned.without(slice.window);
            }
        }
        for day in slice.days.without(self.forgotten).iter() {
            self.days[day] = DayState { rows: Some(slice.rows), stale: false, at: slice.at };
        }
    }

    /// The days that a run has planned and not recorded.
    pub fn planned_by(&self, run: usize) -> Set {
        self.open.iter().find(|open| open.by == run).map_or(Set::default(), |open| open.planned)
    }

    /// Whether an open run other than `own` may have overwritten the file of `day` since it was recorded.
    pub fn is_possibly_overwritten(&self, day: usize, own: Option<usize>) -> bool {
        let mut others = self.open.iter().filter(|open| Some(open.by) != own);
        let DayState { rows, at, .. } = self.days[day];
        others.any(|open| open.planned.contains(day) && (rows.is_none() || !open.is_presumed_killed(at)))
    }

    /// Days that the next run extracts.
    pub fn due(&self) -> Set {
        let is_due = |day: &usize| {
            let DayState { rows, stale, .. } = self.days[*day];
            rows.is_none() || stale || self.is_possibly_overwritten(*day, None)
        };
        (0..DAYS).filter(is_due).collect::<Set>().without(self.forgotten)
    }
}
