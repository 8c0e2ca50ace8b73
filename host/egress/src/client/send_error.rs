use std::error::Error as StdError;
use std::io;

use super::flood::{Flood, Meter};
use super::proxy_error::ProxyError;
use super::{ProhibitedAddress, Used, prohibited, tls};
use crate::HttpError;
use crate::error::SendError;
use http::Extensions;
use hyper_util::client::legacy::Error as ClientError;
use sandbar_policy::{LimitKey, Limits, Violation, display_url};
use url::Url;

/// The reason for a failed request.
pub(super) fn of(error: &ClientError, url: &Url, limits: &Limits) -> SendError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut text = String::new();
    let mut dropped = false;
    if let Some(flood) = extras(error).get::<Meter>().and_then(Meter::flood) {
        // On one that waited for work it was no answer to this request, and may have begun before it was sent.
        return match served_before(error) {
            true => SendError::Dropped(HttpError::ConnectionTerminated),
            false => flooded(url, &flood).into(),
        };
    }
    while let Some(e) = cause {
        let io = e.downcast_ref::<io::Error>();
        for e in std::iter::successors(Some(e), hidden_cause) {
            if let Some(found) = e.downcast_ref::<ProhibitedAddress>() {
                return prohibited(&found.host, url);
            }
            if let Some(flood) = e.downcast_ref::<Flood>() {
                return flooded(url, flood).into();
            }
            if let Some(error) = e.downcast_ref::<rustls::Error>() {
                return match tls::lasting(error) {
                    Some(why) => SendError::Stopped(Violation::Unreachable {
                        what: display_url(url),
                        why,
                    }),
                    None => SendError::Failed(HttpError::Internal(Some(format!("TLS: {error}")))),
                };
            }
            if let Some(error) = e.downcast_ref::<ProxyError>() {
                return error.of_request(url);
            }
        }
        if let Some(hyper) = e.downcast_ref::<hyper::Error>() {
            if hyper.is_parse_too_large() {
                return too_many_headers(url, limits).into();
            }
            dropped |= hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed();
        }
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return SendError::Failed(HttpError::ConnectionRefused),
            Some(io::ErrorKind::TimedOut) => return SendError::Failed(HttpError::ConnectionTimeout),
            Some(
                io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe,
            ) => dropped = true,
            _ => {}
        }
        text = e.to_string();
        cause = e.source();
    }
    if error.is_connect() {
        return SendError::Failed(HttpError::Dns(text));
    }
    match dropped && served_before(error) {
        true => SendError::Dropped(HttpError::ConnectionTerminated),
        false => SendError::Failed(HttpError::ConnectionTerminated),
    }
}

/// `io::Error` shows what it was made of, which may be one of its kind again, and hides it from `source`.
fn hidden_cause<'a>(error: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inner)
}

/// What the parser of HTTP/1.1 gave up on, without saying which of the two it was.
fn too_many_headers(url: &Url, limits: &Limits) -> Violation {
    Violation::Limit {
        limit: format!(
            "the headers of the answer of {} are longer than {} bytes, or more than {} (`response_header_count`)",
            display_url(url),
            limits.response_headers,
            limits.response_header_count
        ),
        key: LimitKey::ResponseHeaders,
    }
}

fn flooded(url: &Url, flood: &Flood) -> Violation {
    Violation::Remote(format!("{} {flood}; its connection was closed", display_url(url)))
}

fn served_before(error: &ClientError) -> bool {
    extras(error).get::<Used>().is_some_and(Used::is_marked)
}

/// What the connection carries that the error is about.
fn extras(error: &ClientError) -> Extensions {
    let mut extensions = Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extensions);
    }
    extensions
}
