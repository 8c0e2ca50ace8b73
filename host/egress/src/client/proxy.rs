//! Requests through a proxy: plain ones are handed to it with their whole URL, others go through a tunnel.
//!
//! What a component may reach was decided before, by the URL's text. Its address is looked at here as far as this machine
//! can find it out; where it can't, the name is the proxy's affair.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Intercept;
use sandbar_policy::{Grants, is_private};
use tokio::time::Instant;
use tower_service::Service;
use url::{Host, Url};

use super::connect::{BelowTls, Resolve, Timed, delegate_read_and_write};
use super::proxy_error::{ProxyError, refused};
use super::{BoxError, HttpClient, Plain, builder, send_error, tls};
use crate::error::SendError;
use crate::{Network, RequestBody};

type ForwardClient = Client<Timed<ToProxy>, RequestBody>;
type TunnelClient = Client<Timed<HttpsConnector<BelowTls<ToProxy>>>, RequestBody>;

/// How long looking for a name may take that a proxy could find as well.
const LOOKUP: Duration = Duration::from_secs(5);
/// How long an answer is good for, and that there is none.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// Names that are remembered. Wildcards grant more.
const MAX_KNOWN: usize = 256;

/// The ways through proxies of one pipeline, made when they are first used.
pub(super) struct Ways {
    network: Network,
    resolver: Arc<dyn Resolve>,
    forward: OnceLock<ForwardClient>,
    tunnel: OnceLock<Result<TunnelClient, String>>,
    /// Which names lead to private addresses, and until when that is known.
    known: Mutex<HashMap<String, (Instant, bool)>>,
    told: Once,
    warned: Once,
}

impl Ways {
    pub(super) fn new(network: Network, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            network,
            resolver,
            forward: OnceLock::new(),
            tunnel: OnceLock::new(),
            known: Mutex::default(),
            told: Once::new(),
            warned: Once::new(),
        }
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn resolver(&self) -> Arc<dyn Resolve> {
        self.resolver.clone()
    }

    /// The proxy that a request goes through. None for private addresses: what may be reached there is decided by the
    /// address, and a proxy would find another one.
    pub(super) async fn way(&self, url: &Url) -> Option<Intercept> {
        let Some(proxy) = self.network.proxy_for(url) else {
            if self.network.proxy_in_capitals_for(url) && !self.is_private(url).await {
                self.warned.call_once(|| {
                    tracing::warn!(
                        "HTTP_PROXY is not read, as curl does not read it (in a CGI program it comes from a request); write http_proxy"
                    );
                });
            }
            return None;
        };
        if self.is_private(url).await {
            return None;
        }
        self.told
            .call_once(|| tracing::info!(proxy = %proxy.uri(), "requests go through a proxy"));
        Some(proxy)
    }

    /// Whether a URL leads to private addresses alone, as far as this machine knows.
    async fn is_private(&self, url: &Url) -> bool {
        let name = match url.host() {
            Some(Host::Ipv4(address)) => return is_private(address.into()),
            Some(Host::Ipv6(address)) => return is_private(address.into()),
            Some(Host::Domain(name)) => name,
            None => return false,
        };
        let now = Instant::now();
        let known = |known: &HashMap<String, (Instant, bool)>| {
            let (until, private) = known.get(name)?;
            (now < *until).then_some(*private)
        };
        if let Some(private) = known(&self.known.lock().unwrap_or_else(PoisonError::into_inner)) {
            return private;
        }
        let looked = tokio::time::timeout(LOOKUP, self.resolver.resolve(name)).await;
        let addresses = looked.ok().and_then(Result::ok).unwrap_or_default();
        let private = !addresses.is_empty() && addresses.iter().all(|address| is_private(address.ip()));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(name.to_owned(), (now + KNOWN_FOR, private));
        private
    }
}

impl HttpClient {
    /// Hands a plain request to a proxy.
    pub(super) async fn forward(
        &self,
        proxy: &Intercept,
        url: &Url,
        mut request: Request<RequestBody>,
    ) -> Result<http::Response<hyper::body::Incoming>, SendError> {
        if let Some(value) = proxy.basic_auth() {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
        }
        let client = self
            .ways
            .forward
            .get_or_init(|| builder(&self.limits).build(self.timed(self.to_proxy(proxy, false))));
        let sent = client.request(request).await;
        let response = sent.map_err(|e| send_error::of(&e, url, &self.limits))?;
        match response.status() {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(refused(proxy.uri(), response.status(), url)),
            _ => Ok(response),
        }
    }

    /// Sends a request through a tunnel.
    pub(super) async fn through(
        &self,
        proxy: &Intercept,
        url: &Url,
        request: Request<RequestBody>,
    ) -> Result<http::Response<hyper::body::Incoming>, SendError> {
        let made = self.ways.tunnel.get_or_init(|| {
            let connector = tls::connector(self.ways.network(), self.below_tls(self.to_proxy(proxy, true)))?;
            Ok(builder(&self.limits).build(self.timed(connector)))
        });
        let client = made.as_ref().map_err(|why| super::without_tls(url, why))?;
        let sent = client.request(request).await;
        sent.map_err(|e| send_error::of(&e, url, &self.limits))
    }

    fn to_proxy(&self, proxy: &Intercept, tunnel: bool) -> ToProxy {
        ToProxy {
            inner: super::plain_connector(Grants::new(vec![], true), self.ways.resolver.clone(), self.phases),
            proxy: proxy.uri().clone(),
            authorization: proxy.basic_auth().cloned(),
            tunnel,
        }
    }
}

/// Connects to a proxy, whatever the destination.
#[derive(Clone)]
pub(super) struct ToProxy {
    inner: Plain,
    proxy: Uri,
    authorization: Option<HeaderValue>,
    /// Whether the connection shall lead on to the destination.
    tunnel: bool,
}

impl Service<Uri> for ToProxy {
    type Response = Via;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Via, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.inner.call(self.proxy.clone());
        let Self {
            proxy,
            authorization,
            tunnel,
            ..
        } = self.clone();
        Box::pin(async move {
            let unreachable = |e: &dyn std::error::Error| ProxyError::Unreachable {
                proxy: proxy.clone(),
                reason: last_cause(e),
            };
            let stream = connecting.await.map_err(|e| unreachable(&e))?;
            if !tunnel {
                return Ok(Via {
                    io: Box::new(stream),
                    forwards: true,
                });
            }
            let host = to.host().unwrap_or_default();
            let to = format!("{host}:{}", to.port_u16().unwrap_or(443));
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri(&to)
                .header(HOST, &to);
            let mut request = request.body(Empty::<Bytes>::new())?;
            if let Some(value) = authorization {
                request.headers_mut().insert(PROXY_AUTHORIZATION, value);
            }
            let (mut sender, connection) = http1::handshake(stream).await?;
            let connection = tokio::spawn(connection.with_upgrades());
            let answered = sender.send_request(request).await;
            let answer = answered.map_err(|e| unreachable(&e))?;
            let status = answer.status();
            if !status.is_success() {
                connection.abort();
                return Err(ProxyError::Refused { proxy, to, status }.into());
            }
            let upgraded = hyper::upgrade::on(answer).await.map_err(|e| unreachable(&e))?;
            Ok(Via {
                io: Box::new(upgraded),
                forwards: false,
            })
        })
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// A connection by way of a proxy.
pub(super) struct Via {
    io: Box<dyn Io>,
    /// The proxy reads the requests itself, and wants their whole URLs.
    forwards: bool,
}

trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

impl Connection for Via {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.forwards)
    }
}

delegate_read_and_write!([] Via, io);
