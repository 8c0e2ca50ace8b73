//! What a status means to someone who has to do something about it.

use std::time::SystemTime;

use super::HeldResponse;
use crate::guest_error::GuestError;

pub(super) fn error(response: &HeldResponse) -> Option<GuestError> {
    let message = format!("{} gave {}", response.request(), response.status());
    match response.status() {
        200..=299 => None,
        401 | 403 => Some(GuestError::Unauthorized(message)),
        408 | 425 | 429 | 500..=599 => Some(GuestError::Unavailable {
            message,
            retry_after_ms: retry_after_ms(response),
        }),
        300..=399 => {
            let target = response.header("location").unwrap_or("nowhere");
            Some(GuestError::Malformed(format!(
                "{message}, a redirect to {target}; the host follows only those of GET and HEAD that name a URL"
            )))
        }
        _ => Some(GuestError::Malformed(message)),
    }
}

/// Seconds, or a date seen from the date of the response (RFC 9110, section 10.2.3): this machine's clock need not agree
/// with the remote's.
fn retry_after_ms(response: &HeldResponse) -> Option<u64> {
    let value = response.header("retry-after")?;
    if let Ok(seconds) = value.parse::<u64>() {
        // More than a century is as good.
        return Some(seconds.min(u32::MAX.into()) * 1_000);
    }
    let now = date(response.header("date")?)?;
    let pause = date(value)?.duration_since(now).unwrap_or_default();
    u64::try_from(pause.as_millis()).ok()
}

fn date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value).ok()
}
