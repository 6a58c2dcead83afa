//! What a command prints when it fails.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::{LogFormat, exit, print_error_line};
use crate::clock::Clock;
use crate::config::{ConfigError, Problem, SecretError};
use crate::destination::DestinationError;
use crate::error_text::error_chain;
use crate::ledger::LedgerError;
use crate::maintain::MaintainError;
use crate::run::{ErrorSection, RunError};
use crate::schedule::ScheduleError;
use crate::tables::TablesError;

/// What failed, where, what was kept, what to do, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What failed, with its causes.
    pub message: String,
    /// Facts that help, a line each.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where the page about errors lists it.
    pub section: ErrorSection,
    /// The cause is the destination.
    pub is_of_destination: bool,
}

impl Failure {
    /// A failure that ends with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        // Where no error of a layer below says more.
        let section = match code {
            exit::USAGE => ErrorSection::CommandLine,
            exit::CONFIGURATION => ErrorSection::Configuration,
            exit::UNAVAILABLE => ErrorSection::Program,
            _ => ErrorSection::Commands,
        };
        Self { code, message: message.into(), details: Vec::new(), hint: None, section, is_of_destination: false }
    }

    /// A failure that ends with `code`, because of all `problems`.
    pub fn from_problems(code: u8, problems: &[Problem]) -> Self {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::new(code, problems.join("\n"))
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With a fact that helps.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Prints to standard error, in the format of the log.
    pub fn print(&self, format: LogFormat) {
        match format {
            LogFormat::Text => print_error_line(self),
            LogFormat::Json => print_error_line(self.to_json(Clock::system().now())),
        }
    }

    /// The fields of an ERROR log line. Not logged with `tracing`, because a failure must be visible before logging starts and with any filter.
    fn to_json(&self, now: Timestamp) -> Value {
        json!({
            "timestamp": format!("{now:.6}"),
            "level": "ERROR",
            "message": self.message,
            "details": self.details,
            "hint": self.hint,
            "docs": self.section.address(),
            "exit_code": self.code,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.message)?;
        for detail in &self.details {
            write!(out, "\n  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(out, "\nhelp: {hint}")?;
        }
        write!(out, "\ndocs: {}", self.section.address())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(exit::CONFIGURATION, error.to_string())
    }
}

impl From<ScheduleError> for Failure {
    fn from(error: ScheduleError) -> Self {
        Self::new(exit::CONFIGURATION, error.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::new(exit::CONFIGURATION, problem.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let failure = Self::new(exit::CONFIGURATION, error_chain(&error)).hint(error.hint());
        Self { section: ErrorSection::Key, ..failure }
    }
}

impl From<DestinationError> for Failure {
    fn from(error: DestinationError) -> Self {
        Self { is_of_destination: true, ..RunError::Destination(error).into() }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        RunError::Ledger(error).into()
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = error.disposition().outcome.exit_code();
        let (hint, section) = (error.hint(), ErrorSection::from(&error));
        Self { hint, section, ..Self::new(code, error_chain(&error)) }
    }
}

impl From<TablesError> for Failure {
    fn from(error: TablesError) -> Self {
        RunError::from(Box::new(error)).into()
    }
}

impl From<MaintainError> for Failure {
    fn from(error: MaintainError) -> Self {
        match error {
            MaintainError::Destination(error) => error.into(),
            MaintainError::Ledger(error) => error.into(),
            MaintainError::Rejected { problem, hint } => Self::new(exit::CONFIGURATION, problem).hint(hint),
            MaintainError::Spool(error) => RunError::Write(error).into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(exit::FAILED, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::api::ApiError;
    use crate::write::WriteError;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The messages of each section of the page, by its anchor.
    fn page() -> BTreeMap<String, BTreeSet<String>> {
        let text = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
        let section = |section: &str| {
            let (title, rows) = section.split_once('\n').unwrap();
            let rows = rows.lines().filter(|line| line.starts_with("| `"));
            let messages = rows.map(|row| row.split(" | ").next().unwrap().trim_matches(['|', ' ']));
            // One span of code, whose quotes are doubled if it has some.
            let plain = |message: &str| match message.strip_prefix("`` ") {
                Some(rest) => rest.strip_suffix(" ``").unwrap().to_owned(),
                None => message.trim_matches('`').to_owned(),
            };
            (title.to_lowercase().replace(' ', "-"), messages.map(plain).collect())
        };
        text.split("\n## ").skip(1).map(section).collect()
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    /// The text in the arguments of each `call`, after the exit code; none where a variable holds it.
    fn messages(code: &str, call: &str) -> Vec<String> {
        let literal = |(at, _): (usize, &str)| {
            let (before, rest) = code[at + call.len()..].split_once('"')?;
            let after_code = before.split_once(',').map_or(before, |(_, after)| after).trim();
            let end = rest.match_indices('"').map(|(at, _)| at).find(|at| !rest[..*at].ends_with('\\'))?;
            ["", "format!("].contains(&after_code).then(|| rest[..end].to_owned())
        };
        code.match_indices(call).filter_map(literal).collect()
    }

    #[test]
    fn page_lists_every_error_of_the_source_and_no_other() {
        let ignored = ["{problem}", "{what}", "{0}", "{error}{attempts}"];
        let (mut found, mut sources) = (BTreeSet::new(), String::new());
        let code = files(&root().join("src")).into_iter();
        let catalog = ["error.rs", "safety.rs"].map(|file| root().join("crates/catalog/src").join(file));
        for file in code.chain(catalog).filter(|path| path.extension().is_some_and(|end| end == "rs")) {
            let code = std::fs::read_to_string(&file).unwrap();
            let code = code.split("#[cfg(test)]\nmod ").next().unwrap();
            // Those of telemetry end no command.
            if !file.components().any(|part| part.as_os_str() == "observe") {
                found.extend(messages(code, "#[error("));
                found.extend(messages(code, "Failure::new("));
            }
            sources.push_str(code);
        }
        let found: BTreeSet<String> =
            found.into_iter().filter(|message| !ignored.contains(&message.as_str())).collect();
        assert!(found.len() > 100, "{found:?}");
        let listed: BTreeSet<String> = page().into_values().flatten().collect();
        let missing: Vec<&String> = found.difference(&listed).collect();
        assert!(missing.is_empty(), "docs/errors.md lacks {missing:#?}");
        let stale: Vec<&String> = listed.iter().filter(|message| !sources.contains(message.as_str())).collect();
        assert!(stale.is_empty(), "docs/errors.md has messages that no error has: {stale:#?}");
    }

    #[test]
    fn every_error_prints_the_section_that_lists_it() {
        let api = |error: ApiError| Failure::from(RunError::Api(error));
        let key = ApiError::KeyRejected { detail: String::new() };
        let late = ApiError::OutOfTime { wait: std::time::Duration::from_secs(60) };
        let outage = ApiError::Outage { attempts: 3, last: String::new(), retry_after: None };
        let leaked = ApiError::KeyLeaked { what: String::new() };
        let cases = [
            (Failure::new(exit::USAGE, ""), "not confirmed, nothing is deleted"),
            (Failure::new(exit::CONFIGURATION, ""), "no job is configured"),
            (Failure::new(exit::FAILED, ""), "nothing is exported to {} yet"),
            (
                Failure::new(exit::UNAVAILABLE, ""),
                "the end of the run could not be recorded within {seconds} s of the signal",
            ),
            (SecretError::Missing.into(), "no API key is configured"),
            (api(key), "the API rejected the key (HTTP 401: {detail})"),
            (api(late), "the next request may be sent in {}, which is after the deadline"),
            (api(outage), "the API is down, {attempts} requests failed in a row: {last}"),
            (api(leaked), "the response for {what} contains the API key and was discarded"),
            (RunError::DeadlinePassed.into(), "the deadline passed before everything was requested"),
            (
                RunError::Write(WriteError::SpoolFull { path: PathBuf::new(), limit_bytes: 1 }).into(),
                "the spool `{}` would exceed {limit_bytes} bytes",
            ),
            (
                DestinationError::NoConditionalCreate.into(),
                "the destination ignores `If-None-Match: *` and overwrites existing objects, so a second writer could destroy the ledger",
            ),
            (
                TablesError::Contended { table: String::new(), attempts: 5 }.into(),
                "table `{table}`: other writers commit all the time; gave up after {attempts} attempts",
            ),
            (
                LedgerError::Contended { attempts: 3 }.into(),
                "cannot write the next ledger record after {attempts} attempts",
            ),
        ];
        let (page, mut seen) = (page(), BTreeSet::new());
        for (failure, message) in cases {
            let shown = failure.to_string();
            let (_, anchor) = shown.rsplit_once("\ndocs: docs/errors.md#").expect(&shown);
            assert!(page[anchor].contains(message), "{message}: {anchor}");
            seen.insert(anchor.to_owned());
        }
        assert_eq!(seen, page.into_keys().collect(), "each section has a case");
    }
}
