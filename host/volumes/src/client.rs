use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use object_store::client::{HttpClient, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sandbar_pipeline::{Clock, with_causes};

use super::error::VolumeError;
use super::settings::Workspace;
use super::{reply, retry};

/// Everything but what RFC 3986 calls unreserved, and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
/// The longest body that is read. The largest file of a checkpoint location has 16 MiB.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// The Files API of one workspace.
pub(super) struct Client {
    http: HttpClient,
    workspace: Workspace,
    authorization: HeaderValue,
    clock: Arc<dyn Clock>,
}

/// What to ask for.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// `files` or `directories`.
    pub(super) kind: &'static str,
    /// A path below `/Volumes`, as it is called.
    pub(super) path: &'a str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

/// An answer with a status of success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What came of a request, and what may have come of it before.
pub(super) struct Sent {
    pub(super) outcome: Result<Answer, VolumeError>,
    /// An earlier try got no clear answer, so that the server may have done it already.
    pub(super) maybe_done_before: bool,
    /// The code of an error that the API describes.
    pub(super) error_code: Option<String>,
}

/// One try without a final answer.
struct Failed {
    reason: String,
    maybe_done: bool,
    asked_pause: Option<Duration>,
}

impl Client {
    pub(super) fn new(http: HttpClient, workspace: Workspace, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", workspace.token))
            .map_err(|_| "DATABRICKS_TOKEN holds characters that no token has".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            workspace,
            authorization,
            clock,
        })
    }

    /// Asks, as often as it takes.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answer, VolumeError> {
        self.send(request).await.outcome
    }

    /// Asks, as often as it takes, and tells what an earlier try may have done.
    pub(super) async fn send(&self, request: &Request<'_>) -> Sent {
        let mut maybe_done_before = false;
        let mut backoff = retry::backoff();
        loop {
            let failed = match self.try_once(request).await {
                Ok((outcome, error_code)) => {
                    return Sent {
                        outcome,
                        maybe_done_before,
                        error_code,
                    };
                }
                Err(failed) => failed,
            };
            maybe_done_before |= failed.maybe_done;
            let attempt = backoff.failures() + 1;
            if attempt == retry::ATTEMPTS {
                return Sent {
                    outcome: Err(VolumeError::Unreachable {
                        request: request.to_string(),
                        origin: self.workspace.origin.clone(),
                        attempts: attempt,
                        reason: failed.reason,
                    }),
                    maybe_done_before,
                    error_code: None,
                };
            }
            let pause = retry::pause(&mut backoff, failed.asked_pause);
            tracing::debug!(%request, attempt, ?pause, reason = %failed.reason, "the Files API did not answer");
            self.clock.sleep(pause).await;
        }
    }

    /// An error for an answer that is not what was promised.
    pub(super) fn malformed(&self, request: &Request<'_>, reason: &str) -> VolumeError {
        VolumeError::Malformed {
            request: request.to_string(),
            origin: self.workspace.origin.clone(),
            reason: self.without_token(reason),
        }
    }

    pub(super) fn origin(&self) -> &str {
        &self.workspace.origin
    }

    async fn try_once(
        &self,
        request: &Request<'_>,
    ) -> Result<(Result<Answer, VolumeError>, Option<String>), Failed> {
        let sent = match self.request(request) {
            Ok(sent) => sent,
            Err(reason) => return Ok((Err(self.malformed(request, &reason)), None)),
        };
        let response = match self.http.execute(sent).await {
            Ok(response) => response,
            Err(e) => {
                return Err(Failed {
                    reason: self.without_token(&with_causes(&e)),
                    maybe_done: e.kind() != HttpErrorKind::Connect,
                    asked_pause: None,
                });
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(Unread::Long) => {
                let reason = format!("a body of more than {MAX_BODY} bytes");
                return Ok((Err(self.malformed(request, &reason)), None));
            }
            Err(Unread::Broken(reason)) => {
                return Err(Failed {
                    reason,
                    maybe_done: true,
                    asked_pause: None,
                });
            }
        };
        let said = || reply::said(&headers, &body, &self.workspace.token);
        if retry::is_transient(status) {
            let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Err(Failed {
                reason: format!("{status}{}", said()),
                maybe_done: status != StatusCode::TOO_MANY_REQUESTS,
                asked_pause: asked.and_then(|text| retry::retry_after(text, self.clock.now())),
            });
        }
        if !status.is_success() {
            let error_code = reply::error_code(&body);
            let refused = VolumeError::Refused {
                request: request.to_string(),
                origin: self.workspace.origin.clone(),
                status,
                said: said(),
            };
            return Ok((Err(refused), error_code));
        }
        // Behind a redirect to a login a page answers in the API's place, and says that all went well.
        if reply::is_html(&headers) {
            let reason = format!("{status}{}; is DATABRICKS_HOST a workspace?", said());
            return Ok((Err(self.malformed(request, &reason)), None));
        }
        Ok((Ok(Answer { headers, body }), None))
    }

    /// Whatever is no address must not get to the HTTP client, which takes for granted that it is one.
    fn request(&self, request: &Request<'_>) -> Result<HttpRequest, String> {
        let mut sent = HttpRequest::new(HttpRequestBody::from(request.body.clone()));
        *sent.method_mut() = request.method.clone();
        let path = utf8_percent_encode(request.path, PATH);
        let mut uri = format!("{}/api/2.0/fs/{}{path}", self.workspace.origin, request.kind);
        for (place, (name, value)) in request.query.iter().enumerate() {
            let separator = if place == 0 { '?' } else { '&' };
            uri += &format!(
                "{separator}{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            );
        }
        *sent.uri_mut() = uri
            .parse()
            .map_err(|e| format!("no address can be made for it: {e}"))?;
        let headers = sent.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        if request.method == Method::PUT && request.kind == FILES {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        Ok(sent)
    }

    async fn read(&self, response: HttpResponse) -> Result<Bytes, Unread> {
        let mut stream = response.into_body().bytes_stream();
        let mut body = BytesMut::new();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|e| Unread::Broken(self.without_token(&with_causes(&e))))?;
            if body.len() + part.len() > MAX_BODY {
                return Err(Unread::Long);
            }
            body.extend_from_slice(&part);
        }
        Ok(body.freeze())
    }

    fn without_token(&self, text: &str) -> String {
        text.replace(&self.workspace.token, "***")
    }
}

pub(super) const FILES: &str = "files";
pub(super) const DIRECTORIES: &str = "directories";

enum Unread {
    Long,
    Broken(String),
}

impl<'a> Request<'a> {
    pub(super) fn file(method: Method, path: &'a str) -> Self {
        Self {
            method,
            kind: FILES,
            path,
            query: vec![],
            body: Bytes::new(),
        }
    }

    pub(super) fn directory(method: Method, path: &'a str) -> Self {
        Self {
            kind: DIRECTORIES,
            ..Self::file(method, path)
        }
    }
}

impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.kind, self.path)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.workspace.origin)
    }
}
