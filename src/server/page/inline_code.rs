//! Messages with names in backticks, rendered as code.

use maud::{Markup, html};

/// `text`, escaped, with each part between two backticks as `<code>`.
pub(super) fn inline_code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks means one without a partner: render the text as it is.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
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
    fn names_in_backticks_are_code_and_escaped() {
        assert_eq!(inline_code("a `b<c>` d").into_string(), "a <code>b&lt;c&gt;</code> d");
        assert_eq!(inline_code("no `pair <").into_string(), "no `pair &lt;");
    }
}
