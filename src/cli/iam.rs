//! `check --iam`: the least privileges that the credentials of the destination and of the tables need.

use serde_json::{Value, json};

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
    match (all.as_slice(), options.output) {
        ([one], OutputFormat::Json) => print_json(&to_json(one)),
        (several, OutputFormat::Json) => print_json(&several.iter().map(to_json).collect::<Value>()),
        (all, OutputFormat::Table) => all.iter().try_fold(exit::COMPLETE, |_, one| show_text(one)),
    }
}

fn to_json(permissions: &Permissions) -> Value {
    match permissions {
        Permissions::Policy(policy) => policy.clone(),
        Permissions::Roles(grants) => json!(grants),
        Permissions::Directory(path) => json!({ "directory": path }),
    }
}

fn show_text(permissions: &Permissions) -> Result<u8, Failure> {
    match permissions {
        // The provider accepts the policy as JSON only.
        Permissions::Policy(policy) => print_json(policy),
        Permissions::Roles(grants) => print(&grants.iter().map(describe).collect::<Vec<_>>().join("\n")),
        Permissions::Directory(path) => print(&format!(
            "The destination is the directory {}: the user that runs the program must be able to read and write there. No policy is needed.",
            path.display()
        )),
    }
}

fn describe(grant: &RoleGrant) -> String {
    let when = grant.condition.as_ref().map(|condition| format!("\n  on the condition: {condition}"));
    format!("Grant \"{}\" on {}{}", grant.role, grant.on, when.unwrap_or_default())
}
