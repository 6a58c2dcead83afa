//! `check --iam`: the least privileges that the credentials of the destination and of the tables need.

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::setup::configuration;
use crate::cli::{GlobalOptions, OutputFormat, exit, print, print_json};
use crate::destination::{Permissions, RoleGrant, least_permissions};

/// Prints them, without a request to the API or the destination.
pub fn show(options: &GlobalOptions, forgetting: bool) -> Result<u8, Failure> {
    let (_, config) = configuration(options)?;
    let lake = least_permissions(&config.destination, forgetting)?;
    let all = match config.tables.destination(&config.destination) {
        // A run deletes the files that a commit removed.
        Some(tables) => lake.with_tables(least_permissions(&tables, true)?),
        None => vec![lake],
    };
    all.into_iter().try_fold(exit::COMPLETE, |_, permissions| show_one(options, permissions))
}

fn show_one(options: &GlobalOptions, permissions: Permissions) -> Result<u8, Failure> {
    match (permissions, options.output) {
        // The provider accepts the policy as JSON only.
        (Permissions::Policy(policy), _) => print_json(&policy),
        (Permissions::Roles(grants), OutputFormat::Json) => print_json(&grants),
        (Permissions::Roles(grants), OutputFormat::Table) => {
            print(&grants.iter().map(describe).collect::<Vec<_>>().join("\n"))
        }
        (Permissions::Directory(path), OutputFormat::Json) => print_json(&json!({"directory": path})),
        (Permissions::Directory(path), OutputFormat::Table) => print(&format!(
            "The destination is the directory {}: the user that runs the program must be able to read and write there. No policy is needed.",
            path.display()
        )),
    }
}

fn describe(grant: &RoleGrant) -> String {
    let when = grant.condition.as_ref().map(|condition| format!("\n  on the condition: {condition}"));
    format!("Grant \"{}\" on {}{}", grant.role, grant.on, when.unwrap_or_default())
}
