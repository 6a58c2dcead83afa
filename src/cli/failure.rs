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
use crate::run::RunError;
use crate::schedule::ScheduleError;

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
    /// The cause is the destination.
    pub is_of_destination: bool,
}

impl Failure {
    /// A failure that ends with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), hint: None, is_of_destination: false }
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
        match &self.hint {
            Some(hint) => write!(out, "\nhelp: {hint}"),
            None => Ok(()),
        }
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
        Self::new(exit::CONFIGURATION, error_chain(&error)).hint(error.hint())
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
        let hint = error.hint();
        Self { hint, ..Self::new(code, error_chain(&error)) }
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
