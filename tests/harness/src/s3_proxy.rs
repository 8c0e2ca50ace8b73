use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use crate::answer::Dropped;
use crate::server::Server;

/// What [`S3Proxy`] makes of a wish to write only what is not there (`If-None-Match: *`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConditionalPut {
    /// Passes it on. One write at a time, since not every server looks and writes in one step.
    Kept,
    /// Drops it without a word, so that the server writes over what is there.
    Ignored,
    /// Answers 501.
    NotImplemented,
}

/// Stands before an S3 server and makes a lesser one of it. It counts requests, and stops when it is dropped.
#[derive(Debug)]
pub struct S3Proxy {
    server: Server,
    requests: Arc<AtomicUsize>,
}

const NOT_IMPLEMENTED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code>\
    <Message>A header you provided implies functionality that is not implemented.</Message></Error>";

type Http = Client<HttpConnector, Full<Bytes>>;

impl S3Proxy {
    /// Starts one before the server at `origin` (`http://host:port`), on a port of its own.
    ///
    /// # Panics
    ///
    /// When this machine has no port, thread or event queue left: no test could go on.
    #[must_use]
    pub fn start(origin: &str, conditional_put: ConditionalPut) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let (origin, counted) = (Arc::<str>::from(origin), Arc::clone(&requests));
        let (client, one_at_a_time) = (
            Client::builder(TokioExecutor::new()).build_http(),
            Arc::new(Mutex::new(())),
        );
        let server = Server::start("s3-proxy", move |request| {
            counted.fetch_add(1, Ordering::SeqCst);
            let (client, origin) = (client.clone(), Arc::clone(&origin));
            let one_at_a_time = Arc::clone(&one_at_a_time);
            async move {
                let _turn = match *request.method() == Method::PUT {
                    true => Some(one_at_a_time.lock().await),
                    false => None,
                };
                pass_on(&client, &origin, request, conditional_put).await
            }
        });
        Self { server, requests }
    }

    /// What `AWS_ENDPOINT` is to be.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn pass_on(
    client: &Http,
    origin: &str,
    request: Request<Incoming>,
    conditional_put: ConditionalPut,
) -> Result<Response<Full<Bytes>>, Dropped> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    if parts.method == Method::PUT && parts.headers.contains_key(IF_NONE_MATCH) {
        match conditional_put {
            ConditionalPut::Kept => {}
            ConditionalPut::Ignored => {
                parts.headers.remove(IF_NONE_MATCH);
            }
            ConditionalPut::NotImplemented => {
                let mut answer = Response::new(Full::new(Bytes::from_static(NOT_IMPLEMENTED.as_bytes())));
                *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
                return Ok(answer);
            }
        }
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{origin}{path}").parse::<Uri>().map_err(|_| Dropped)?;
    let passed = Request::from_parts(parts, Full::new(body));
    let (parts, body) = client.request(passed).await.map_err(|_| Dropped)?.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}
