//! Messages with names in backticks, rendered as code.

use maud::{Markup, html};

/// `text`, escaped, with each part between two backticks as `<code>`. A backtick without a partner, as in a message that was cut, starts
/// code that ends with the text.
pub fn inline_code(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
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
        assert_eq!(inline_code("cut in `stre<").into_string(), "cut in <code>stre&lt;</code>");
    }
}
