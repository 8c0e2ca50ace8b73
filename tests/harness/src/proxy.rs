use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::RecordedRequest;
use crate::answer::Dropped;
use crate::server::Server;

/// An HTTP proxy on loopback: tunnels (`CONNECT`) and requests with a whole URL, to the servers that it was told of and no
/// other ones. It records requests, and stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    requests: Requests,
}

/// What a proxy lets through.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    /// `host:port` as clients name it, and where it really is.
    pub servers: Vec<(String, SocketAddr)>,
    /// The `Proxy-Authorization` that it wants.
    pub authorization: Option<String>,
}

/// A request's method and target as they came, and the request.
type Requests = Arc<Mutex<Vec<(String, RecordedRequest)>>>;
type Http = Client<HttpConnector, Full<Bytes>>;

impl Proxy {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    ///
    /// When this machine has no port, thread or event queue left: no test could go on.
    #[must_use]
    pub fn start(rules: ProxyRules) -> Self {
        let requests = Requests::default();
        let (rules, recorded) = (Arc::new(rules), Arc::clone(&requests));
        let client: Http = Client::builder(TokioExecutor::new()).build_http();
        let server = Server::start("proxy", None, move |request: Request<Incoming>| {
            let line = format!("{} {}", request.method(), request.uri());
            let mut requests = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push((line, RecordedRequest::of(&request)));
            drop(requests);
            let (client, rules) = (client.clone(), Arc::clone(&rules));
            async move { answer(&client, &rules, request).await }
        });
        Self { server, requests }
    }

    /// Its `host:port`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The requests so far, in their order, each with its method and target: `CONNECT a.example:443`.
    #[must_use]
    pub fn requests(&self) -> Vec<(String, RecordedRequest)> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    client: &Http,
    rules: &ProxyRules,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let status = |status| {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = status;
        Ok(response)
    };
    let given = request.headers().get(PROXY_AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    if rules
        .authorization
        .as_deref()
        .is_some_and(|wanted| given != Some(wanted))
    {
        return status(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
    }
    let host = request.uri().host().unwrap_or_default();
    let to = format!("{host}:{}", request.uri().port_u16().unwrap_or(80));
    let Some((_, address)) = rules.servers.iter().find(|(name, _)| *name == to) else {
        return status(StatusCode::FORBIDDEN);
    };
    if request.method() != Method::CONNECT {
        return forward(client, *address, request).await;
    }
    let address = *address;
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await;
        if let (Ok(near), Ok(mut far)) = (upgraded, TcpStream::connect(address).await) {
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
        }
    });
    status(StatusCode::OK)
}

async fn forward(
    client: &Http,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("http://{address}{path}")
        .parse::<Uri>()
        .map_err(|_| Dropped)?;
    for name in [
        HOST,
        PROXY_AUTHORIZATION,
        HeaderName::from_static("proxy-connection"),
    ] {
        parts.headers.remove(name);
    }
    let passed = Request::from_parts(parts, Full::new(body));
    let (parts, body) = client.request(passed).await.map_err(|_| Dropped)?.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}
