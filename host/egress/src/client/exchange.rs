use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HOST, LOCATION, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use sandbar_policy::{CredentialKind, LimitKey, Violation, display_url};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

use super::HttpClient;
use super::decode::ACCEPTED;
use crate::error::SendError;
use crate::oauth2::{TokenError, TokenSource};
use crate::{HttpError, RequestBody};

/// The most redirects that one request may meet.
const MAX_REDIRECTS: usize = 5;
/// How often a request is sent again because an old connection was gone.
const MAX_RESENT: usize = 2;

/// A response, and what its body still needs.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    /// Where it comes from, after redirects.
    pub(crate) url: Url,
    /// When the body has to be through.
    pub(crate) until: Instant,
    /// Given back when the body is done.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A request, at one of its redirect_chain.
struct PendingRequest {
    url: Url,
    method: Method,
    headers: HeaderMap,
    /// What has no body can be sent again.
    bodyless: bool,
    /// The URLs before this one.
    redirect_chain: Vec<Url>,
    /// It was led to another origin, and no credential is added any more: whoever led it there, and back, is not who
    /// asked.
    left_origin: bool,
}

impl HttpClient {
    /// Sends a request whose URL was checked against the grants, when rate and concurrency allow it, and follows
    /// redirects of GET and HEAD. `count` is asked before anything is sent.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        url: Url,
        request: Request<RequestBody>,
        first_byte: Duration,
        count: impl Fn() -> Result<(), Violation>,
    ) -> Result<Answer, SendError> {
        let (head, body) = request.into_parts();
        let mut pending = PendingRequest {
            url,
            method: head.method,
            headers: head.headers,
            bodyless: body.is_end_stream(),
            redirect_chain: vec![],
            left_origin: false,
        };
        let mut body = Some(body);
        let permit = self.permit().await?;
        let mut until = None;
        let (mut resent, mut renewed) = (0, false);
        loop {
            count()?;
            if let Some(rate) = &self.rate {
                rate.wait().await;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + self.limits.request_timeout);
            let (wire, headers, token) = self.prepare_wire_request(&pending).await?;
            self.check_literal(&wire)?;
            let body = match pending.bodyless {
                true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
                false => body.take().ok_or(HttpError::Internal(None))?,
            };
            let sent = self.send(&wire, pending.method.clone(), headers, body);
            let turn = until.min(Instant::now() + first_byte);
            let response = match tokio::time::timeout_at(turn, sent).await {
                Ok(Ok(response)) => response,
                Ok(Err(SendError::Dropped(_))) if pending.can_be_resent() && resent < MAX_RESENT => {
                    resent += 1;
                    continue;
                }
                Ok(Err(e)) => return Err(e),
                Err(_) if turn == until => return Err(HttpError::ResponseTimeout.into()),
                Err(_) => return Err(HttpError::ReadTimeout.into()),
            };
            self.check_headers(&pending.url, response.headers())?;
            if let Some((tokens, used)) = token
                && response.status() == StatusCode::UNAUTHORIZED
                && tokens.reject(&used).await
                && pending.bodyless
                && !renewed
            {
                renewed = true;
                continue;
            }
            match self.redirect(&pending, response.status(), response.headers())? {
                Some(next) => pending.go_to(next),
                None => {
                    return Ok(Answer {
                        response,
                        url: pending.url,
                        until,
                        permit,
                    });
                }
            }
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, SendError> {
        let max = self.limits.request_timeout;
        let turn = tokio::time::timeout(max, self.in_flight.clone().acquire_owned());
        match turn.await {
            Ok(permit) => permit.map_err(|_| HttpError::Internal(None).into()),
            Err(_) => Err(SendError::Stopped(Violation::Limit {
                limit: format!(
                    "it waited for more than {max:?} until one of {} requests in flight had ended (is a body left unread?)",
                    self.limits.requests_in_flight
                ),
                key: LimitKey::RequestsInFlight,
            })),
        }
    }

    /// What goes over the wire: the host's own headers, and the credentials for this very URL.
    async fn prepare_wire_request<'a>(
        self: &'a Arc<Self>,
        pending: &PendingRequest,
    ) -> Result<(Url, HeaderMap, Option<(&'a TokenSource, HeaderValue)>), SendError> {
        let url = &pending.url;
        let mut wire = url.clone();
        let mut headers = pending.headers.clone();
        // The client writes it, from the URL that was checked.
        headers.remove(HOST);
        let credentials = || self.credentials.iter().filter(|_| !pending.left_origin);
        if credentials().any(|credential| credential.kind_for(url).is_some()) {
            // A part of an answer may hold a part of a secret, which nobody would find.
            headers.remove(RANGE);
        }
        let accepted = match headers.contains_key(RANGE) {
            // A piece of a coded body can't be decoded.
            true => "identity",
            false => ACCEPTED,
        };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        let agent = concat!("sandbar/", env!("CARGO_PKG_VERSION"));
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(agent));
        let mut token = None;
        for credential in credentials() {
            match credential.kind_for(url) {
                None => {}
                Some(CredentialKind::Header { name, value }) => {
                    headers.insert(name, value.clone());
                }
                Some(CredentialKind::Query { name, value }) => set_parameter(&mut wire, name, value),
                Some(CredentialKind::OAuth2(_)) => {
                    let Some(tokens) = credential.tokens() else {
                        continue;
                    };
                    let value = tokens.header(self).await.map_err(|e| match e {
                        TokenError::Unavailable(why) => {
                            SendError::Failed(HttpError::Internal(Some(self.redactor.redact(&why).into())))
                        }
                        TokenError::Refused(why) => {
                            SendError::Stopped(Violation::Credential(self.redactor.redact(&why).into()))
                        }
                    })?;
                    headers.insert(http::header::AUTHORIZATION, value.clone());
                    token = Some((&**tokens, value));
                }
            }
        }
        Ok((wire, headers, token))
    }

    /// Where a response leads to, if it leads anywhere and may be followed.
    fn redirect(
        &self,
        from: &PendingRequest,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Url>, SendError> {
        let leads = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if !leads || !from.bodyless || !matches!(from.method, Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let target = headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let Some(mut next) = target.and_then(|to| from.url.join(to).ok()) else {
            return Ok(None);
        };
        next.set_fragment(None);
        let forbid = |why: &str| {
            SendError::Stopped(Violation::Forbidden {
                what: format!(
                    "{} {}, where {} leads to",
                    from.method,
                    display_url(&next),
                    display_url(&from.url)
                ),
                why: why.to_owned(),
            })
        };
        if from.url.scheme() == "https" && next.scheme() == "http" {
            return Err(forbid("a redirect from https to http is never followed"));
        }
        if !matches!(next.scheme(), "http" | "https") {
            return Err(forbid("only http and https are followed"));
        }
        if next == from.url || from.redirect_chain.contains(&next) {
            return Err(forbid("these redirects go in a circle"));
        }
        if from.redirect_chain.len() >= MAX_REDIRECTS {
            return Err(forbid(&format!("more than {MAX_REDIRECTS} redirects in a row")));
        }
        // As it was written too: in the name of a host the URL has small letters alone.
        let carries = |text: &str| self.redactor.finds(text);
        if next.origin() != from.url.origin() && (carries(next.as_str()) || target.is_some_and(carries)) {
            return Err(forbid("it would carry a credential to another origin"));
        }
        self.grants
            .check_request(&from.method, &next)
            .map_err(|violation| match violation {
                Violation::NotGranted { what, remedy } => Violation::NotGranted {
                    what: format!("{what}, where {} leads to", display_url(&from.url)),
                    remedy,
                },
                other => other,
            })?;
        Ok(Some(next))
    }

    fn check_headers(&self, url: &Url, headers: &HeaderMap) -> Result<(), Violation> {
        let max = self.limits.response_headers;
        let bytes = size(headers);
        let (count, most_count) = (headers.len(), self.limits.response_header_count);
        if bytes > max {
            return Err(Violation::Limit {
                limit: format!(
                    "the headers of the answer of {} are longer than {max} bytes",
                    display_url(url)
                ),
                key: LimitKey::ResponseHeaders,
            });
        }
        if count as u64 > u64::from(most_count) {
            return Err(Violation::Limit {
                limit: format!(
                    "the answer of {} has {count} headers; {most_count} are allowed",
                    display_url(url)
                ),
                key: LimitKey::ResponseHeaderCount,
            });
        }
        Ok(())
    }
}

/// Bytes of headers, as HTTP/1.1 writes them.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    bytes.sum::<usize>() as u64
}

impl PendingRequest {
    /// What changes nothing at the remote can be asked for twice.
    fn can_be_resent(&self) -> bool {
        self.bodyless && matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    fn go_to(&mut self, next: Url) {
        if next.origin() != self.url.origin() {
            self.left_origin = true;
            // What a component says to one origin is not meant for another one.
            let kept = [ACCEPT, ACCEPT_LANGUAGE, USER_AGENT, RANGE];
            let kept = kept.map(|name| (self.headers.remove(&name), name));
            self.headers.clear();
            for (value, name) in kept {
                if let Some(value) = value {
                    self.headers.insert(name, value);
                }
            }
        }
        self.redirect_chain.push(std::mem::replace(&mut self.url, next));
    }
}

/// Sets a parameter of the query, in the place of any other of this name.
fn set_parameter(url: &mut Url, name: &str, value: &str) {
    let others: Vec<_> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter(|pair| url::form_urlencoded::parse(pair.as_bytes()).all(|(found, _)| found != name))
        .map(str::to_owned)
        .collect();
    let own = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish();
    let all: Vec<_> = others.into_iter().chain([own]).collect();
    url.set_query(Some(&all.join("&")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;
    use sandbar_policy::{Grants, Limits};

    #[test]
    fn a_redirect_never_leads_from_https_to_http_or_out_of_the_web() {
        let grants = Grants::parse(&["https://a.example", "http://a.example"], false).unwrap();
        let client = HttpClient::new(Network::default(), grants, vec![], &Limits::default());
        let from = PendingRequest {
            url: "https://a.example/x".parse().unwrap(),
            method: Method::GET,
            headers: HeaderMap::new(),
            bodyless: true,
            redirect_chain: vec![],
            left_origin: false,
        };
        let to = |to: &'static str| {
            let headers = [(LOCATION, HeaderValue::from_static(to))];
            client.redirect(&from, StatusCode::FOUND, &headers.into_iter().collect())
        };
        for bad in ["http://a.example/y", "file:///etc/passwd", "ftp://a.example/"] {
            let Err(SendError::Stopped(Violation::Forbidden { why, .. })) = to(bad) else {
                panic!("{bad} is followed");
            };
            assert!(why.contains("http"), "{why}");
        }
        assert_eq!(
            to("/y?z=1#top").unwrap().unwrap().as_str(),
            "https://a.example/y?z=1"
        );
        assert!(to("//b.example/y").is_err(), "it is not granted");
    }

    #[test]
    fn a_parameter_takes_the_place_of_its_namesakes() {
        let mut url: Url = "https://a.example/x?a=1&key=guess&k%65y=guess&b=%20"
            .parse()
            .unwrap();
        set_parameter(&mut url, "key", "s&t");
        assert_eq!(url.as_str(), "https://a.example/x?a=1&b=%20&key=s%26t");
        let mut url: Url = "https://a.example/x".parse().unwrap();
        set_parameter(&mut url, "key", "1");
        assert_eq!(url.as_str(), "https://a.example/x?key=1");
    }
}
