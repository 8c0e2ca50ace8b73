use std::error::Error as StdError;
use std::io;

use http::Extensions;
use hyper_util::client::legacy::Error as ClientError;
use url::Url;
use wasmtime_wasi_http::Error;

use super::flood::{Flood, Meter};
use super::proxy::ProxyError;
use super::{ProhibitedAddress, Used, prohibited, tls};
use crate::Limits;
use crate::limits::Violation;
use crate::policy::shown;

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The call is stopped, whatever the component makes of it.
    Stopped(Violation),
    /// What the component is told.
    Failed(Error),
    /// The same, of a connection that had served before: it may have died of old age while the request was sent.
    Dropped(Error),
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Violation> for SendError {
    fn from(violation: Violation) -> Self {
        Self::Stopped(violation)
    }
}

impl SendError {
    pub(super) fn of(error: &ClientError, url: &Url, limits: &Limits) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        let mut text = String::new();
        let mut dropped = false;
        if let Some(flood) = extras(error).get::<Meter>().and_then(Meter::flood) {
            // On one that waited for work it was no answer to this request, and may have begun before it was sent.
            return match served_before(error) {
                true => Self::Dropped(Error::ConnectionTerminated),
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
                        Some(why) => Self::Stopped(Violation::Unreachable {
                            what: shown(url),
                            why,
                        }),
                        None => Self::Failed(Error::InternalError(Some(format!("TLS: {error}")))),
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
                Some(io::ErrorKind::ConnectionRefused) => return Self::Failed(Error::ConnectionRefused),
                Some(io::ErrorKind::TimedOut) => return Self::Failed(Error::ConnectionTimeout),
                Some(
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe,
                ) => dropped = true,
                _ => {}
            }
            text = e.to_string();
            cause = e.source();
        }
        if error.is_connect() {
            return Self::Failed(Error::DnsError {
                rcode: Some(text),
                info_code: None,
            });
        }
        match dropped && served_before(error) {
            true => Self::Dropped(Error::ConnectionTerminated),
            false => Self::Failed(Error::ConnectionTerminated),
        }
    }

    /// For messages of the host's own requests.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Stopped(Violation::Refused { what, remedy }) => {
                format!("{what}; to allow it, write under [source.grants]: {remedy}")
            }
            Self::Stopped(Violation::Remote(what)) => what.clone(),
            Self::Stopped(Violation::Unreachable { why, .. }) => why.clone(),
            Self::Stopped(Violation::Forbidden { what, why }) => format!("{what}: {why}"),
            Self::Stopped(Violation::Limit { limit, .. }) => limit.clone(),
            Self::Stopped(Violation::Credential(why) | Violation::Contract(why)) => why.clone(),
            Self::Failed(Error::DnsError { rcode: Some(why), .. } | Error::InternalError(Some(why))) => {
                why.clone()
            }
            Self::Failed(error) | Self::Dropped(error) => in_words(&format!("{error:?}")),
        }
    }
}

/// `ConnectionRefused` as it is said: `connection refused`.
fn in_words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && words.chars().last().is_some_and(|last| last.is_ascii_lowercase()) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
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
            shown(url),
            limits.response_headers,
            limits.response_header_count
        ),
        key: "response_headers",
    }
}

fn flooded(url: &Url, flood: &Flood) -> Violation {
    Violation::Remote(format!("{} {flood}; its connection was closed", shown(url)))
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
