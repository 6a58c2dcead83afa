//! Cursor tokens: opaque, and bound to the request they continue.

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::hash::mix;

/// A number that stands for `request`, whatever the order of its members; `cursor` itself does not count.
pub(super) fn fingerprint(seed: u64, request: &Value) -> u64 {
    let mut text = String::new();
    write_sorted(request, &mut text);
    xxh3_64_with_seed(text.as_bytes(), seed)
}

fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().filter(|name| *name != "cursor").collect();
            names.sort();
            for name in names {
                text.push_str(name);
                text.push('\u{1}');
                write_sorted(&members[name.as_str()], text);
            }
            text.push('\u{2}');
        }
        other => text.push_str(&other.to_string()),
    }
}

/// The token that continues the request of `fingerprint` after `offset` rows.
pub(super) fn token(fingerprint: u64, offset: u64) -> String {
    format!("c1_{:016x}{:016x}", offset ^ mix(fingerprint), mix(fingerprint ^ offset))
}

/// The rows that came before, or `None` when `token` belongs to another request or is none at all.
pub(super) fn offset(fingerprint: u64, token: &str) -> Option<u64> {
    let hex = token.strip_prefix("c1_")?;
    let (first, proof) = (hex.get(..16)?, hex.get(16..)?);
    let offset = u64::from_str_radix(first, 16).ok()? ^ mix(fingerprint);
    (u64::from_str_radix(proof, 16).ok()? == mix(fingerprint ^ offset)).then_some(offset)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn token_belongs_to_one_request() {
        let one = fingerprint(7, &json!({"limit": 50, "group_by": ["date"]}));
        let other = fingerprint(7, &json!({"limit": 50, "group_by": ["model"]}));
        assert_eq!(offset(one, &token(one, 150)), Some(150));
        assert_eq!(offset(other, &token(one, 150)), None);
        assert_eq!(offset(one, "c1_zz"), None);
        assert_eq!(offset(one, "page-2"), None);
    }

    #[test]
    fn cursor_and_the_order_of_members_do_not_change_the_request() {
        let first = fingerprint(7, &json!({"limit": 50, "scope": "all"}));
        let second = fingerprint(7, &json!({"scope": "all", "cursor": "c1_00", "limit": 50}));
        assert_eq!(first, second);
    }
}
