//! Log lines to standard error, above the progress bar where there is one.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{GlobalOptions, LogFormat};
use crate::model::event::EventSink;
use crate::observe::{Progress, log_lines};

/// Starts logging, with a progress bar called `name` when standard error is a terminal and lines are for people.
/// Returns the event sink and the bar.
pub fn start(options: &GlobalOptions, name: &str) -> (EventSink, Option<Progress>) {
    let terminal = std::io::stderr().is_terminal() && options.log_format == LogFormat::Text;
    let progress = terminal.then(|| Progress::new(name));
    // With a bar on the screen, lines only for what went wrong.
    let level = if terminal { LevelFilter::WARN } else { LevelFilter::INFO };
    let default = || Targets::new().with_default(level).with_target("tokio_cron_scheduler", LevelFilter::WARN);
    let filter = options.log.clone().unwrap_or_else(default);
    match &progress {
        Some(progress) => init(options, filter, progress.clone()),
        None => init(options, filter, std::io::stderr),
    }
    // A daemon prints nothing, and a program that reads log lines wants all of them.
    let lines = log_lines(name == "serve" || options.log_format == LogFormat::Json);
    match &progress {
        Some(progress) => (lines.and(progress.events()), Some(progress.clone())),
        None => (lines, None),
    }
}

fn init(options: &GlobalOptions, filter: Targets, writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(writer)
        .with_target(false)
        .with_ansi(colour);
    // It would be reported on standard error, where it panics if that is full or closed: the export goes on without its log.
    let builder = builder.log_internal_errors(false);
    // A second start in one process, as in tests, keeps the first.
    match options.log_format {
        LogFormat::Text => builder.finish().with(filter).try_init().ok(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).finish().with(filter).try_init().ok()
        }
    };
}
