//! docs/reference/commands.md: every command and option, from the definitions that parse them.

use clap::{Arg, Command};

use super::cell;

/// The page about `program` and its commands.
pub fn commands_page(program: &Command) -> String {
    let mut text = include_str!("commands.md").to_owned();
    text.push_str("\n## Options of every command\n\n");
    text.push_str(&options(program.get_arguments()));
    for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut text, program.get_name(), command);
    }
    text
}

fn section(text: &mut String, prefix: &str, command: &Command) {
    let name = format!("{prefix} {}", command.get_name());
    text.push_str(&format!("\n## `{name}`\n\n"));
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    text.push_str(&format!("{}.\n\n", about.trim_end_matches('.')));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replacen(command.get_name(), &name, 1);
    text.push_str(&format!("```text\n{usage}\n```\n\n"));
    text.push_str(&options(command.get_arguments().filter(|argument| !argument.is_global_set())));
    for nested in command.get_subcommands().filter(|nested| nested.get_name() != "help") {
        section(text, &name, nested);
    }
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let shown = |argument: &&Arg| !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str());
    let rows: Vec<String> = arguments.filter(shown).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("| option | meaning |\n|---|---|\n{}", rows.concat())
}

fn row(argument: &Arg) -> String {
    let takes_values = argument.get_action().takes_values();
    let value_names = argument.get_value_names().filter(|_| takes_values).unwrap_or_default();
    let values: Vec<String> = value_names.iter().map(|name| format!("<{name}>")).collect();
    let name = match argument.get_long() {
        Some(long) => [vec![format!("--{long}")], values].concat().join(" "),
        None => values.join(" "),
    };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    if takes_values {
        let possible = argument.get_possible_values();
        meaning += &listed("", possible.iter().map(|value| value.get_name().to_owned()));
        meaning +=
            &listed("default ", argument.get_default_values().iter().map(|value| value.to_string_lossy().into()));
    }
    format!("| `{name}` | {} |\n", cell(&meaning))
}

/// `; what a, b`, or nothing if there are no `values`.
fn listed(what: &str, values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
    if values.is_empty() { String::new() } else { format!("; {what}{}", values.join(", ")) }
}
