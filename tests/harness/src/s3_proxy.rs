use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::IF_NONE_MATCH;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use crate::RecordedRequest;
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

/// Stands before an S3 server and makes a lesser one of it. It records requests, and stops when it is dropped.
#[derive(Debug)]
pub struct S3Proxy {
    server: Server,
    requests: Requests,
}

const NOT_IMPLEMENTED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NotImplemented</Code>\
    <Message>A header you provided implies functionality that is not implemented.</Message></Error>";

type Requests = Arc<std::sync::Mutex<Vec<RecordedRequest>>>;
type Http = Client<HttpConnector, Full<Bytes>>;

impl S3Proxy {
    /// Starts one before the server at `origin` (`http://host:port`), on a port of its own.
    ///
    /// # Panics
    ///
    /// When this machine has no port, thread or event queue left: no test could go on.
    #[must_use]
    pub fn start(origin: &str, conditional_put: ConditionalPut) -> Self {
        let requests = Requests::default();
        let (origin, recorded) = (Arc::<str>::from(origin), Arc::clone(&requests));
        let (client, one_at_a_time) = (
            Client::builder(TokioExecutor::new()).build_http(),
            Arc::new(Mutex::new(())),
        );
        let server = Server::start("s3-proxy", None, move |request| {
            let mut requests = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(RecordedRequest::of(&request));
            drop(requests);
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

    /// The requests so far, in their order.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
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
