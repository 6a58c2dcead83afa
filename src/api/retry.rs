//! How long to wait before asking again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::api::budget::{LONGEST_PERIOD, RateHeaders};

/// Attempts at one request before its error is believed.
pub const ATTEMPTS: usize = 5;
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A time since 1970 from this number on is in milliseconds: in seconds it would lie in the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// Pauses between attempts: exponential, each with full jitter (anything from nothing to the whole pause).
pub fn pauses() -> impl Iterator<Item = Duration> {
    let exponential = ExponentialBuilder::default()
        .with_min_delay(SHORTEST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_factor(2.0)
        .without_max_times();
    exponential.build().map(|pause| pause.mul_f64(fastrand::f64()))
}

/// The server's own time, if it sent one.
pub fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// What the headers say of the rate limit, as of `now` on the server's clock.
pub fn rate_headers(headers: &HeaderMap, now: Timestamp) -> RateHeaders {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let count = |name: &str| text(name)?.parse::<u32>().ok();
    RateHeaders {
        limit: count("x-ratelimit-limit"),
        remaining: count("x-ratelimit-remaining"),
        reset_after: text("x-ratelimit-reset").and_then(|reset| until_reset(reset, now)),
    }
}

/// Nobody has seen the form of a reset, so any is understood: seconds from now, a time in unix seconds or milliseconds,
/// an HTTP date, or an ISO 8601 one. What is past, or more than an hour ahead, tells nothing.
fn until_reset(reset: &str, now: Timestamp) -> Option<Duration> {
    let until = match reset.parse::<f64>() {
        Ok(number) => {
            let seconds = if MILLISECONDS_FROM <= number { number / 1000.0 } else { number };
            let now = now.as_duration().as_secs_f64();
            Duration::try_from_secs_f64(if now <= seconds { seconds - now } else { seconds }).ok()?
        }
        Err(_) => {
            let then = http_date(reset).or_else(|| reset.parse().ok())?;
            Duration::try_from(then.duration_since(now)).ok()?
        }
    };
    (!until.is_zero() && until <= LONGEST_PERIOD).then_some(until)
}

/// How long a 429 or 503 asks to wait: seconds or a date. More than an hour is absurd; then the reset counts, or an hour.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let told = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let told = match told.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Duration::try_from_secs_f64(seconds).ok()?,
        Ok(_) => return None,
        Err(_) => Duration::try_from(http_date(told)?.duration_since(now)).unwrap_or_default(),
    };
    match told <= LONGEST_PERIOD {
        true => Some(told),
        false => Some(rate_headers(headers, now).reset_after.unwrap_or(LONGEST_PERIOD)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn retry_after_is_understood_in_both_forms_and_never_absurd() {
        let told = |value: &str| retry_after(&headers(&[("retry-after", value)]), now()).map(|wait| wait.as_secs());
        assert_eq!(told("3"), Some(3));
        assert_eq!(told("Sun, 01 Mar 2026 12:00:07 GMT"), Some(7));
        assert_eq!(told("Sun, 01 Mar 2026 11:00:00 GMT"), Some(0));
        assert_eq!(told("999999999"), Some(3600));
        assert_eq!(told("-5"), None);
        assert_eq!(told("soon"), None);
        let reset = (now().as_second() + 20).to_string();
        let both = |told: &str| retry_after(&headers(&[("retry-after", told), ("x-ratelimit-reset", &reset)]), now());
        assert_eq!(both("1260"), Some(Duration::from_secs(1260)));
        assert_eq!(both("999999999"), Some(Duration::from_secs(20)));
    }

    #[test]
    fn reset_is_a_time_or_seconds_from_now() {
        let reset = |value: &str| rate_headers(&headers(&[("x-ratelimit-reset", value)]), now()).reset_after;
        let seconds = now().as_second();
        let then = [
            "90".to_owned(),
            "90.0".to_owned(),
            (seconds + 90).to_string(),
            (1000 * (seconds + 90)).to_string(),
            "Sun, 01 Mar 2026 12:01:30 GMT".to_owned(),
            "2026-03-01T12:01:30Z".to_owned(),
            "2026-03-01T12:01:30.000+00:00".to_owned(),
        ];
        for form in then {
            assert_eq!(reset(&form), Some(Duration::from_secs(90)), "{form}");
        }
        for absurd in [&(seconds + 90_000).to_string(), "0", "-1", "NaN", "soon", "2026-03-01T11:59:59Z"] {
            assert_eq!(reset(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert!(pauses().take(50).all(|pause| pause <= LONGEST_PAUSE));
    }
}
