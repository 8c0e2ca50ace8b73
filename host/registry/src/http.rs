//! Requests to registries: the client, what bounds it, and its errors in words.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Response};
use sandbar_pipeline::{Clock, look_at_file, read_file, with_causes};
use sandbar_policy::{is_private, sanitize};
use url::Url;

use crate::reference::is_loopback;
use crate::{RegistryError, RegistryTimeouts};

const MAX_REDIRECTS: usize = 5;
/// The longest file of certificates. Those of a whole machine take some 300 KiB.
const MAX_CERTIFICATES: u64 = 16 << 20;
/// What is shown of a reason.
const MAX_REASON: usize = 400;

/// The clients for all registries. Those of this machine are asked without a proxy.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    // Loading the machine's certificates takes milliseconds that nobody pays who reads files.
    near: OnceLock<Result<Client, String>>,
    far: OnceLock<Result<Client, String>>,
}

impl Clients {
    pub(crate) fn get(
        &self,
        loopback: bool,
        timeouts: &RegistryTimeouts,
        authorities: Option<&PathBuf>,
    ) -> Result<&Client, RegistryError> {
        let client = match loopback {
            true => self
                .near
                .get_or_init(|| client(builder(timeouts).no_proxy(), authorities)),
            false => self.far.get_or_init(|| client(builder(timeouts), authorities)),
        };
        client.as_ref().map_err(|reason| RegistryError::Setup {
            what: "the HTTP client for registries".into(),
            reason: reason.clone(),
        })
    }
}

fn builder(timeouts: &RegistryTimeouts) -> ClientBuilder {
    Client::builder()
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.idle)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(Policy::custom(redirect))
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(concat!("sandbar/", env!("CARGO_PKG_VERSION")))
}

fn client(mut builder: ClientBuilder, authorities: Option<&PathBuf>) -> Result<Client, String> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        match look_at_file(Path::new(&path), MAX_CERTIFICATES) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(format!("SSL_CERT_FILE, {}: {e}", path.display()));
            }
            _ => {}
        }
    }
    if let Some(path) = authorities {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|e| with_causes(&e))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let bad = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let bytes = read_file(path, MAX_CERTIFICATES).map_err(|e| bad(&e))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|e| bad(&with_causes(&e)))?;
    match found.is_empty() {
        true => Err(bad(&"it holds no certificate (PEM is wanted)")),
        false => Ok(found),
    }
}

fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("it leads on more than {MAX_REDIRECTS} times"));
    }
    let first = attempt.previous().first();
    match first.map_or(Ok(()), |first| may_lead(first, attempt.url())) {
        Ok(()) => attempt.follow(),
        Err(reason) => attempt.error(reason),
    }
}

/// Whether a registry may name this URL for what is asked next: a redirect, a place to upload to, an issuer of tokens.
pub(crate) fn may_lead(from: &Url, to: &Url) -> Result<(), String> {
    let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
    let (here, there) = (host(from), host(to));
    let shown = sanitize(&there, 100);
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" && is_loopback(&there) => {}
        "http" => return Err(format!("it leads to {shown} without TLS")),
        _ => return Err("it leads to what is no HTTP".into()),
    }
    match here != there && is_inside(&there) && !is_inside(&here) {
        true => Err(format!("it leads to {shown}, a private address")),
        false => Ok(()),
    }
}

fn is_inside(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    is_loopback(host) || bare.parse::<IpAddr>().is_ok_and(is_private)
}

pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// Gives up on what takes too long.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    time: Duration,
    what: &str,
    future: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    tokio::select! {
        done = future => done,
        () = clock.sleep(time) => Err(RegistryError::Unavailable {
            what: what.to_owned(),
            reason: format!("it was not done within {} s", time.as_secs_f64()),
        }),
    }
}

/// Why there is no answer. URLs may carry keys, and are left out.
pub(crate) fn failed(what: &str, error: reqwest::Error) -> RegistryError {
    let what = what.to_owned();
    let error = error.without_url();
    let reason = sanitize(&with_causes(&error), MAX_REASON);
    if let Some(tls) = tls_error(&error)
        && matches!(tls, rustls::Error::InvalidCertificate(_))
    {
        return RegistryError::Answer {
            what,
            reason: format!(
                "its certificate does not hold here ({tls}); if it is from an authority of your own, name that one's certificate"
            ),
        };
    }
    match error.is_redirect() || error.is_builder() {
        true => RegistryError::Answer { what, reason },
        false if error.is_timeout() => RegistryError::Unavailable {
            what,
            reason: format!("nothing came in time ({reason})"),
        },
        false => RegistryError::Unavailable { what, reason },
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An io::Error gives away what it wraps in another way.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Reads a body of at most `max` bytes; no more than that is held.
pub(crate) async fn read_body(
    what: &str,
    response: &mut Response,
    max: u64,
) -> Result<Vec<u8>, RegistryError> {
    let too_large = || RegistryError::TooLarge {
        what: what.to_owned(),
        max,
    };
    if response.content_length().is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let mut bytes = vec![];
    while let Some(chunk) = response.chunk().await.map_err(|e| failed(what, e))? {
        if (bytes.len() + chunk.len()) as u64 > max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The beginning of a body that nothing depends on.
pub(crate) async fn read_beginning(response: &mut Response, max: usize) -> String {
    let mut bytes = vec![];
    while bytes.len() < max
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(max);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
