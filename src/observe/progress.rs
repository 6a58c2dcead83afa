//! A bar on a terminal: how far, what is left of the hour and of the run, and what is being asked.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::model::event::{Event, EventSink};
use crate::model::format::format_number;
use crate::observe::run_progress::RunProgress;

const TICK: Duration = Duration::from_millis(250);
/// Two lines, the first of which fits a narrow terminal.
const TEMPLATE: &str = "{prefix}  {bar:20}  {pos}/{len} slices  {requests} requests  {rows} rows\n  {ahead}{wide_msg}";

/// A bar on standard error. Log lines go above it.
#[derive(Debug, Clone)]
pub struct Progress {
    screen: MultiProgress,
    bar: ProgressBar,
    way: Arc<Mutex<RunProgress>>,
}

impl Progress {
    /// A bar called `name`, not shown before the first event.
    pub fn new(name: &str) -> Self {
        let way = Arc::new(Mutex::new(RunProgress::begin(Instant::now())));
        let screen = MultiProgress::new();
        let bar = screen.add(ProgressBar::new(0).with_prefix(name.to_owned()));
        bar.set_style(style(&way));
        Self { screen, bar, way }
    }

    /// Hears events.
    pub fn events(&self) -> EventSink {
        let progress = self.clone();
        EventSink::new(move |event| progress.hear(event))
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn hear(&self, event: &Event) {
        self.way.lock().unwrap_or_else(PoisonError::into_inner).hear(event, Instant::now());
        // It is free again here: drawing the bar reads it.
        match event {
            Event::RunPlanned { job, slices, .. } => {
                self.bar.reset();
                self.bar.set_prefix(job.clone());
                self.bar.enable_steady_tick(TICK);
                self.bar.set_length(*slices as u64);
            }
            Event::SliceStarted { slice } => {
                self.bar.set_message(format!("{} of {}", slice.stream.name, slice.scope.names()));
            }
            Event::SlicePublished { .. }
            | Event::SliceDeferred { .. }
            | Event::SliceFailed { .. }
            | Event::NotEntitled { .. } => {
                self.bar.inc(1);
                // A slice that was split counts once a piece, so the end moves with it.
                self.bar.set_length(self.bar.length().unwrap_or(0).max(self.bar.position()));
            }
            Event::RunFinished(_) => self.bar.finish_and_clear(),
            Event::RunStarted { .. }
            | Event::RequestFinished { .. }
            | Event::RequestRetried { .. }
            | Event::RateLimitStatus(_)
            | Event::AlertsFiring(_)
            | Event::NotificationSent { .. }
            | Event::RateLimitWait { .. }
            | Event::SliceRetried { .. }
            | Event::SchemaDrift { .. }
            | Event::Notice { .. }
            | Event::Warning { .. } => {}
        }
    }
}

fn style(way: &Arc<Mutex<RunProgress>>) -> ProgressStyle {
    let read = |show: fn(&RunProgress) -> String| {
        let way = Arc::clone(way);
        move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let words = show(&way.lock().unwrap_or_else(PoisonError::into_inner));
            // A line that cannot be drawn is drawn again a moment later.
            write!(out, "{words}").ok();
        }
    };
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("━╸─")
        .with_key("requests", read(|way| format_number(way.requests)))
        .with_key("rows", read(|way| format_number(way.rows)))
        .with_key(
            "ahead",
            read(|way| {
                let ahead = way.ahead(Instant::now());
                if ahead.is_empty() { ahead } else { format!("{ahead}   ") }
            }),
        )
}

/// Writes log lines above the bar.
impl<'a> MakeWriter<'a> for Progress {
    type Writer = Above;

    fn make_writer(&'a self) -> Above {
        Above(self.screen.clone())
    }
}

/// Standard error, with the bar out of the way.
#[derive(Debug)]
pub struct Above(MultiProgress);

impl io::Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal that remembers what was written to it.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bar_shows_figures_and_waits_while_events_come_on_a_narrow_terminal_too() {
        let (progress, paper) = (Progress::new("nightly"), Paper::default());
        progress.screen.set_draw_target(ProgressDrawTarget::term_like(Box::new(paper.clone())));
        let events = progress.events();
        // Each of these draws the bar, which reads the figures that hearing an event changes.
        events.emit(&Event::RunPlanned { job: "nightly".into(), slices: 2, requests: 2 });
        events.emit(&Event::RateLimitWait { wait: Duration::from_secs(90) });
        progress.bar.force_draw();
        progress.finish();
        let drawn = paper.0.lock().unwrap().clone();
        assert!(drawn.contains("0/2 slices") && drawn.contains("waiting for the hour to turn: 01:"), "{drawn}");
    }
}
