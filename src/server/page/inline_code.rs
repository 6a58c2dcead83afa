//! Sentences, with the names that stand in backticks set apart as names.

use maud::{Markup, html};

/// `words`, escaped; what stands between two backticks is code.
pub(super) fn inline_code(words: &str) -> Markup {
    let parts: Vec<&str> = words.split('`').collect();
    // An odd backtick belongs to no pair, so it stays what it is.
    if parts.len().is_multiple_of(2) {
        return html! { (words) };
    }
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index.is_multiple_of(2) { (part) } @else { code { (part) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_are_set_apart_and_escaped() {
        assert_eq!(inline_code("a `b<c>` d").into_string(), "a <code>b&lt;c&gt;</code> d");
        assert_eq!(inline_code("no `pair <").into_string(), "no `pair &lt;");
    }
}
