use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, TE, TRAILER, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use url::Url;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::http_client::{HttpClient, SendError};
use crate::limits::{Violation, Violations};
use crate::policy::shown;

const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(30);
/// What says where a message ends, beside what wasmtime knows of. On a connection that requests share, whoever says it
/// could put the end of one request before the next.
const FRAMING: [HeaderName; 4] = [CONTENT_LENGTH, EXPECT, TE, TRAILER];

type Outcome = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// What one instance used of the network.
#[derive(Debug, Default)]
pub(crate) struct HttpUsage {
    requests: AtomicU64,
    response_bytes: AtomicU64,
}

impl HttpUsage {
    /// Requests and bytes of response bodies since the last call of this function.
    pub(crate) fn take(&self) -> (u64, u64) {
        (
            self.requests.swap(0, Ordering::Relaxed),
            self.response_bytes.swap(0, Ordering::Relaxed),
        )
    }
}

/// HTTP as one instance sees it: the pipeline's client behind its grants and caps.
pub(crate) struct HttpCapability {
    client: Arc<HttpClient>,
    pub(crate) usage: Arc<HttpUsage>,
    response_body: u64,
    violations: Violations,
}

impl HttpCapability {
    pub(crate) fn new(client: Arc<HttpClient>, response_body: u64, violations: Violations) -> Self {
        Self {
            client,
            usage: Arc::default(),
            response_body,
            violations,
        }
    }
}

impl WasiHttpHooks for HttpCapability {
    /// Headers that belong to the host: connection control, and credentials where it adds them.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let mut forbidden = DEFAULT_FORBIDDEN_HEADERS.to_vec();
        forbidden.extend(FRAMING);
        if !self.client.credentials().is_empty() {
            forbidden.extend([AUTHORIZATION, COOKIE]);
            forbidden.extend(self.client.credentials().iter().map(|c| c.name().clone()));
        }
        Arc::new(move |name| forbidden.contains(name))
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        let checked = Url::parse(&request.uri().to_string())
            .map_err(|_| Error::HttpRequestUriInvalid)
            .and_then(
                |url| match self.client.grants().check_request(request.method(), &url) {
                    Ok(()) => Ok(url),
                    Err(violation) => {
                        self.violations.note(violation);
                        Err(Error::HttpRequestDenied)
                    }
                },
            );
        let url = match checked {
            Ok(url) => url,
            Err(e) => return Box::new(std::future::ready(Err(e))),
        };
        request
            .headers_mut()
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "sandbar/",
                env!("CARGO_PKG_VERSION")
            )));
        self.usage.requests.fetch_add(1, Ordering::Relaxed);
        let options = options.unwrap_or_default();
        let wait = shorter(options.first_byte_timeout, FIRST_BYTE_TIMEOUT);
        let between_bytes = shorter(options.between_bytes_timeout, BETWEEN_BYTES_TIMEOUT);
        let (client, violations) = (self.client.clone(), self.violations.clone());
        let (usage, most) = (self.usage.clone(), self.response_body);
        Box::new(async move {
            let sent = tokio::time::timeout(wait, client.send(&url, request)).await;
            let (response, permit) = match sent.map_err(|_| Error::ConnectionReadTimeout)? {
                Ok(answer) => answer,
                Err(SendError::Failed(e)) => return Err(e),
                Err(SendError::Prohibited(host)) => {
                    violations.note(Violation::Refused {
                        what: format!("{}, because {host} leads to a private address", shown(&url)),
                        remedy: "private_network = true".into(),
                    });
                    return Err(Error::DestinationIpProhibited);
                }
            };
            let response = response.map(|incoming| {
                let body = CappedBody {
                    incoming,
                    left: most,
                    most,
                    pause: Box::pin(tokio::time::sleep(between_bytes)),
                    between_bytes,
                    url: shown(&url),
                    usage,
                    violations,
                    _permit: permit,
                };
                body.boxed_unsync()
            });
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, io))
        })
    }
}

fn shorter(asked: Option<Duration>, most: Duration) -> Duration {
    asked.map_or(most, |asked| asked.min(most))
}

/// A response body that ends in an error when it is too long, or pauses for too long.
struct CappedBody {
    incoming: Incoming,
    left: u64,
    most: u64,
    pause: Pin<Box<tokio::time::Sleep>>,
    between_bytes: Duration,
    url: String,
    usage: Arc<HttpUsage>,
    violations: Violations,
    _permit: OwnedSemaphorePermit,
}

impl Body for CappedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(e))) => {
                let cut = e.is_incomplete_message() || e.is_body_write_aborted();
                let error = if cut {
                    Error::HttpResponseIncomplete
                } else {
                    Error::ConnectionTerminated
                };
                return Poll::Ready(Some(Err(error)));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                return self
                    .pause
                    .as_mut()
                    .poll(context)
                    .map(|()| Some(Err(Error::ConnectionReadTimeout)));
            }
        };
        let deadline = tokio::time::Instant::now() + self.between_bytes;
        self.pause.as_mut().reset(deadline);
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.usage.response_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.violations.note(Violation::Limit {
                    limit: format!("the answer of {} is longer than {} bytes", self.url, self.most),
                    key: "response_body",
                });
                Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
