//! The HTTP client of one pipeline. `exchange` is what a component's request goes through: grants, credentials,
//! redirects, retries.

mod body;
mod body_redactor;
mod charset;
mod connect;
mod decode;
mod exchange;
mod flood;
mod frames;
mod proxy;
mod proxy_error;
mod rate;
mod send_error;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use sandbar_pipeline::look_at_file;
use sandbar_policy::{Credential, Grants, Limits, Remedy, Violation, display_url};
use tokio::sync::Semaphore;
use url::Url;

pub(crate) use body::GuestBody;
pub(crate) use body_redactor::Mask;
pub(crate) use charset::Charset;
pub(crate) use decode::Decoder;
pub(crate) use flood::Meter;

use crate::cpu::TakeTurns;
use crate::credential::ActiveCredential;
use crate::error::SendError;
use crate::oauth2::PostForm;
use crate::redact::Redactor;
use crate::{HttpError, Network, RequestBody};
use connect::{BelowTls, CheckedResolver, ProhibitedAddress, Resolve, SystemResolver, Timed, Used};
use proxy::Ways;
use rate::Rate;

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections of one pipeline at once, those that wait for work included.
const MAX_CONNECTIONS: usize = 128;
/// What HTTP/2 may take of headers beyond the limit, before it breaks the stream.
const MORE_HEADERS: u64 = 256 << 10;
/// The longest answer of a token endpoint.
const MAX_POSTED_ANSWER: usize = 1 << 20;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Plain = HttpConnector<CheckedResolver>;
type TlsClient = Client<Timed<HttpsConnector<BelowTls<Plain>>>, RequestBody>;

/// The HTTP client of one pipeline: its connection pool, grants, credentials and rate.
///
/// One per pipeline and policy, because a pooled connection skips the check of its address.
pub struct HttpClient {
    plain: Client<Timed<Plain>, RequestBody>,
    // Loading the machine's certificates takes milliseconds that a plain-HTTP pipeline need not pay.
    tls: OnceLock<Result<TlsClient, String>>,
    connector: Plain,
    ways: Ways,
    connections: Arc<Semaphore>,
    grants: Arc<Grants>,
    credentials: Vec<ActiveCredential>,
    redactor: Redactor,
    in_flight: Arc<Semaphore>,
    rate: Option<Rate>,
    limits: Limits,
    phases: Phases,
}

/// How long each phase of a request may take. The whole of it is one of the limits.
#[derive(Clone, Copy)]
pub(crate) struct Phases {
    /// TCP.
    pub(crate) connect: Duration,
    /// Name, TCP and TLS.
    pub(crate) connected: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) between_bytes: Duration,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            connected: Duration::from_secs(15),
            first_byte: Duration::from_secs(30),
            between_bytes: Duration::from_secs(30),
        }
    }
}

impl HttpClient {
    /// A client that reaches what `grants` allows, in the ways that `network` says.
    pub fn new(network: Network, grants: Grants, credentials: Vec<Credential>, limits: &Limits) -> Arc<Self> {
        let ways = Ways::new(network, Arc::new(SystemResolver::default()));
        Self::by(ways, grants, credentials, limits, Phases::default())
    }

    #[cfg(test)]
    fn with(
        grants: Grants,
        credentials: Vec<Credential>,
        limits: &Limits,
        resolver: Arc<dyn Resolve>,
        phases: Phases,
    ) -> Arc<Self> {
        let ways = Ways::new(Network::default(), resolver);
        Self::by(ways, grants, credentials, limits, phases)
    }

    fn by(
        ways: Ways,
        grants: Grants,
        credentials: Vec<Credential>,
        limits: &Limits,
        phases: Phases,
    ) -> Arc<Self> {
        let connector = plain_connector(grants.clone(), ways.resolver(), phases);
        let grants = Arc::new(grants);
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let redactor = Redactor::default();
        let credentials: Vec<_> = credentials.into_iter().map(ActiveCredential::new).collect();
        credentials
            .iter()
            .for_each(|credential| credential.register_secrets(&redactor));
        ways.network().secrets().for_each(|secret| redactor.add(secret));
        Arc::new(Self {
            plain: builder(limits).build(Timed {
                inner: connector.clone(),
                within: phases.connected,
                connections: connections.clone(),
                beside: beside(limits),
            }),
            tls: OnceLock::new(),
            connector,
            ways,
            connections,
            grants,
            credentials,
            redactor,
            in_flight: Arc::new(Semaphore::new(limits.requests_in_flight.max(1) as usize)),
            rate: limits.requests_per_second.map(Rate::new),
            limits: limits.clone(),
            phases,
        })
    }

    /// What may be reached.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What redacts this pipeline's secrets.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(crate) fn credentials(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().map(ActiveCredential::credential)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn phases(&self) -> Phases {
        self.phases
    }

    /// Sends one request. The URL is sent as it was parsed, not in another spelling of it.
    async fn send(
        &self,
        url: &Url,
        method: Method,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<Incoming>, SendError> {
        let uri = url.as_str().parse::<Uri>().map_err(|_| HttpError::InvalidUrl)?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = match (self.ways.way(url).await, url.scheme()) {
            (Some(proxy), "https") => self.through(&proxy, url, request).await?,
            (Some(proxy), _) => self.forward(&proxy, url, request).await?,
            (None, scheme) => {
                let sent = match scheme {
                    "https" => self.tls(url)?.request(request).await,
                    _ => self.plain.request(request).await,
                };
                sent.map_err(|e| send_error::of(&e, url, &self.limits))?
            }
        };
        if let Some(used) = response.extensions().get::<Used>() {
            used.mark();
        }
        if let Some(meter) = response.extensions().get::<Meter>() {
            meter.head(exchange::size(response.headers()));
        }
        Ok(response)
    }

    /// An address that is written out never meets the resolver, so it is checked here.
    fn check_literal(&self, url: &Url) -> Result<(), SendError> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.grants.allows_address(host, address) => Err(prohibited(host, url)),
            _ => Ok(()),
        }
    }

    fn tls(&self, url: &Url) -> Result<&TlsClient, SendError> {
        let made = self.tls.get_or_init(|| {
            let connector = tls::connector(self.ways.network(), self.below_tls(self.connector.clone()))?;
            Ok(builder(&self.limits).build(self.timed(connector)))
        });
        made.as_ref().map_err(|why| without_tls(url, why))
    }

    fn timed<C>(&self, inner: C) -> Timed<C> {
        Timed {
            inner,
            within: self.phases.connected,
            connections: self.connections.clone(),
            beside: beside(&self.limits),
        }
    }

    fn below_tls<C>(&self, inner: C) -> BelowTls<C> {
        BelowTls {
            inner,
            beside: beside(&self.limits),
        }
    }
}

impl PostForm for HttpClient {
    async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), SendError> {
        let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
        let failed = |why: String| SendError::Failed(HttpError::Internal(Some(why)));
        let exchange = async {
            let response = self.send(url, Method::POST, headers, body).await;
            let (head, body) = response?.into_parts();
            let body = Limited::new(body, MAX_POSTED_ANSWER).collect().await;
            Ok((head.status, body.map_err(|e| failed(e.to_string()))?.to_bytes()))
        };
        let max = self.phases.first_byte.min(self.limits.request_timeout);
        match tokio::time::timeout(max, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(failed(format!("no answer within {max:?}"))),
        }
    }

    fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// A connector that goes to checked addresses alone.
fn plain_connector(grants: Grants, resolver: Arc<dyn Resolve>, phases: Phases) -> Plain {
    let mut connector = HttpConnector::new_with_resolver(CheckedResolver {
        grants: Arc::new(grants),
        resolver,
    });
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(phases.connect));
    connector
}

fn without_tls(url: &Url, why: &str) -> SendError {
    SendError::Stopped(Violation::Unreachable {
        what: display_url(url),
        why: format!("TLS can't be set up: {why}"),
    })
}

/// The file of certificates that the environment names is opened by the library, whatever it is.
fn look_at_certificates() -> Result<(), String> {
    const VARIABLE: &str = "SSL_CERT_FILE";
    const MAX: u64 = 16 << 20;
    let Some(path) = std::env::var_os(VARIABLE) else {
        return Ok(());
    };
    let path = Path::new(&path);
    match look_at_file(path, MAX) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(format!("{VARIABLE}, {}: {e}", path.display())),
        _ => Ok(()),
    }
}

fn prohibited(host: &str, url: &Url) -> SendError {
    SendError::Stopped(Violation::NotGranted {
        what: format!("{}, because {host} leads to a private address", display_url(url)),
        remedy: Remedy::AllowPrivateNetwork,
    })
}

/// What a connection may bring beside bodies, in bytes: the headers of one answer at their longest fit in.
fn beside(limits: &Limits) -> u64 {
    limits
        .response_headers
        .saturating_mul(2)
        .saturating_add(MORE_HEADERS)
}

fn builder(limits: &Limits) -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TakeTurns);
    // Larger than the limit: what the library refuses can't be told from other broken streams. It counts 32 bytes for each
    // header.
    let max = u32::try_from(beside(limits)).unwrap_or(u32::MAX);
    builder
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_buf_size(max as usize)
        .http1_max_headers(limits.response_header_count as usize)
        .http2_max_header_list_size(max)
        .retry_canceled_requests(true);
    builder
}
