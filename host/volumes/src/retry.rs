use std::time::{Duration, SystemTime};

use http::StatusCode;
use sandbar_pipeline::Backoff;

/// Tries of one request, the first one included.
pub(super) const ATTEMPTS: u32 = 5;
const BASE: Duration = Duration::from_millis(200);
/// The longest pause, whatever the server asks for.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether the same request may work later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// The pauses between the tries of one request.
pub(super) fn backoff() -> Backoff {
    Backoff::new(BASE, LONGEST)
}

/// The pause after one more failure. A server may ask for a longer one, up to a minute.
pub(super) fn pause(backoff: &mut Backoff, asked: Option<Duration>) -> Duration {
    backoff.next_pause().max(asked.unwrap_or_default()).min(LONGEST)
}

/// The value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(value).ok()?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_a_server_may_ask_for_a_minute_at_most() {
        let mut own = backoff();
        let millis: Vec<_> = (0..4).map(|_| pause(&mut own, None).as_millis()).collect();
        assert_eq!(millis, [200, 400, 800, 1600]);
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(pause(&mut backoff(), asked(7)).as_secs(), 7);
        assert_eq!(pause(&mut own, asked(0)).as_millis(), 3200, "none hurries us");
        assert_eq!(pause(&mut backoff(), asked(u64::MAX)), LONGEST);
    }

    #[test]
    fn what_the_server_asks_for_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(retry_after(" 12 ", now), Some(Duration::from_secs(12)));
        let date = "Sun, 06 Nov 1994 08:50:07 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(30)));
        for none in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 08:00:00 GMT",
            "99999999999999999999",
        ] {
            assert_eq!(retry_after(none, now), None, "{none}");
        }
    }

    #[test]
    fn only_what_may_work_later_is_tried_again() {
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
        for code in [200, 204, 302, 400, 401, 403, 404, 409, 501] {
            assert!(!is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
    }
}
