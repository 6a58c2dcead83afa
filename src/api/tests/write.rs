//! Writes JSON and events in every equivalent form.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// The blanks between the tokens of JSON, in turns, and whether other characters than ASCII are escaped.
#[derive(Debug, Clone)]
pub struct Spacing {
    blanks: Vec<&'static str>,
    escaped: bool,
}

pub fn any_spacing() -> impl Strategy<Value = Spacing> {
    let blanks = vec(select(vec!["", "", " ", "\n", "\r\n", "\t "]), 1..6);
    (blanks, any::<bool>()).prop_map(|(blanks, escaped)| Spacing { blanks, escaped })
}

/// `value` as text, with blanks between its tokens.
pub fn spaced(value: &Value, spacing: &Spacing) -> String {
    let mut blanks = spacing.blanks.iter().cycle();
    let (mut text, mut in_string, mut escape) = (String::new(), false, false);
    let mut blank = || blanks.next().copied().unwrap_or_default();
    text.push_str(blank());
    for character in value.to_string().chars() {
        let delimits = !in_string && matches!(character, '{' | '}' | '[' | ']' | ':' | ',');
        if delimits {
            text.push_str(blank());
        }
        if spacing.escaped && !character.is_ascii() {
            let mut units = [0; 2];
            text.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(character);
        }
        if delimits {
            text.push_str(blank());
        }
        in_string ^= character == '"' && !escape;
        escape = in_string && character == '\\' && !escape;
    }
    text
}

/// How events are written.
#[derive(Debug, Clone)]
pub struct EventStyle {
    spacing: Spacing,
    /// Line ends, in turns.
    ends: Vec<&'static str>,
    /// Lines without meaning, in turns, before each event and in it.
    asides: Vec<&'static str>,
    /// Events without a row, in turns.
    others: Vec<&'static [&'static str]>,
    /// A blank follows the colon.
    blank: bool,
    byte_order_mark: bool,
    /// A blank line follows the last event.
    ended: bool,
}

pub fn any_event_style() -> impl Strategy<Value = EventStyle> {
    let ends = vec(select(vec!["\n", "\r", "\r\n"]), 1..4);
    let asides =
        vec(select(vec![": comment", ":", "id: 7", "retry: 3000", "retry", "colour: red", "datum: {", "id"]), 1..4);
    let others: Vec<&[&str]> = vec![
        &[],
        &[],
        &["event: heartbeat", "data:"],
        &["event: heartbeat", "data: {\"a\": [", "data: ]}"],
        &["event: ping", "data: half a line"],
        &["event: row"],
        &["event: done", "data: [DONE]"],
        &[""],
    ];
    let others = vec(select(others), 1..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (any_spacing(), ends, asides, others, flags).prop_map(
        |(spacing, ends, asides, others, (blank, byte_order_mark, ended))| EventStyle {
            spacing,
            ends,
            asides,
            others,
            blank,
            byte_order_mark,
            ended,
        },
    )
}

/// An event stream of `events`, each a name and its data.
pub fn events(events: &[(&str, Value)], style: &EventStyle) -> Vec<u8> {
    let colon = if style.blank { ": " } else { ":" };
    let mut asides = style.asides.iter().cycle();
    let mut others = style.others.iter().cycle();
    let mut lines: Vec<String> = Vec::new();
    for (name, data) in events {
        if let Some(other) = others.next().filter(|other| !other.is_empty()) {
            lines.extend(other.iter().map(|line| (*line).to_owned()).chain([String::new()]));
        }
        lines.extend(asides.next().map(|aside| (*aside).to_owned()));
        // Data of several lines, with breaks between tokens, where JSON allows them.
        let text = spaced(data, &style.spacing).replace("\r\n", "\n");
        let mut fields: Vec<String> = text.split('\n').map(|line| format!("data{colon}{line}")).collect();
        fields.insert(fields.len() / 2, format!("event{colon}{name}"));
        fields.extend(asides.next().map(|aside| (*aside).to_owned()));
        lines.extend(fields);
        lines.push(String::new());
    }
    if !style.ended {
        lines.pop();
    }
    let mut body = if style.byte_order_mark { "\u{feff}".to_owned() } else { String::new() };
    let mut ends = style.ends.iter().cycle();
    for line in lines {
        let end = ends.next().copied().unwrap_or("\n");
        // A line feed after a carriage return would belong to the line before it.
        let end = if line.is_empty() && body.ends_with('\r') && end == "\n" { "\r" } else { end };
        body.push_str(&line);
        body.push_str(end);
    }
    body.into_bytes()
}
