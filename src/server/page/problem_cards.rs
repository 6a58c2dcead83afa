//! Problems, one card each: what, since when, what is affected, what to do. Messages of errors are folded.

use maud::{Markup, html};

use super::time::stamp;
use crate::inline_code::inline_code;
use crate::model::format::format_count;
use crate::server::problems::ProblemCard;

pub(super) fn problem_cards(problems: &[ProblemCard]) -> Markup {
    html! {
        @if !problems.is_empty() {
            section #problems {
                h2 { "Problems" }
                @for (index, problem) in problems.iter().enumerate() {
                    article.card {
                        h3 { (inline_code(&problem.summary)) }
                        dl {
                            @if let Some(since) = problem.since { div { dt { "since" } dd { (stamp(since)) } } }
                            div { dt { "affected" } dd { (inline_code(&problem.affected)) } }
                            div { dt { "what to do" } dd { (inline_code(&problem.action)) } }
                        }
                        (folded(&format!("problem-{index}"), &problem.details))
                    }
                }
            }
        }
    }
}

/// Messages of errors with their sources, closed until somebody wants them.
pub(super) fn folded(id: &str, messages: &[String]) -> Markup {
    html! {
        @if !messages.is_empty() {
            details.folded id=(id) {
                summary { (format_count(messages.len() as u64, "error message")) }
                ul { @for message in messages { li { (inline_code(message)) } } }
            }
        }
    }
}
