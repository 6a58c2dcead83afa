//! Cursor tokens: opaque, and bound to the request they continue.

use serde_json::Value;

use crate::data::seeded::{mix, salt};

/// The number by which a token knows its request, whatever the order of members; `cursor` itself does not count.
pub(crate) fn fingerprint(seed: u64, request: &Value) -> u64 {
    salt(seed, &sorted(request).to_string())
}

fn sorted(value: &Value) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let mut members: Vec<_> = members.iter().filter(|(name, _)| *name != "cursor").collect();
    members.sort_by_key(|(name, _)| *name);
    Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
}

/// The token that continues the request of `fingerprint` after `offset` rows.
pub(crate) fn token(fingerprint: u64, offset: u64) -> String {
    format!("c1_{:016x}{:016x}", offset ^ mix(fingerprint), mix(fingerprint ^ offset))
}

/// The number of rows before `token`, or `None` if the token is invalid or of another request.
pub(crate) fn offset(fingerprint: u64, token: &str) -> Option<u64> {
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
    fn token_is_valid_for_one_request() {
        let one = fingerprint(7, &json!({"limit": 50, "group_by": ["date"]}));
        let other = fingerprint(7, &json!({"limit": 50, "group_by": ["model"]}));
        assert_eq!(offset(one, &token(one, 150)), Some(150));
        assert_eq!(offset(other, &token(one, 150)), None);
        assert_eq!(offset(one, "c1_zz"), None);
        assert_eq!(offset(one, "page-2"), None);
    }

    #[test]
    fn fingerprint_ignores_the_cursor_and_the_order_of_members() {
        let first = fingerprint(7, &json!({"limit": 50, "scope": "all"}));
        let second = fingerprint(7, &json!({"scope": "all", "cursor": "c1_00", "limit": 50}));
        assert_eq!(first, second);
    }
}
