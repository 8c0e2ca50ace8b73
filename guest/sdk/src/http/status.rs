//! What a status means to someone who has to do something about it.

use std::time::{Duration, SystemTime};

use super::Response;
use crate::Error;

pub(super) fn error(response: &Response) -> Option<Error> {
    let request = response.request();
    let status = response.status();
    let message = format!("{request} gave {status}");
    match status {
        200..=299 => None,
        401 | 403 => Some(Error::Unauthorized(message)),
        408 | 425 | 429 | 500..=599 => Some(Error::Unavailable {
            message,
            retry_after: retry_after(response),
        }),
        300..=399 => {
            let target = response.header("location");
            let target = target.as_deref().unwrap_or("nowhere");
            Some(Error::Malformed(format!(
                "{message}, a redirect to {target}; the host follows only those of GET and HEAD that name a URL"
            )))
        }
        _ => Some(Error::Malformed(message)),
    }
}

/// Seconds, or a date seen from the date of the response: a guest's clock need not agree with the remote's.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.header("retry-after")?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = date(&response.header("date")?)?;
    Some(date(&value)?.duration_since(now).unwrap_or_default())
}

fn date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::http::Request;

    fn response(status: u16) -> Response {
        Response::new(&Request::get("http://a/b".parse().unwrap()), status)
    }

    fn pause(headers: &[(&str, &str)]) -> Option<Duration> {
        let response = headers.iter().fold(response(429), |response, (name, value)| {
            response.with_header(*name, *value)
        });
        match error(&response) {
            Some(Error::Unavailable { retry_after, .. }) => retry_after,
            _ => None,
        }
    }

    #[test]
    fn each_status_has_its_meaning() {
        for status in [200, 204, 206] {
            assert_eq!(error(&response(status)), None, "{status}");
        }
        for status in [401, 403] {
            assert_eq!(
                error(&response(status)),
                Some(Error::Unauthorized(format!("GET http://a/b gave {status}")))
            );
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(
                error(&response(status)),
                Some(Error::unavailable(format_args!("GET http://a/b gave {status}")))
            );
        }
        for status in [100, 400, 404, 410, 422, 999] {
            assert_eq!(
                error(&response(status)),
                Some(Error::malformed(format_args!("GET http://a/b gave {status}")))
            );
        }
    }

    #[test]
    fn a_redirect_is_told_with_its_target() {
        let moved = error(&response(302).with_header("Location", "http://b/c"));
        let message = "GET http://a/b gave 302, a redirect to http://b/c; the host follows only those of GET and HEAD that name a URL";
        assert_eq!(moved, Some(Error::malformed(message)));
    }

    #[test]
    fn a_pause_is_seconds_or_a_date() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(pause(&[]), None);
        assert_eq!(pause(&[("Retry-After", " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(pause(&[("retry-after", "soon"), date]), None);
        assert_eq!(pause(&[("retry-after", "-1")]), None);
        assert_eq!(
            pause(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            pause(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date]),
            Some(Duration::ZERO)
        );
        assert_eq!(pause(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
    }
}
