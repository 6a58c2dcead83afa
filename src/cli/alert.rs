//! `alert`: the targets of alerts.

use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::alert::Sender;
use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::table::table;
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print, print_json};
use crate::clock::Clock;
use crate::config::{AlertConfig, Config};
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
    let sending = targets.iter().map(|target| {
        let sender = &sender;
        async move {
            let began = Instant::now();
            (*target, sender.test(target, now).await, began.elapsed())
        }
    });
    let sent = join_all(sending.collect::<Vec<_>>()).await;
    let kind = |target: &AlertConfig| target.kind.map_or("", |kind| kind.name());
    match options.output {
        OutputFormat::Json => {
            let sent = sent.iter().map(|(target, sent, took)| {
                let problem = sent.as_ref().err().map(|error| error_chain(error));
                json!({"name": target.name, "type": kind(target), "sent": sent.is_ok(), "problem": problem, "seconds": took.as_secs_f64()})
            });
            print_json(&sent.collect::<serde_json::Value>())?
        }
        OutputFormat::Table => {
            let rows = sent.iter().map(|(target, sent, time)| {
                let result = sent.as_ref().map_or_else(|error| error_chain(error), |()| "sent".to_owned());
                vec![target.name.clone(), kind(target).to_owned(), result, format_duration(*time)]
            });
            print(&table(&["alert", "type", "result", ">duration"], rows))?
        }
    };
    match sent.iter().filter(|(_, sent, _)| sent.is_err()).count() {
        0 => Ok(exit::COMPLETE),
        failed => {
            Err(Failure::new(exit::FAILED, format!("{} could not be sent", format_count(failed as u64, "alert"))))
        }
    }
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
