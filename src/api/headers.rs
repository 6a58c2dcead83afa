//! The API's response headers: its time, its rate limit, and how long to wait.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{AGE, DATE, HeaderMap};

use crate::api::rate_limit::{MAX_WINDOW, RateLimitHeaders};
use crate::http::{MAX_RETRY_AFTER, parse_http_date, retry_after};

/// A time since 1970 of this or more is in milliseconds: in seconds it would be in the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// A smaller number is no time since 1970, but seconds from now: it would be before 2001.
const UNIX_SECONDS_FROM: f64 = 1e9;

/// The server's time; `None` in a response from a cache, whose date is that of the original.
pub fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    if headers.get(AGE).is_some_and(|age| age != "0") {
        return None;
    }
    parse_http_date(headers.get(DATE)?.to_str().ok()?)
}

/// The latest time that it can be on the server, if the reset of the rate limit is a time.
pub fn latest_server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let reset = headers.get("x-ratelimit-reset")?.to_str().ok()?.trim();
    match reset.parse::<f64>() {
        Ok(number) if number < UNIX_SECONDS_FROM => None,
        Ok(number) => {
            let seconds = if number >= MILLISECONDS_FROM { number / 1000.0 } else { number };
            Timestamp::from_second(seconds as i64).ok()
        }
        Err(_) => parse_http_date(reset).or_else(|| reset.parse().ok()),
    }
}

/// The rate-limit headers, with the reset relative to `now` on the server's clock.
pub fn rate_limit_headers(headers: &HeaderMap, now: Timestamp) -> RateLimitHeaders {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let count = |name: &str| text(name)?.parse::<u32>().ok();
    RateLimitHeaders {
        limit: count("x-ratelimit-limit"),
        remaining: count("x-ratelimit-remaining"),
        reset_after: text("x-ratelimit-reset").and_then(|reset| until_reset(reset, now)),
    }
}

/// The vendor does not document the form of the reset, so every form in use is parsed: seconds from now, Unix seconds or
/// milliseconds, an HTTP date, ISO 8601. A reset in the past or more than an hour ahead is ignored.
fn until_reset(reset: &str, now: Timestamp) -> Option<Duration> {
    let until = match reset.parse::<f64>() {
        Ok(number) => {
            let seconds = if number >= MILLISECONDS_FROM { number / 1000.0 } else { number };
            let now = now.as_duration().as_secs_f64();
            Duration::try_from_secs_f64(if seconds >= now { seconds - now } else { seconds }).ok()?
        }
        Err(_) => {
            let then = parse_http_date(reset).or_else(|| reset.parse().ok())?;
            Duration::try_from(then.duration_since(now)).ok()?
        }
    };
    (!until.is_zero() && until <= MAX_WINDOW).then_some(until)
}

/// The pause that a response of `status` asks for, at most [`MAX_RETRY_AFTER`].
///
/// A `Retry-After` beyond that is a mistake, such as milliseconds: then the rate-limit reset counts, if there is one. A 429
/// without `Retry-After` asks to wait until the reset.
pub fn pause_asked(headers: &HeaderMap, now: Timestamp, status: StatusCode) -> Option<Duration> {
    let reset = || rate_limit_headers(headers, now).reset_after;
    match retry_after(headers, now) {
        Some(asked) if asked <= MAX_RETRY_AFTER => Some(asked),
        Some(_) => Some(reset().unwrap_or(MAX_RETRY_AFTER)),
        None if status == StatusCode::TOO_MANY_REQUESTS => reset(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn date_of_a_cached_response_is_not_the_time() {
        let date = ("date", "Tue, 10 Mar 2026 16:00:00 GMT");
        let time = |pairs: &[(&'static str, &str)]| server_time(&headers(pairs)).map(|at| at.to_string());
        assert_eq!(time(&[date, ("age", "0")]), time(&[date]));
        assert!(time(&[date]).is_some());
        for age in ["1", "86400", "soon", ""] {
            assert_eq!(time(&[date, ("age", age)]), None, "{age}");
        }
    }

    #[test]
    fn absolute_reset_is_the_latest_time_on_the_server() {
        let latest = |reset| latest_server_time(&headers(&[("x-ratelimit-reset", reset)])).map(|at| at.to_string());
        for reset in ["1773158400", "1773158400000", "Tue, 10 Mar 2026 16:00:00 GMT", "2026-03-10T16:00:00Z"] {
            assert_eq!(latest(reset).as_deref(), Some("2026-03-10T16:00:00Z"), "{reset}");
        }
        assert_eq!([latest("3600"), latest("soon"), latest("1e99")], [None, None, None]);
    }

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn absurd_retry_after_gives_way_to_the_reset() {
        let reset = (now().as_second() + 20).to_string();
        let asked = |status: u16, pairs: &[(&'static str, &str)]| {
            pause_asked(&headers(pairs), now(), StatusCode::from_u16(status).unwrap()).map(|pause| pause.as_secs())
        };
        assert_eq!(asked(429, &[("retry-after", "1260"), ("x-ratelimit-reset", &reset)]), Some(1260));
        assert_eq!(asked(429, &[("retry-after", "999999999"), ("x-ratelimit-reset", &reset)]), Some(20));
        assert_eq!(asked(503, &[("retry-after", "999999999")]), Some(3600));
        assert_eq!(asked(429, &[("x-ratelimit-reset", &reset)]), Some(20));
        assert_eq!(asked(503, &[("x-ratelimit-reset", &reset)]), None);
    }

    #[test]
    fn reset_is_parsed_in_every_form() {
        let reset = |value: &str| rate_limit_headers(&headers(&[("x-ratelimit-reset", value)]), now()).reset_after;
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
}
