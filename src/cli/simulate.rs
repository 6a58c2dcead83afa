//! `simulate`: runs the simulator alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::cli::setup::{built_in, cancel_on_signal, configuration};
use crate::cli::{GlobalOptions, OutputFormat, exit, logging, print};
use crate::config::Period;
use crate::error_text::error_chain;
use crate::simulator::{Account, Fault, Simulator};

#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:8600")]
    listen: SocketAddr,
    /// API key to accept
    #[arg(long, default_value = "simulated-key")]
    key: String,
    /// Accounts with the same seed and settings hold the same data
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Organizations of the key
    #[arg(long, default_value_t = 2)]
    organizations: usize,
    /// Categories of the account
    #[arg(long, default_value_t = 3)]
    categories: usize,
    /// Domains of the account
    #[arg(long, default_value_t = 2)]
    domains: usize,
    /// Assets of each category
    #[arg(long, default_value_t = 4)]
    assets: usize,
    /// Prompts of each category
    #[arg(long, default_value_t = 12)]
    prompts: usize,
    /// Rows of each scope and day of a stream, exactly: `visibility_v1=20000`
    #[arg(long, value_name = "STREAM=ROWS", value_parser = rows)]
    rows: Vec<(String, u64)>,
    /// Approximate length of an answer's text in bytes
    #[arg(long, default_value_t = 1500)]
    answer_bytes: usize,
    /// Requests allowed per rate-limit window
    #[arg(long, default_value_t = 600)]
    limit: u32,
    /// Length of the rate-limit window
    #[arg(long, default_value = "1h")]
    period: Period,
    /// Requests that an event stream counts as in the rate limit
    #[arg(long, value_name = "N", default_value_t = 1)]
    event_cost: u32,
    /// Start of its clock [default: now]
    #[arg(long)]
    now: Option<Timestamp>,
    /// Rows of version 1 event streams are positional arrays, not named values
    #[arg(long)]
    positional_events: bool,
    /// Positional values are in reverse order, as `info.query` announces
    #[arg(long)]
    reverse_positions: bool,
    /// Every list is wrapped in `{"data": [...]}`
    #[arg(long)]
    wrap_lists: bool,
    /// `end_date` of version 2 is not part of the result
    #[arg(long)]
    exclusive_v2: bool,
    /// A fault to inject: `status:code=503,times=2`, `truncate:bytes=1000,stream=answers_v2`
    #[arg(long, value_name = "FAULT")]
    fault: Vec<Fault>,
}

fn rows(text: &str) -> Result<(String, u64), String> {
    let wrong = || format!("`{text}` is not STREAM=ROWS, such as `visibility_v1=20000`");
    let (stream, rows) = text.split_once('=').ok_or_else(wrong)?;
    Ok((stream.to_owned(), rows.parse().map_err(|_| wrong())?))
}

pub async fn execute(options: &GlobalOptions, args: SimulateArgs) -> Result<u8, Failure> {
    logging::start(options, "simulate");
    // Streams that a named configuration declares are answered too.
    let catalog = match options.config {
        Some(_) => Arc::clone(configuration(options)?.1.catalog()),
        None => built_in()?,
    };
    let rows: BTreeMap<String, u64> = args.rows.into_iter().collect();
    if let Some(unknown) = rows.keys().find(|name| catalog.get(name).is_none()) {
        return Err(Failure::new(exit::USAGE, format!("--rows names `{unknown}`, which is not a stream"))
            .hint("`profound-export streams` lists them"));
    }
    let account = Account {
        listen: args.listen,
        seed: args.seed,
        key: args.key,
        organizations: args.organizations,
        categories: args.categories,
        domains: args.domains,
        assets_per_category: args.assets,
        prompts_per_category: args.prompts,
        now: args.now,
        requests_per_period: args.limit,
        period: args.period.0,
        event_cost: args.event_cost,
        rows_per_day: rows,
        answer_bytes: args.answer_bytes,
        named_events: !args.positional_events,
        wrap_lists: args.wrap_lists,
        reverse_positions: args.reverse_positions,
        inclusive_v2: !args.exclusive_v2,
        ..Account::default()
    };
    let simulator = Simulator::start(catalog, account)
        .await
        .map_err(|error| Failure::new(exit::UNAVAILABLE, error_chain(&error)))?;
    args.fault.into_iter().for_each(|fault| simulator.inject(fault));
    match options.output {
        OutputFormat::Json => print(&json!({"url": simulator.url(), "key": simulator.key()}).to_string())?,
        OutputFormat::Table => {
            print(&format!("{} answers for the key `{}`; stop with Ctrl-C", simulator.url(), simulator.key()))?
        }
    };
    cancel_on_signal(CancellationToken::new()).await;
    Ok(exit::COMPLETE)
}
