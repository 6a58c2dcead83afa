//! The log of a run that met a spent hour, and what the simulator recorded of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use profound_export::model::event::Event;
use profound_export::model::format::{format_count, format_duration};
use profound_export::run::Outcome;
use profound_export::simulator::{Account, ReceivedRequest};

use crate::support::{self, Export, Place, max_cost_within};

const LIMIT: u32 = 60;
const PERIOD: Duration = Duration::from_secs(10);

/// What was heard, and how long after the start.
type Heard = Arc<Mutex<Vec<(Duration, Event)>>>;

/// The log, and the requests of each period.
pub async fn section() -> String {
    eprintln!("a run that meets a spent hour");
    let account = Account { categories: 20, requests_per_period: LIMIT, period: PERIOD, ..support::account() };
    let export = Export::start(Place::Memory, account, &["minimal"]).await;
    let (heard, began) = (Heard::default(), Instant::now());
    let hears = Arc::clone(&heard);
    export.listen(move |event| hears.lock().unwrap().push((began.elapsed(), event.clone())));
    let (run, received) = export.run_and_watch().await;
    assert_eq!(run.outcome, Outcome::Complete, "{}", run.summary());
    let log = lines(&heard.lock().unwrap());
    let refused = received.iter().filter(|request| request.status == 429).count();
    format!(
        "\
## A run that meets a spent hour

The simulator allows {LIMIT} requests in an hour that is ten seconds long, so that the run need not be waited for. The account has 20
categories, the tier is `minimal`, and a tenth of the limit is kept for others. What happened, in seconds since the start:

```text
{log}```

What the simulator recorded:

| hour of ten seconds | requests | answered with 429 |
|---:|---:|---:|
{periods}
The most requests in any trailing ten seconds were {most}, of {LIMIT}; {refused} were refused.
",
        periods = periods(&received),
        most = max_cost_within(&received, PERIOD),
    )
}

/// A line for each event; slices that are done stand together.
fn lines(heard: &[(Duration, Event)]) -> String {
    let mut text = String::new();
    let mut line = |at: Duration, words: &str| text.push_str(&format!("{:5.1}  {words}\n", at.as_secs_f64()));
    let mut done = (Duration::ZERO, 0);
    for (at, event) in heard {
        let words = match event {
            Event::SlicePublished { .. } => {
                done = (*at, done.1 + 1);
                continue;
            }
            Event::SliceStarted { .. }
            | Event::RunStarted { .. }
            | Event::RequestFinished { .. }
            | Event::RequestRetried { .. }
            | Event::RateLimitStatus(_)
            | Event::AlertsFiring(_)
            | Event::NotificationSent { .. } => continue,
            Event::RunPlanned { slices, requests, .. } => {
                format!("planned: {}, {}", format_count(*slices as u64, "slice"), format_count(*requests, "request"))
            }
            Event::RateLimitWait { wait } => format!("rate limit reached, waiting {}", format_duration(*wait)),
            Event::SliceRetried { slice, remedy, .. } => format!("{slice}: {remedy}"),
            Event::SliceDeferred { slice, problem } => format!("{slice}: deferred, {problem}"),
            Event::SliceFailed { slice, problem } => format!("{slice}: failed, {problem}"),
            Event::NotEntitled { slice, detail, .. } => format!("{slice}: not entitled, {detail}"),
            Event::SchemaDrift { stream, field, .. } => format!("{stream}: unknown field `{field}`"),
            Event::Notice { message } | Event::Warning { message } => message.clone(),
            Event::RunFinished(ended) => ended.summary.clone(),
        };
        if let (last, 1..) = done {
            line(last, &format!("{} exported", format_count(done.1, "slice")));
            done.1 = 0;
        }
        line(*at, &words);
    }
    text
}

/// A row for each period, from that of the first request on.
fn periods(received: &[ReceivedRequest]) -> String {
    let seconds = PERIOD.as_secs() as i64;
    let period = |request: &ReceivedRequest| request.at.as_second().div_euclid(seconds);
    let rows = received.chunk_by(|one, next| period(one) == period(next)).map(|within| {
        let number = period(&within[0]) - period(&received[0]) + 1;
        let refused = within.iter().filter(|request| request.status == 429).count();
        format!("| {number} | {} | {refused} |\n", within.len())
    });
    rows.collect()
}
