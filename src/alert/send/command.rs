//! A program that is started for each message, with its JSON on standard input.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::alert::message::Message;
use crate::alert::send::SendError;
use crate::config::AlertConfig;

/// How the names of variables begin that hold the key, or credentials of a cloud.
const SECRET_VARIABLES: [&str; 4] = ["PROFOUND_API_KEY", "AWS_", "AZURE_", "GOOGLE_"];

pub(super) async fn run(target: &AlertConfig, message: &Message, destination: &str) -> Result<(), SendError> {
    let Some((program, arguments)) = target.command.split_first() else {
        return Err(SendError::Rejected("`command` is empty".into()));
    };
    let mut command = Command::new(program);
    // The program needs neither the key nor the credentials of the lake, so it does not get them.
    for (name, _) in std::env::vars_os() {
        let is_secret = |name: &str| SECRET_VARIABLES.iter().any(|start| name.starts_with(start));
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(arguments)
        .env("PROFOUND_EXPORT_ALERT_EVENT", message.event_name())
        .env("PROFOUND_EXPORT_ALERT_STATE", message.state_name())
        .env("PROFOUND_EXPORT_ALERT_HEADLINE", message.headline())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| SendError::Unreachable(format!("`{program}` cannot be started: {error}")))?;
    let body = message.to_json(destination).to_string();
    let running = async {
        if let Some(mut input) = child.stdin.take() {
            // A program may not read it: the variables have the most of it.
            input.write_all(body.as_bytes()).await.ok();
        }
        child.wait().await
    };
    let ended = tokio::time::timeout(target.timeout.0, running).await.map_err(|_| {
        SendError::Unreachable(format!("`{program}` did not end within {} s", target.timeout.0.as_secs()))
    })?;
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(SendError::Unreachable(format!("`{program}` ended with {status}"))),
        Err(error) => Err(SendError::Unreachable(format!("`{program}`: {error}"))),
    }
}
