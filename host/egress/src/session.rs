use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use sandbar_policy::{Grants, LimitKey, Violation, Violations, display_url};
use url::Url;

use crate::client::{BoxError, Charset, Decoder, GuestBody, HttpClient, Mask, Meter};
use crate::error::SendError;
use crate::{HttpError, HttpUsage};

/// Headers of the connection itself. On a connection that requests share, a sender of those that say where a message
/// ends could put the end of one request before the next.
const CONNECTION_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that make some servers take a request for another one than was granted.
const OVERRIDES: [&str; 5] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// The body of a request.
pub type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// The times that a component asks for; longer ones than the host's are cut to those.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeouts {
    /// To the first byte of the response.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response's body.
    pub between_bytes: Option<Duration>,
}

/// The body of a response: decoded, counted, and without the secrets that it echoes. It ends with an error when it is
/// longer than it may be, or pauses or lasts for too long.
pub struct ResponseBody(GuestBody);

/// HTTP as one instance of a component sees it: the pipeline's client behind its grants and limits.
#[derive(Clone)]
pub struct HttpSession {
    client: Arc<HttpClient>,
    usage: Arc<HttpUsage>,
    violations: Violations,
}

impl HttpSession {
    /// A session of a pipeline's client. Breaches of policy are recorded in `violations`.
    pub fn new(client: Arc<HttpClient>, violations: Violations) -> Self {
        Self {
            client,
            usage: Arc::default(),
            violations,
        }
    }

    /// What the instance used.
    pub fn usage(&self) -> &Arc<HttpUsage> {
        &self.usage
    }

    /// Where breaches of policy are recorded.
    pub fn violations(&self) -> &Violations {
        &self.violations
    }

    /// Returns a test of header names that belong to the host alone: those of the connection, and those of credentials
    /// where the host adds them.
    pub fn forbidden_headers(&self) -> impl Fn(&HeaderName) -> bool + Send + Sync + 'static {
        let credentials: Vec<_> = self.client.credentials().collect();
        let own = credentials
            .iter()
            .filter_map(|credential| credential.header_name());
        let also = match credentials.is_empty() {
            true => &[][..],
            false => &[AUTHORIZATION, COOKIE],
        };
        // Some servers make no difference between the two signs.
        let usual = |name: &str| name.replace('_', "-");
        let fixed = CONNECTION_HEADERS.into_iter().chain(OVERRIDES).map(str::to_owned);
        let added = also.iter().cloned().chain(own).map(|name| usual(name.as_str()));
        let forbidden: Vec<_> = fixed.chain(added).collect();
        move |name| forbidden.contains(&usual(name.as_str()))
    }

    /// Sends a request if the grants allow it, and follows redirects of GET and HEAD.
    ///
    /// # Errors
    /// [`HttpError::Denied`] and the size errors of [`HttpError`] when the request or its response breaks policy, with a
    /// [`Violation`] recorded; the others when the remote can't be reached, does not answer in time or answers with
    /// what can't be decoded.
    pub async fn send(
        self,
        request: Request<RequestBody>,
        timeouts: Timeouts,
    ) -> Result<Response<ResponseBody>, HttpError> {
        let url = admit(self.client.grants(), request.method(), request.uri());
        let url = url.map_err(|e| self.record(e))?;
        let limits = self.client.limits();
        let phases = self.client.phases();
        let first_byte = shorter(timeouts.first_byte, phases.first_byte);
        let between_bytes = shorter(timeouts.between_bytes, phases.between_bytes);
        let request = request.map(|body| limited(body, &url, limits.request_body, &self.violations));
        let is_head = request.method() == Method::HEAD;
        let count = || self.usage.add_request(limits.requests_per_batch);
        let answer = self.client.exchange(url, request, first_byte, count).await;
        let answer = answer.map_err(|e| self.record(e))?;
        let (mut head, incoming) = answer.response.into_parts();
        let redactor = self.client.redactor();
        redactor.hide_in(&mut head.headers);
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
            left: limits.response_body,
            coded_left: limits.response_body,
            max: limits.response_body,
            between_bytes,
            pause: Box::pin(tokio::time::sleep(between_bytes)),
            end: Box::pin(tokio::time::sleep_until(answer.until)),
            url: display_url(&answer.url),
            mask: redactor.finder().map(Mask::new),
            behind: None,
            redactor: redactor.clone(),
            usage: self.usage,
            violations: self.violations,
            meter: head.extensions.get::<Meter>().cloned(),
            _permit: answer.permit,
        };
        Ok(Response::from_parts(head, ResponseBody(body)))
    }

    /// What the component learns of an error, once the violation in it is recorded.
    fn record(&self, error: SendError) -> HttpError {
        let violation = match error {
            SendError::Stopped(violation) => violation,
            SendError::Failed(error) | SendError::Dropped(error) => return error,
        };
        let error = match violation {
            Violation::Limit {
                key: LimitKey::ResponseHeaders | LimitKey::ResponseHeaderCount,
                ..
            } => HttpError::ResponseHeaderSize,
            _ => HttpError::Denied,
        };
        self.violations.record(violation);
        error
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The URL of a request, once its text is parsed and granted. What is sent is this URL.
pub(crate) fn admit(grants: &Grants, method: &Method, uri: &Uri) -> Result<Url, SendError> {
    let url = Url::parse(&uri.to_string()).map_err(|_| HttpError::InvalidUrl)?;
    grants.check_request(method, &url)?;
    Ok(url)
}

/// A request's body, ended with an error when it is too long.
fn limited(body: RequestBody, url: &Url, max: u64, violations: &Violations) -> RequestBody {
    let (url, violations) = (display_url(url), violations.clone());
    let limited = Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX));
    let too_long = move |e: BoxError| -> BoxError {
        if e.is::<http_body_util::LengthLimitError>() {
            violations.record(Violation::Limit {
                limit: format!("the body of a request to {url} is longer than {max} bytes"),
                key: LimitKey::RequestBody,
            });
            return HttpError::RequestBodySize(max).into();
        }
        e
    };
    limited.map_err(too_long).boxed_unsync()
}

/// The decoder of a body, whose coding and coded length are then nobody's concern any more.
fn decoder(headers: &mut HeaderMap) -> Result<Option<Decoder>, HttpError> {
    let codings: Vec<_> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    let decoder = Decoder::of(&codings.join(",")).map_err(HttpError::ContentCoding)?;
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

fn shorter(asked: Option<Duration>, max: Duration) -> Duration {
    asked.map_or(max, |asked| asked.min(max))
}
