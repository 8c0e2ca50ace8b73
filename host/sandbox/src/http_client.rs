use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tower_service::Service;
use url::Url;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::policy::{Credential, Grants};
use crate::{Limits, SandboxError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

type Plain = HttpConnector<CheckedResolver>;

/// The HTTP client of one pipeline: its connection pool, grants, credentials and rate.
///
/// One per pipeline and policy, because a pooled connection skips the check of its address.
pub struct HttpClient {
    plain: Client<Plain, WasiBody>,
    // Loading the machine's certificates takes milliseconds that a plain-HTTP pipeline need not pay.
    tls: OnceLock<Result<Client<HttpsConnector<Plain>, WasiBody>, String>>,
    connector: Plain,
    grants: Arc<Grants>,
    credentials: Vec<Credential>,
    in_flight: Arc<Semaphore>,
    rate: Option<Rate>,
}

/// Marks a connection that was refused because of its address.
#[derive(Debug, thiserror::Error)]
#[error("{host} leads to a private address")]
pub(crate) struct ProhibitedAddress {
    pub(crate) host: String,
}

impl HttpClient {
    /// A client that can reach what `grants` says.
    ///
    /// # Errors
    /// None at present; the signature leaves room for TLS settings.
    pub fn new(
        grants: Grants,
        credentials: Vec<Credential>,
        limits: &Limits,
    ) -> Result<Arc<Self>, SandboxError> {
        let grants = Arc::new(grants);
        let mut connector = HttpConnector::new_with_resolver(CheckedResolver(grants.clone()));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let in_flight = Arc::new(Semaphore::new(limits.requests_in_flight.max(1) as usize));
        Ok(Arc::new(Self {
            plain: builder().build(connector.clone()),
            tls: OnceLock::new(),
            connector,
            grants,
            credentials,
            in_flight,
            rate: limits.requests_per_second.map(Rate::new),
        }))
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// Sends a request that was checked against the grants, when rate and concurrency allow it.
    ///
    /// The permit belongs to the response: it is given back when the body is done.
    pub(crate) async fn send(
        &self,
        url: &Url,
        mut request: Request<WasiBody>,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), SendError> {
        for credential in &self.credentials {
            if let Some(value) = credential.value_for(url) {
                request.headers_mut().insert(credential.name(), value.clone());
            }
        }
        // An address that is written out never meets the resolver.
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>()
            && !self.grants.check_address(host, address)
        {
            return Err(SendError::Prohibited(host.to_owned()));
        }
        // The URL that was checked is the one that is sent, not another spelling of it.
        *request.uri_mut() = url
            .as_str()
            .parse::<Uri>()
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        let closed = |_| Error::InternalError(None);
        let permit = self.in_flight.clone().acquire_owned().await.map_err(closed)?;
        if let Some(rate) = &self.rate {
            rate.wait().await;
        }
        let response = match url.scheme() {
            "https" => self.tls()?.request(request).await,
            _ => self.plain.request(request).await,
        };
        Ok((response.map_err(SendError::from)?, permit))
    }

    fn tls(&self) -> Result<&Client<HttpsConnector<Plain>, WasiBody>, Error> {
        let made = self.tls.get_or_init(|| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let connector = HttpsConnectorBuilder::new()
                .with_provider_and_platform_verifier(provider)
                .map_err(|e| e.to_string())?
                .https_only()
                .enable_http1()
                .enable_http2()
                .wrap_connector(self.connector.clone());
            Ok(builder().build(connector))
        });
        made.as_ref()
            .map_err(|e| Error::InternalError(Some(format!("TLS can't be set up: {e}"))))
    }
}

/// Why a request got no response.
pub(crate) enum SendError {
    /// The host's name leads to an address that is not granted.
    Prohibited(String),
    /// What the component is told.
    Failed(Error),
}

impl From<Error> for SendError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ClientError> for SendError {
    fn from(error: ClientError) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        let mut text = String::new();
        while let Some(e) = cause {
            // `io::Error` shows its own cause, and hides it from `source`.
            let io = e.downcast_ref::<io::Error>();
            let inner = io
                .and_then(|io| io.get_ref())
                .map(|i| i as &(dyn std::error::Error + 'static));
            for e in [Some(e), inner].into_iter().flatten() {
                if let Some(prohibited) = e.downcast_ref::<ProhibitedAddress>() {
                    return Self::Prohibited(prohibited.host.clone());
                }
                if e.downcast_ref::<rustls::Error>().is_some() {
                    return Self::Failed(Error::InternalError(Some(format!("TLS: {e}"))));
                }
            }
            match io.map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => return Self::Failed(Error::ConnectionRefused),
                Some(io::ErrorKind::TimedOut) => return Self::Failed(Error::ConnectionTimeout),
                _ => {}
            }
            text = e.to_string();
            cause = e.source();
        }
        Self::Failed(match error.is_connect() {
            true => Error::DnsError {
                rcode: Some(text),
                info_code: None,
            },
            false => Error::ConnectionTerminated,
        })
    }
}

/// Resolves names and lets only granted addresses through, so that the connection goes to what was checked.
#[derive(Clone)]
pub(crate) struct CheckedResolver(Arc<Grants>);

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let grants = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let granted: Vec<_> = found
                .iter()
                .filter(|found| grants.check_address(&host, found.ip()))
                .copied()
                .collect();
            if granted.is_empty() && !found.is_empty() {
                return Err(io::Error::other(ProhibitedAddress { host }));
            }
            Ok(granted.into_iter())
        })
    }
}

/// Spreads requests evenly: at most so many per second, over all instances.
struct Rate {
    gap: Duration,
    next: Mutex<Option<tokio::time::Instant>>,
}

impl Rate {
    /// Anything below one request in a thousand seconds counts as that.
    fn new(per_second: f64) -> Self {
        Self {
            gap: Duration::from_secs_f64(1.0 / per_second.max(0.001)),
            next: Mutex::new(None),
        }
    }

    async fn wait(&self) {
        let now = tokio::time::Instant::now();
        let mut next = self.next.lock().await;
        let slot = next.map_or(now, |next| next.max(now));
        *next = Some(slot + self.gap);
        drop(next);
        tokio::time::sleep_until(slot).await;
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http1_max_buf_size(1 << 20)
        .retry_canceled_requests(true);
    builder
}
