//! `alert`: the targets of alerts.

use std::time::Duration;

use futures::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::alert::Sender;
use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::table::table;
use crate::cli::{GlobalOptions, exit, logging};
use crate::clock::Clock;
use crate::config::{AlertConfig, AlertKind, Config};
use crate::error_text::error_chain;
use crate::model::format::{format_count, format_duration};

#[derive(Debug, clap::Subcommand)]
pub enum AlertCommand {
    /// Send one test notification to each target, or ping it if it is a heartbeat
    Test {
        /// Targets [default: all]
        names: Vec<String>,
    },
}

pub async fn execute(options: &GlobalOptions, command: AlertCommand) -> Result<u8, Failure> {
    let AlertCommand::Test { names } = command;
    logging::start(options, "alert");
    let (_, config) = configuration(options)?;
    let targets = chosen(&config, &names)?;
    // A test of alerts must not create a lake.
    let sender = Sender::new(&config);
    let now = Clock::system().now();
    let sending = targets.iter().map(async |target| {
        let began = Instant::now();
        let problem = sender.test(target, now).await.err().map(|error| error_chain(&error));
        TestResult {
            name: &target.name,
            kind: target.kind.map_or("", AlertKind::name),
            sent: problem.is_none(),
            problem,
            seconds: began.elapsed().as_secs_f64(),
        }
    });
    let results = join_all(sending).await;
    let text = || {
        let rows = results.iter().map(|result| {
            let what = result.problem.clone().unwrap_or_else(|| "sent".to_owned());
            let duration = format_duration(Duration::from_secs_f64(result.seconds));
            vec![result.name.to_owned(), result.kind.to_owned(), what, duration]
        });
        table(&["alert", "type", "result", ">duration"], rows)
    };
    options.show(text, || &results)?;
    match results.iter().filter(|result| !result.sent).count() {
        0 => Ok(exit::COMPLETE),
        failed => {
            Err(Failure::new(exit::FAILED, format!("{} could not be sent", format_count(failed as u64, "alert"))))
        }
    }
}

/// The result of a test notification to one target.
#[derive(Serialize)]
struct TestResult<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    sent: bool,
    problem: Option<String>,
    seconds: f64,
}

fn chosen<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a AlertConfig>, Failure> {
    if config.alert_targets.is_empty() {
        return Err(Failure::new(exit::CONFIGURATION, "no alert is configured")
            .hint("write `[[alert]]` into jobs.toml: docs/guides/alerts.md shows each type"));
    }
    let target = |name: &String| {
        let found = config.alert_targets.iter().find(|target| target.name == *name);
        found.ok_or_else(|| {
            let known: Vec<_> = config.alert_targets.iter().map(|target| format!("`{}`", target.name)).collect();
            Failure::new(exit::CONFIGURATION, format!("there is no alert `{name}`"))
                .hint(format!("there are {}", known.join(", ")))
        })
    };
    if names.is_empty() { Ok(config.alert_targets.iter().collect()) } else { names.iter().map(target).collect() }
}
