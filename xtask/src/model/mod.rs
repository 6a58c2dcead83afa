//! `cargo xtask model`: a model of the commit protocol, checked in every order of its steps. docs/explanation/commits.md explains it.

mod ledger;
mod protocol;

use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use profound_export::model::format::format_number;
use stateright::{Checker, Model};

use protocol::{Action, Protocol, Rule};

#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// Take this rule out, and print the shortest violation
    #[arg(long)]
    without: Option<Rule>,
}

/// A broken promise, and the steps that lead to it.
#[derive(Debug)]
struct Violation {
    promise: &'static str,
    steps: Vec<String>,
}

struct Checked {
    states: usize,
    violation: Option<Violation>,
}

/// Checks every state that `protocol` can reach, up to the first violation of each promise.
fn check(protocol: Protocol) -> Checked {
    // Breadth first finds the shortest violation. Depth first needs little memory, which matters where no violation ends the search.
    let checker = protocol.checker();
    let (states, found) = if protocol.without.is_some() {
        let checked = checker.spawn_bfs().join();
        (checked.unique_state_count(), checked.discoveries())
    } else {
        let checked = checker.spawn_dfs().join();
        (checked.unique_state_count(), checked.discoveries())
    };
    let violations = found.into_iter().map(|(promise, path)| {
        let steps = path.into_vec().into_iter();
        Violation { promise, steps: steps.filter_map(|(world, action)| Some(world.describe(action?))).collect() }
    });
    // A lake that is stale does not converge either: the stronger words.
    let severity = |violation: &Violation| (violation.promise == "converges", violation.steps.len());
    Checked { states, violation: violations.min_by_key(severity) }
}

/// One run puts older rows over those of another, whose record is still missing, and is killed.
const KILLED_WHILE_PUTTING: [Action; 14] = {
    use Action::{Crash, Put, Restate, Step};
    let (run, other) = (Step(0), Step(1));
    [run, run, run, run, run, other, other, other, Restate, other, other, Put(1, 0), Put(0, 0), Crash(0)]
};

/// What is checked with all rules.
fn scenarios() -> [(&'static str, Protocol); 4] {
    let two = Protocol { restatements: 1, crashes: 1, ..Protocol::new(2) };
    [
        ("two runs, a crash, ten minutes of silence, a lost response", Protocol { silences: 1, faults: 1, ..two }),
        (
            "two runs, one of them a backfill, a crash, silence, checkpoints",
            Protocol { silences: 1, ..two.with_variants() },
        ),
        ("two runs and `forget`, a crash, checkpoints", Protocol { forgets: true, ..two.with_variants() }),
        ("three runs", Protocol { restatements: 1, ..Protocol::new(3) }),
    ]
}

/// The smallest model that needs `rule`.
fn without(rule: Rule) -> Protocol {
    let [two, three] = [2, 3].map(|runs| Protocol { restatements: 1, without: Some(rule), ..Protocol::new(runs) });
    match rule {
        Rule::BasedOnFirstRequest | Rule::ConflictIsStale | Rule::CreateIfAbsent | Rule::AtomicReplace => two,
        Rule::CheckpointNumber => Protocol { checkpoints: true, ..two },
        Rule::FailedCommitIsStale => Protocol { faults: 1, ..two },
        Rule::PlanIsRecorded => Protocol { crashes: 1, ..two },
        Rule::PlanIsRenewed => Protocol { crashes: 1, backfills: true, ..two },
        Rule::UploadsEndInTime => Protocol { crashes: 1, silences: 1, ..two },
        Rule::KeptDayStaysDue => {
            Protocol { backfills: true, crashes: 1, silences: 1, after: &KILLED_WHILE_PUTTING, ..three }
        }
        Rule::ForgottenFirst | Rule::ForgottenIsKeptOut => Protocol { forgets: true, ..two },
    }
}

pub fn run(args: &ModelArgs) -> ExitCode {
    if let Some(rule) = args.without {
        let Checked { states, violation } = check(without(rule));
        println!("{} states without `{}`", format_number(states as u64), name(rule));
        let Some(Violation { promise, steps }) = violation else {
            println!("no promise is violated");
            return ExitCode::FAILURE;
        };
        println!("violated: {promise}, after");
        steps.iter().for_each(|step| println!("  {step}"));
        return ExitCode::SUCCESS;
    }
    println!("| model | states | violations | seconds |\n|---|--:|--:|--:|");
    let mut violated = false;
    for (what, protocol) in scenarios() {
        let before = Instant::now();
        let Checked { states, violation } = check(protocol);
        violated |= violation.is_some();
        let seconds = before.elapsed().as_secs();
        println!("| {what} | {} | {} | {seconds} |", format_number(states as u64), u8::from(violation.is_some()));
        if let Some(Violation { promise, steps }) = violation {
            println!("violated: {promise}, after {}", steps.join(", "));
        }
    }
    println!("\n| without the rule | violated | steps | states |\n|---|---|--:|--:|");
    for rule in Rule::value_variants() {
        let Checked { states, violation } = check(without(*rule));
        violated |= violation.is_none();
        let (promise, steps) = violation.map_or(("nothing", 0), |violation| (violation.promise, violation.steps.len()));
        println!("| `{}` | {promise} | {steps} | {} |", name(*rule), format_number(states as u64));
    }
    if violated { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn name(rule: Rule) -> String {
    rule.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the scenarios of the command, smaller: a debug build checks some thousand states a second.
    #[test]
    fn commit_protocol_keeps_its_promises_in_every_order() {
        let two = Protocol { restatements: 1, ..Protocol::new(2) };
        let smaller = [
            Protocol { crashes: 1, ..two },
            Protocol { crashes: 1, silences: 1, restatements: 0, ..two },
            Protocol { faults: 1, restatements: 0, ..two },
            Protocol { forgets: true, restatements: 0, ..two },
            Protocol { forgets: true, crashes: 1, restatements: 0, ..Protocol::new(1) },
        ];
        for protocol in smaller {
            let Checked { states, violation } = check(protocol);
            assert!(states > 100, "{protocol:?}: {states} states");
            assert!(violation.is_none(), "{protocol:?}: {violation:?}");
        }
    }

    #[test]
    fn commit_protocol_needs_each_of_its_rules() {
        for rule in Rule::value_variants() {
            let Checked { states, violation } = check(without(*rule));
            assert!(violation.is_some(), "{rule:?} is superfluous in {states} states");
        }
    }

    #[test]
    fn commit_based_on_a_later_record_leaves_stale_rows_over_fresh_ones() {
        let violation = check(without(Rule::BasedOnFirstRequest)).violation.map(|violation| violation.promise);
        assert!(matches!(violation, Some("never stale over fresh" | "converges")), "{violation:?}");
    }
}
