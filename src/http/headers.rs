//! Response headers that several clients read.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest pause that a `Retry-After` can ask for. The API's rate limit resets every hour, so a longer one is a mistake.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// An HTTP date, such as `Sun, 01 Mar 2026 12:00:07 GMT`.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// The pause that `Retry-After` asks for, in seconds or as a date relative to `now`; zero for a date in the past. The pause may
/// exceed [`MAX_RETRY_AFTER`].
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => Some(Duration::try_from(parse_http_date(value)?.duration_since(now)).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let parsed = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(parsed("3"), Some(3));
        assert_eq!(parsed("Sun, 01 Mar 2026 12:00:07 GMT"), Some(7));
        assert_eq!(parsed("Sun, 01 Mar 2026 11:00:00 GMT"), Some(0));
        for invalid in ["-5", "NaN", "inf", "1e300", "soon", ""] {
            assert_eq!(parsed(invalid), None, "{invalid}");
        }
    }
}
