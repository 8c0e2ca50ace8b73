use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, TE, TRAILER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use url::Url;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::Limits;
use crate::http_client::{Charset, Decoder, GuestBody, HttpClient, Mask, Meter, SendError};
use crate::limits::{Violation, Violations};
use crate::policy::{Grants, shown};

/// What says where a message ends, beside what wasmtime knows of. On a connection that requests share, whoever says it
/// could put the end of one request before the next.
const FRAMING: [HeaderName; 4] = [CONTENT_LENGTH, EXPECT, TE, TRAILER];

/// Headers that make some servers take a request for another one than was granted.
const OVERRIDES: [&str; 5] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// What a component may write of a request's body before somebody reads it, in bytes. Each handle may be a body.
const BODY_CHUNK: usize = 16 << 10;

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
    for_batch: AtomicU64,
}

impl HttpUsage {
    /// Requests and bytes of response bodies since the last call of this function.
    pub(crate) fn take(&self) -> (u64, u64) {
        self.for_batch.store(0, Ordering::Relaxed);
        (
            self.requests.swap(0, Ordering::Relaxed),
            self.response_bytes.swap(0, Ordering::Relaxed),
        )
    }

    /// A call into the instance begins. Each has a count of requests of its own; `read` and the first `next` have
    /// one together, and so has each further batch.
    pub(crate) fn begin_call(&self, call: &str) {
        if call != "next" {
            self.for_batch.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.response_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add_request(&self, most: u64) -> Result<(), Violation> {
        if self.for_batch.fetch_add(1, Ordering::Relaxed) >= most {
            return Err(Violation::Limit {
                limit: format!("it made more than {most} HTTP requests for one batch"),
                key: "requests_per_batch",
            });
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// HTTP as one instance sees it: the pipeline's client behind its grants and caps.
pub(crate) struct HttpCapability {
    client: Arc<HttpClient>,
    pub(crate) usage: Arc<HttpUsage>,
    response_body: u64,
    request_body: u64,
    requests: u64,
    pub(crate) violations: Violations,
}

impl HttpCapability {
    pub(crate) fn new(client: Arc<HttpClient>, limits: &Limits, violations: Violations) -> Self {
        Self {
            client,
            usage: Arc::default(),
            response_body: limits.response_body,
            request_body: limits.request_body,
            requests: limits.requests_per_batch,
            violations,
        }
    }

    fn stopped(violations: &Violations, violation: Violation) -> Error {
        let told = match violation {
            Violation::Limit {
                key: "response_headers" | "response_header_count",
                ..
            } => Error::HttpResponseHeaderSectionSize(None),
            _ => Error::HttpRequestDenied,
        };
        violations.note(violation);
        told
    }
}

impl WasiHttpHooks for HttpCapability {
    /// Headers that belong to the host: connection control, and credentials where it adds them.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        let mut forbidden = DEFAULT_FORBIDDEN_HEADERS.to_vec();
        forbidden.extend(FRAMING);
        if !self.client.credentials().is_empty() {
            forbidden.extend([AUTHORIZATION, COOKIE]);
            forbidden.extend(self.client.credentials().iter().filter_map(|c| c.header_name()));
        }
        // Some servers make no difference between the two signs.
        let usual = |name: &HeaderName| name.as_str().replace('_', "-");
        let mut forbidden: Vec<_> = forbidden.iter().map(usual).collect();
        forbidden.extend(OVERRIDES.map(str::to_owned));
        Arc::new(move |name| forbidden.contains(&usual(name)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Outcome> + Send> {
        let url = match admit(self.client.grants(), request.method(), request.uri()) {
            Ok(url) => url,
            Err(SendError::Stopped(violation)) => {
                let told = Self::stopped(&self.violations, violation);
                return Box::new(std::future::ready(Err(told)));
            }
            Err(SendError::Failed(e) | SendError::Dropped(e)) => {
                return Box::new(std::future::ready(Err(e)));
            }
        };
        let options = options.unwrap_or_default();
        let phases = self.client.phases();
        let first_byte = shorter(options.first_byte_timeout, phases.first_byte);
        let between_bytes = shorter(options.between_bytes_timeout, phases.between_bytes);
        let (client, violations) = (self.client.clone(), self.violations.clone());
        let (usage, most, requests) = (self.usage.clone(), self.response_body, self.requests);
        let request = request.map(|body| limited(body, &url, self.request_body, &violations));
        Box::new(async move {
            let is_head = request.method() == Method::HEAD;
            let count = || usage.add_request(requests);
            let answer = match client.exchange(url, request, first_byte, count).await {
                Ok(answer) => answer,
                Err(SendError::Stopped(violation)) => return Err(Self::stopped(&violations, violation)),
                Err(SendError::Failed(e) | SendError::Dropped(e)) => return Err(e),
            };
            let (mut head, incoming) = answer.response.into_parts();
            client.redactor().hide_in(&mut head.headers);
            let decoder = match is_head {
                true => None,
                false => decoder(&mut head.headers)?,
            };
            // A part of a text may begin and end within a character.
            let charset = match is_head || head.status == StatusCode::PARTIAL_CONTENT {
                true => None,
                false => charset(&mut head.headers),
            };
            let body = GuestBody {
                incoming,
                decoder,
                charset,
                left: most,
                coded_left: most,
                most,
                between_bytes,
                pause: Box::pin(tokio::time::sleep(between_bytes)),
                end: Box::pin(tokio::time::sleep_until(answer.until)),
                url: shown(&answer.url),
                mask: client.redactor().finder().map(Mask::new),
                behind: None,
                redactor: client.redactor().clone(),
                usage,
                violations,
                meter: head.extensions.get::<Meter>().cloned(),
                _permit: answer.permit,
            };
            let io: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((Response::from_parts(head, body.boxed_unsync()), io))
        })
    }
}

/// The URL of a request, once its text is parsed and granted. What is sent is this URL.
pub(crate) fn admit(grants: &Grants, method: &Method, uri: &Uri) -> Result<Url, SendError> {
    let url = Url::parse(&uri.to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
    grants.check_request(method, &url)?;
    Ok(url)
}

/// A request's body, ended with an error when it is too long.
fn limited(body: WasiBody, url: &Url, most: u64, violations: &Violations) -> WasiBody {
    let (url, violations) = (shown(url), violations.clone());
    let limited = Limited::new(body, usize::try_from(most).unwrap_or(usize::MAX));
    let told = move |e: Box<dyn std::error::Error + Send + Sync>| match e.downcast::<Error>() {
        Ok(own) => *own,
        Err(_) => {
            violations.note(Violation::Limit {
                limit: format!("the body of a request to {url} is longer than {most} bytes"),
                key: "request_body",
            });
            Error::HttpRequestBodySize(Some(most))
        }
    };
    limited.map_err(told).boxed_unsync()
}

/// The decoder of a body, whose coding and coded length are then nobody's concern any more.
fn decoder(headers: &mut HeaderMap) -> Result<Option<Decoder>, Error> {
    let codings: Vec<_> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let decoder =
        Decoder::of(&codings.join(",")).map_err(|why| Error::HttpResponseContentCoding(Some(why)))?;
    headers.remove(CONTENT_ENCODING);
    if decoder.is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(decoder)
}

/// What makes UTF-8 of a text. Its type says so from then on, and its length is another one.
fn charset(headers: &mut HeaderMap) -> Option<Charset> {
    let (charset, now) = Charset::of(headers.get(CONTENT_TYPE)?.to_str().ok()?)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&now).ok()?);
    headers.remove(CONTENT_LENGTH);
    Some(charset)
}

fn shorter(asked: Option<Duration>, most: Duration) -> Duration {
    asked.map_or(most, |asked| asked.min(most))
}
