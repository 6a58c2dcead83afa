//! A year of nights as a table.

use profound_export::model::format::{format_duration, format_number};

use crate::support::year::Year;

/// A row for each night.
pub fn table(year: &Year) -> String {
    let mut text = "| night | requests | what was due took | as planned | slices of history left |\n".to_owned();
    text.push_str("|---:|---:|---:|---:|---:|\n");
    for (number, night) in (1..).zip(&year.nights) {
        text.push_str(&format!(
            "| {number} | {} | {} | {} | {} |\n",
            format_number(night.requests),
            format_duration(night.took),
            format_duration(night.planned),
            format_number(night.left as u64),
        ));
    }
    text
}

/// Days of streams and scopes that the ledger knows at the end.
pub fn days_known(year: &Year) -> u64 {
    let scopes = year.state.coverage.values().flat_map(|scopes| scopes.values());
    scopes.map(|scope| scope.days.len() as u64).sum()
}
