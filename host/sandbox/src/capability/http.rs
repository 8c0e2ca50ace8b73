//! HTTP to granted origins: the contract's own interface, over the session that `sandbar-egress` gives each instance.
//!
//! A response comes in whole before the component sees it, in a task of its own, so that it goes on while the component
//! computes. Its body stays with the host, and counts as the instance's memory.

mod status;

use std::borrow::Cow;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sandbar_egress::{HttpError, HttpSession, RequestBody, ResponseBody, Timeouts};
use sandbar_rows::{Document, RowsError};
use tokio::task::JoinHandle;
use url::Url;

use super::memory::{MemoryAccount, MemoryShare};
use super::{Capability, HostState, linked_by_track};
use crate::guest_error::GuestError;

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[("sandbar:connector/http", "HTTP requests to granted origins")],
    add_to_linker: linked_by_track,
};

/// Requests that one call may send.
const MAX_AT_ONCE: usize = 64;
/// The longest URL, and the most bytes of headers. No server takes more.
const MAX_HEAD: usize = 64 << 10;

/// The most bytes that are reserved for a body before it comes.
const MAX_RESERVED: usize = 1 << 20;

/// The longest method. Those that can be granted have six letters.
const MAX_METHOD: usize = 32;
/// What each header takes beside its bytes.
const HEADER: usize = 128;

/// What is kept of a request or a response beside its bytes.
const OVERHEAD: usize = 1 << 10;

/// A request as a component makes it.
pub(crate) struct RawRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
}

/// A response that has come in whole.
pub struct HeldResponse {
    request: String,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    _memory: MemoryShare,
}

/// A request that is on its way. Dropping it ends it.
pub struct PendingResponse(Option<JoinHandle<Result<HeldResponse, GuestError>>>);

impl HostState {
    /// Sends a request, and does not wait.
    pub(crate) fn begin_request(&self, request: RawRequest) -> Result<PendingResponse, GuestError> {
        begin(&self.session, &self.memory, request)
    }

    /// Sends a request and waits for the response.
    pub(crate) async fn send_request(&mut self, request: RawRequest) -> Result<HeldResponse, GuestError> {
        self.begin_request(request)?.wait().await
    }

    /// Sends requests at once and waits for all responses.
    pub(crate) async fn send_requests(
        &mut self,
        requests: Vec<RawRequest>,
    ) -> Vec<Result<HeldResponse, GuestError>> {
        let too_many = requests.len() > MAX_AT_ONCE;
        let begun: Vec<_> = requests
            .into_iter()
            .map(|request| match too_many {
                true => Err(GuestError::Internal(format!(
                    "more than {MAX_AT_ONCE} requests are sent at once"
                ))),
                false => self.begin_request(request),
            })
            .collect();
        let mut responses = Vec::with_capacity(begun.len());
        for pending in begun {
            responses.push(match pending {
                Ok(mut pending) => pending.wait().await,
                Err(error) => Err(error),
            });
        }
        responses
    }
}

/// Sends a request, and does not wait.
fn begin(
    session: &HttpSession,
    memory: &MemoryAccount,
    request: RawRequest,
) -> Result<PendingResponse, GuestError> {
    let timeouts = Timeouts {
        first_byte: request.timeout,
        between_bytes: None,
    };
    let mut share = memory.share();
    let kept = share.grow(length(&request));
    let (request, shown) = checked(session, request)?;
    kept.map_err(|_| GuestError::Internal(format!("{shown} is refused: no memory is left for it")))?;
    let (session, memory) = (session.clone(), memory.share());
    Ok(PendingResponse(Some(tokio::spawn(async move {
        let _of_request = share;
        let sent = session.send(request, timeouts).await;
        let response = sent.map_err(|e| failed(&shown, &e))?;
        receive(response, shown, memory).await
    }))))
}

/// Takes a response in whole.
async fn receive(
    response: Response<ResponseBody>,
    request: String,
    mut memory: MemoryShare,
) -> Result<HeldResponse, GuestError> {
    let (head, mut incoming) = response.into_parts();
    let headers = head.headers.iter();
    let names = headers.map(|(name, value)| name.as_str().len() + value.len());
    let full = |_| GuestError::Malformed(format!("{request} gave more than there is memory for"));
    memory.grow(names.sum::<usize>() + OVERHEAD).map_err(full)?;
    // What a header says is believed as far as a page usually is long.
    let told = head.headers.get(CONTENT_LENGTH);
    let told = told.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut body = Vec::with_capacity(told.unwrap_or_default().min(MAX_RESERVED));
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|e| failed(&request, &e))?;
        if let Ok(data) = frame.into_data() {
            memory.grow(data.len()).map_err(full)?;
            body.extend_from_slice(&data);
        }
    }
    body.shrink_to_fit();
    Ok(HeldResponse {
        request,
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        _memory: memory,
    })
}

impl PendingResponse {
    /// Waits for the response. To be called once.
    pub(crate) async fn wait(&mut self) -> Result<HeldResponse, GuestError> {
        let Some(task) = &mut self.0 else {
            return Err(GuestError::Internal("a response was waited for twice".into()));
        };
        let done = task.await;
        self.0 = None;
        done.unwrap_or_else(|e| Err(GuestError::Internal(format!("the exchange broke off: {e}"))))
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl HeldResponse {
    pub(crate) fn request(&self) -> &str {
        &self.request
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The first value of a header, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    pub(crate) fn error_for_status(&self) -> Result<(), GuestError> {
        status::error(self).map_or(Ok(()), Err)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn value(&self, pointer: &str) -> Result<Option<String>, GuestError> {
        let text = self.text()?;
        let value = Document::new(&text).and_then(|document| document.value(pointer));
        value
            .map(|value| value.map(str::to_owned))
            .map_err(|e| self.unreadable(e))
    }

    pub(crate) fn count(&self, pointer: &str) -> Result<Option<u64>, GuestError> {
        let text = self.text()?;
        let count = Document::new(&text).and_then(|document| document.count(pointer));
        count.map_err(|e| self.unreadable(e))
    }

    /// The body as UTF-8: it may be UTF-16 with a mark that says so.
    pub(crate) fn text(&self) -> Result<Cow<'_, [u8]>, GuestError> {
        let body = &self.body;
        match encoding_rs::Encoding::for_bom(body) {
            Some((encoding, mark)) if encoding != encoding_rs::UTF_8 => {
                let rest = body.get(mark..).unwrap_or_default();
                let text = encoding.decode_without_bom_handling_and_without_replacement(rest);
                let text = text.ok_or_else(|| {
                    let request = &self.request;
                    GuestError::Malformed(format!(
                        "{request} gave a body that is not UTF-16, as its byte order mark says"
                    ))
                })?;
                Ok(Cow::Owned(text.into_owned().into_bytes()))
            }
            _ => Ok(Cow::Borrowed(body)),
        }
    }

    /// The error of a body that can't be read.
    pub(crate) fn unreadable(&self, error: RowsError) -> GuestError {
        let request = &self.request;
        match error.of_text(&self.body) {
            Some(given) => GuestError::Malformed(format!("{request} gave {given}")),
            None => GuestError::Internal(format!("{request}: {error}")),
        }
    }
}

/// What a request takes while it is on its way.
fn length(raw: &RawRequest) -> usize {
    let body = raw.body.as_ref().map_or(0, Vec::len);
    // As it came, and as it is sent and shown.
    body + 3 * (raw.method.len() + head_length(raw)) + raw.headers.len() * HEADER + OVERHEAD
}

fn head_length(raw: &RawRequest) -> usize {
    let headers = raw.headers.iter().map(|(name, value)| name.len() + value.len());
    raw.url.len() + headers.sum::<usize>()
}

/// The request as it is sent, and as it is shown.
fn checked(session: &HttpSession, raw: RawRequest) -> Result<(Request<RequestBody>, String), GuestError> {
    if raw.method.len() > MAX_METHOD {
        let length = raw.method.len();
        return Err(GuestError::Internal(format!(
            "the method of a request has {length} bytes; {MAX_METHOD} are allowed"
        )));
    }
    let head = head_length(&raw);
    if head > MAX_HEAD {
        return Err(GuestError::Internal(format!(
            "a request has a URL and headers of {head} bytes; {MAX_HEAD} are allowed"
        )));
    }
    let url = Url::parse(&raw.url);
    let mut url =
        url.map_err(|e| GuestError::Internal(format!("the URL {:?} can't be requested: {e}", raw.url)))?;
    url.set_fragment(None);
    let shown = shown(&raw.method, &url);
    let refuse = |what: &str| GuestError::Internal(format!("{shown} can't be sent: {what}"));
    let method = Method::from_bytes(raw.method.as_bytes()).map_err(|_| refuse("its method is no word"))?;
    let mut request = Request::builder().method(method).uri(url.as_str());
    let is_forbidden = session.forbidden_headers();
    for (name, value) in raw.headers {
        let parsed = HeaderName::try_from(&name)
            .ok()
            .zip(HeaderValue::try_from(&value).ok());
        let Some((parsed, value)) = parsed else {
            return Err(refuse(&format!("the header {name:?} is not well-formed")));
        };
        if is_forbidden(&parsed) {
            return Err(refuse(&format!(
                "the host does not take the header {name:?} from a component"
            )));
        }
        request = request.header(parsed, value);
    }
    let body = Full::from(raw.body.unwrap_or_default())
        .map_err(|never| match never {})
        .boxed_unsync();
    let request = request.body(body).map_err(|e| refuse(&e.to_string()))?;
    Ok((request, shown))
}

/// Method and URL, without a user or a fragment.
fn shown(method: &str, url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    format!("{method} {url}")
}

/// What a component is told of a request without a response, or of a body that broke off.
fn failed(request: &str, error: &HttpError) -> GuestError {
    match error {
        HttpError::Denied => GuestError::Internal(format!("{request} was refused by the host")),
        HttpError::InvalidUrl | HttpError::RequestBodySize(_) => {
            GuestError::Internal(format!("{request} is not a request that can be sent: {error}"))
        }
        HttpError::ResponseBodySize | HttpError::ResponseHeaderSize | HttpError::ContentCoding(_) => {
            GuestError::Malformed(format!("{request} gave a response that can't be taken: {error}"))
        }
        _ => GuestError::Unavailable {
            message: format!("{request} failed: {error}"),
            retry_after_ms: None,
        },
    }
}
