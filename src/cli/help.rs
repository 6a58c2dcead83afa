//! What `--help` shows after the options of a command: examples, and the page of the documentation.

use clap::{Command, CommandFactory, FromArgMatches as _};

use crate::cli::Cli;

/// The heading of the options that every command has, after those of its own.
pub const GLOBAL_OPTIONS: &str = "Options of every command";

/// A command without the name of the program, its page, and what it is used for.
type Help = (&'static str, &'static str, [(&'static str, &'static str); 2]);

const HELP: &[Help] = &[
    (
        "",
        "docs/first-steps.md",
        [
            ("profound-export demo", "try it without a key"),
            ("profound-export run --help", "options and examples of `run`"),
        ],
    ),
    (
        "demo",
        "docs/tutorial.md",
        [
            ("profound-export demo", "into ./demo-lake"),
            ("profound-export demo --to /tmp/lake", "into another directory"),
        ],
    ),
    (
        "init",
        "docs/first-steps.md",
        [
            ("profound-export init", "asks, tries, and writes ./jobs.toml"),
            ("profound-export init --full all-settings.toml", "every setting with its default"),
        ],
    ),
    (
        "check",
        "docs/first-steps.md",
        [
            ("profound-export check --sample", "also tries every selected stream"),
            ("profound-export check --iam > policy.json", "the rights that the destination needs"),
        ],
    ),
    (
        "plan",
        "docs/explanation/requests.md",
        [
            ("profound-export plan", "every job"),
            ("profound-export plan --offline --output json", "no request, for a script"),
        ],
    ),
    (
        "run",
        "docs/guides/schedule.md",
        [
            ("profound-export run", "every job, one after the other"),
            ("profound-export run nightly --dry-run", "only prints what one job would do"),
        ],
    ),
    (
        "backfill",
        "docs/guides/backfill.md",
        [
            ("profound-export backfill nightly --from 2026-01-01 --to 2026-03-31", "days that are missing"),
            (
                "profound-export backfill nightly --from 2026-03-01 --to 2026-03-01 --streams 'citations*' --force",
                "one day of some streams, although it is there",
            ),
        ],
    ),
    (
        "serve",
        "docs/guides/schedule.md",
        [
            ("profound-export serve", "with the schedules of jobs.toml"),
            ("profound-export serve --set server.listen=0.0.0.0:8080 --log-format json", "in a container"),
        ],
    ),
    (
        "healthcheck",
        "docs/guides/docker.md",
        [
            ("profound-export healthcheck", "is `serve` alive"),
            ("profound-export healthcheck --path /readyz --timeout 2", "is it ready"),
        ],
    ),
    (
        "status",
        "docs/guides/runbooks.md",
        [
            ("profound-export status --days 90", "coverage of three months"),
            ("profound-export status --output json | jq .runs", "for a script"),
        ],
    ),
    (
        "report",
        "docs/guides/report.md",
        [
            ("profound-export report", "writes ./report.html"),
            (
                "profound-export report --category Shoes --days 30 --out shoes.html",
                "one category, a month, another file",
            ),
        ],
    ),
    (
        "verify",
        "docs/reference/lake.md#verify",
        [
            ("profound-export verify --quick", "existence and sizes only"),
            ("profound-export verify 'visibility*' --dry-run", "some streams, without repairs"),
        ],
    ),
    (
        "forget",
        "docs/reference/lake.md#forget",
        [
            ("profound-export forget answers_v1", "a stream, after a question"),
            ("profound-export forget '*' --category 0055737f-ccd7 --yes", "a category of every stream, without one"),
        ],
    ),
    (
        "alert",
        "docs/guides/alerts.md",
        [("profound-export alert test", "every target"), ("profound-export alert test ops", "one target")],
    ),
    (
        "alert test",
        "docs/guides/alerts.md",
        [
            ("profound-export alert test", "every target"),
            ("profound-export alert test ops --output json", "one target, for a script"),
        ],
    ),
    (
        "ledger",
        "docs/reference/lake.md#ledger-rebuild",
        [
            ("profound-export ledger rebuild --dry-run", "shows what would be restored"),
            ("profound-export ledger rebuild", "restores it"),
        ],
    ),
    (
        "ledger rebuild",
        "docs/reference/lake.md#ledger-rebuild",
        [
            ("profound-export ledger rebuild --dry-run", "shows what would be restored"),
            ("profound-export ledger rebuild --force", "also if the ledger is readable"),
        ],
    ),
    (
        "tables",
        "docs/explanation/tables.md",
        [
            ("profound-export tables rebuild", "writes every table once more"),
            ("profound-export tables rebuild visibility_v2", "one of them"),
        ],
    ),
    (
        "tables rebuild",
        "docs/explanation/tables.md",
        [
            ("profound-export tables rebuild", "every table"),
            ("profound-export tables rebuild 'visibility*'", "some of them"),
        ],
    ),
    (
        "streams",
        "docs/reference/streams.md",
        [
            ("profound-export streams visibility_v2", "everything about one"),
            ("profound-export streams --tier core 'citations*'", "a list"),
        ],
    ),
    (
        "streams diff",
        "docs/reference/streams.md",
        [
            ("profound-export streams diff --openapi openapi.json", "what the vendor changed"),
            ("profound-export streams diff --openapi openapi.json --output json", "for a script"),
        ],
    ),
    (
        "ddl",
        "docs/guides/tables.md",
        [
            ("profound-export ddl --target duckdb | duckdb warehouse.duckdb", "views in a database"),
            ("profound-export ddl --target snowflake --location @lake 'visibility*'", "some streams, from a stage"),
        ],
    ),
    (
        "simulate",
        "docs/guides/own-streams.md",
        [
            ("profound-export simulate --categories 20 --limit 600", "a larger account"),
            ("profound-export simulate --fault status:code=503,times=2", "an API that fails twice"),
        ],
    ),
    (
        "config",
        "docs/reference/settings.md",
        [
            ("profound-export config", "every setting and where it is set"),
            ("profound-export config schema > jobs.schema.json", "for an editor"),
        ],
    ),
    (
        "completions",
        "docs/reference/commands.md",
        [
            ("profound-export completions bash > /etc/bash_completion.d/profound-export", "for bash"),
            ("profound-export completions zsh > ~/.zfunc/_profound-export", "for zsh"),
        ],
    ),
];

/// The command line of this process. Ends it where that is invalid or asks for help.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command line, with examples and pages in the help of every command.
pub fn command() -> Command {
    with_help(Cli::command(), "")
}

fn with_help(command: Command, path: &str) -> Command {
    let command = match HELP.iter().find(|(known, ..)| *known == path) {
        Some((_, page, examples)) => command.after_help(text(page, examples)),
        None => command,
    };
    let names: Vec<String> = command.get_subcommands().map(|nested| nested.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(&name, |nested| with_help(nested, path.trim_start()))
    })
}

/// An example, and what it does below: with both in a line, few lines would fit a terminal.
fn text(page: &str, examples: &[(&str, &str)]) -> String {
    let examples = examples.iter().map(|(example, what)| format!("  {example}\n      {what}\n"));
    format!("Examples:\n{}\nDocumentation: {page}", examples.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;

    /// Every command of `command` and below, with its path.
    fn walk(command: &Command, path: &str, visit: &mut impl FnMut(&Command, &str)) {
        visit(command, path);
        for nested in command.get_subcommands().filter(|nested| nested.get_name() != "help") {
            walk(nested, format!("{path} {}", nested.get_name()).trim_start(), visit);
        }
    }

    #[test]
    fn help_of_every_command_has_examples_and_a_page() {
        let (mut known, mut root) = (0, command());
        root.build();
        walk(&root, "", &mut |command, path| {
            known += 1;
            let (_, page, examples) = HELP.iter().find(|(known, ..)| *known == path).expect(path);
            let help = command.clone().render_help().to_string();
            assert!(help.ends_with(&format!("Documentation: {page}\n")), "{help}");
            for (example, _) in examples {
                assert!(help.contains(example), "{help}");
            }
            // Its own options come first.
            let (own, global) = help.split_once(GLOBAL_OPTIONS).expect("options of every command");
            assert!(global.contains("--config <FILE>") && !own.contains("--config <FILE>"), "{help}");
            let long = command.get_arguments().filter(|argument| !argument.is_global_set() && !argument.is_hide_set());
            for option in long.filter_map(|argument| argument.get_long()) {
                assert!(
                    own.contains(&format!("--{option}")),
                    "{path}: --{option} is among the options of every command"
                );
            }
        });
        assert_eq!(known, HELP.len(), "an entry has no command");
    }

    #[test]
    fn examples_are_accepted_by_the_command_that_shows_them() {
        for (path, _, examples) in HELP {
            for (example, _) in examples.iter().filter(|(example, _)| !example.contains("--help")) {
                let arguments = example.split(['|', '>']).next().unwrap().split_whitespace();
                let arguments: Vec<String> = arguments.map(|word| word.trim_matches('\'').to_owned()).collect();
                if let Err(error) = Cli::try_parse_from(&arguments) {
                    panic!("{example}: {error}");
                }
                assert!(path.is_empty() || arguments[1..].join(" ").starts_with(path), "{example}");
            }
        }
    }

    #[test]
    fn pages_named_by_the_help_exist() {
        for (_, page, _) in HELP {
            let (file, anchor) = page.split_once('#').unwrap_or((page, ""));
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
            let headings = text.lines().filter(|line| line.starts_with('#'));
            let anchors: Vec<String> =
                headings.map(|line| line.trim_matches(['#', ' ', '`']).to_lowercase().replace(' ', "-")).collect();
            assert!(anchor.is_empty() || anchors.iter().any(|known| known == anchor), "{page}: {anchors:?}");
        }
    }
}
