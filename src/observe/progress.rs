//! The progress bar on a terminal.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use parking_lot::Mutex;
use tracing_subscriber::fmt::MakeWriter;

use crate::model::event::{Event, EventSink};
use crate::model::format::format_number;
use crate::observe::run_progress::RunProgress;

const TICK: Duration = Duration::from_millis(250);
/// Two lines, the first of which fits a narrow terminal.
const TEMPLATE: &str =
    "{prefix}  {bar:20}  {pos}/{len} slices  {requests} requests  {rows} rows\n  {outlook}{wide_msg}";

/// A bar on standard error; log lines are written above it.
#[derive(Debug, Clone)]
pub struct Progress {
    screen: MultiProgress,
    bar: ProgressBar,
    run: Arc<Mutex<RunProgress>>,
}

impl Progress {
    /// Hidden until the first plan.
    pub fn new(name: &str) -> Self {
        let run = Arc::new(Mutex::new(RunProgress::new(Instant::now())));
        let screen = MultiProgress::new();
        let bar = screen.add(ProgressBar::new(0).with_prefix(name.to_owned()));
        bar.set_style(style(&run));
        Self { screen, bar, run }
    }

    pub fn events(&self) -> EventSink {
        let progress = self.clone();
        EventSink::new(move |event| progress.observe(event))
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn observe(&self, event: &Event) {
        // Unlocked before the bar is drawn, which reads it.
        self.run.lock().observe(event, Instant::now());
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
                // A slice that was split finishes once for each part.
                self.bar.set_length(self.bar.length().unwrap_or(0).max(self.bar.position()));
            }
            Event::RunFinished(_) => self.bar.finish_and_clear(),
            _ => {}
        }
    }
}

fn style(run: &Arc<Mutex<RunProgress>>) -> ProgressStyle {
    let read = |show: fn(&RunProgress) -> String| {
        let run = Arc::clone(run);
        move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let text = show(&run.lock());
            // The next tick draws a line that failed.
            write!(out, "{text}").ok();
        }
    };
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("━╸─")
        .with_key("requests", read(|run| format_number(run.finished_requests)))
        .with_key("rows", read(|run| format_number(run.rows)))
        .with_key(
            "outlook",
            read(|run| {
                let outlook = run.outlook(Instant::now());
                if outlook.is_empty() { outlook } else { format!("{outlook}   ") }
            }),
        )
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = AboveBar;

    fn make_writer(&'a self) -> AboveBar {
        AboveBar(self.screen.clone())
    }
}

/// Standard error, with the bar cleared while a line is written.
#[derive(Debug)]
pub struct AboveBar(MultiProgress);

impl io::Write for AboveBar {
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

    /// A terminal that records what is written to it.
    #[derive(Debug, Clone, Default)]
    struct FakeTerminal(Arc<Mutex<String>>);

    impl TermLike for FakeTerminal {
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
            self.0.lock().push_str(text);
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
    fn bar_shows_slices_and_rate_limit_on_a_narrow_terminal() {
        let (progress, terminal) = (Progress::new("nightly"), FakeTerminal::default());
        progress.screen.set_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let events = progress.events();
        // Each of these draws the bar, which reads the progress that observing an event changes.
        events.emit(&Event::RunPlanned { job: "nightly".into(), slices: 2, requests: 2 });
        events.emit(&Event::RateLimitWait { wait: Duration::from_secs(90) });
        progress.bar.force_draw();
        progress.finish();
        let drawn = terminal.0.lock().clone();
        assert!(drawn.contains("0/2 slices") && drawn.contains("rate limited, resumes in 01:"), "{drawn}");
    }
}
