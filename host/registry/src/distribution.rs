//! The OCI distribution protocol, as far as one artifact needs it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use sandbar_policy::sanitize;
use serde::Deserialize;
use url::Url;

use crate::artifact::{Descriptor, MANIFEST_MEDIA_TYPE, MAX_MANIFEST_BYTES, OTHER_MANIFESTS};
use crate::credentials::{Credentials, Login};
use crate::digest;
use crate::http::{failed, may_lead, read_beginning, read_body, same_origin, within};
use crate::{OciReference, Registry, RegistryError};

/// The longest answer of an issuer of tokens.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// What is read of an answer that tells of an error.
const MAX_ERROR_BYTES: usize = 8 << 10;
/// What is shown of it.
const MAX_SHOWN: usize = 300;
const CONTENT_DIGEST: &str = "docker-content-digest";

type Result<T> = std::result::Result<T, RegistryError>;

/// A manifest as it came, with the digest of its bytes.
pub(crate) struct Manifest {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: String,
}

/// Requests for one artifact. It asks who it is for once, when the registry wants to know.
pub(crate) struct Session<'a> {
    registry: &'a Registry,
    reference: &'a OciReference,
    login: Login<'a>,
    /// `https://host/v2/path/`
    root: Url,
    push: bool,
    authorization: Option<HeaderValue>,
    /// Whose login was sent, once one was.
    asked: Option<Option<String>>,
    secrets: Vec<String>,
    answered: AtomicBool,
}

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Pull,
    Push,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        registry: &'a Registry,
        reference: &'a OciReference,
        login: Login<'a>,
        purpose: Purpose,
    ) -> Result<Self> {
        let scheme = match reference.is_loopback() {
            true => "http",
            false => "https",
        };
        let host = match reference.registry() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let root = format!("{scheme}://{host}/v2/{}/", reference.repository());
        let root = Url::parse(&root).map_err(|e| RegistryError::Reference {
            text: reference.to_string(),
            reason: format!("its host is none: {e}"),
        })?;
        Ok(Self {
            registry,
            reference,
            login,
            root,
            push: purpose == Purpose::Push,
            authorization: None,
            asked: None,
            secrets: vec![],
            answered: AtomicBool::new(false),
        })
    }

    /// Whether the registry has answered anything yet.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The digest of the manifest under a tag, as the registry says it: enough to notice a change by.
    pub(crate) async fn manifest_digest(&mut self, tag: &str) -> Result<Option<String>> {
        let what = format!("the tag {tag} of {}", self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.answer);
        let head = async {
            let response = self.ask_manifest(&what, Method::HEAD, tag).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let response = self.ok(&what, response).await?;
            Ok(Some(content_digest(response.headers())))
        };
        match within(clock, time, &what, head).await? {
            None => Ok(None),
            Some(Some(digest)) => Ok(Some(digest)),
            // Registries need not say it.
            Some(None) => Ok(self.manifest(tag).await?.map(|manifest| manifest.digest)),
        }
    }

    /// The manifest under a tag or a digest; `None` when there is none.
    pub(crate) async fn manifest(&mut self, name: &str) -> Result<Option<Manifest>> {
        let what = format!("the manifest of {}", self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.answer);
        within(clock, time, &what, self.get_manifest(&what, name)).await
    }

    async fn get_manifest(&mut self, what: &str, name: &str) -> Result<Option<Manifest>> {
        let response = self.ask_manifest(what, Method::GET, name).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let mut response = self.ok(what, response).await?;
        if let Some(kind) = not_json(response.headers()) {
            return Err(RegistryError::Answer {
                what: what.to_owned(),
                reason: format!(
                    "{} answered with {kind} where a manifest was asked for: is it a registry?",
                    self.reference.registry()
                ),
            });
        }
        let promised = content_digest(response.headers());
        let bytes = read_body(what, &mut response, MAX_MANIFEST_BYTES).await?;
        let found = digest::sha256(&bytes);
        let wanted = digest::hex(name).map(|_| name.to_owned());
        match wanted.or(promised) {
            Some(expected) if expected != found => Err(RegistryError::Changed {
                component: self.reference.to_string(),
                what: "manifest",
                expected,
                found,
            }),
            _ => Ok(Some(Manifest { bytes, digest: found })),
        }
    }

    async fn ask_manifest(&mut self, what: &str, method: Method, name: &str) -> Result<Response> {
        let url = self.url(&format!("manifests/{name}"))?;
        let accepted = [&[MANIFEST_MEDIA_TYPE], &OTHER_MANIFESTS[..]].concat().join(", ");
        let request = |client: &Client| {
            client
                .request(method.clone(), url.clone())
                .header(ACCEPT, accepted.as_str())
        };
        self.send(what, request).await
    }

    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&mut self, digest: &str) -> Result<bool> {
        let what = format!("the blob {digest} of {}", self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.answer);
        within(clock, time, &what, self.head_blob(&what, digest)).await
    }

    async fn head_blob(&mut self, what: &str, digest: &str) -> Result<bool> {
        let url = self.url(&format!("blobs/{digest}"))?;
        let response = self.send(what, |client| client.head(url.clone())).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => self.ok(what, response).await.map(|_| true),
        }
    }

    /// The bytes of a blob, which are those of its digest. `part` is what it is to people.
    pub(crate) async fn blob(&mut self, part: &'static str, blob: &Descriptor) -> Result<Vec<u8>> {
        let what = format!("the {part} of {}", self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.transfer);
        within(clock, time, &what, self.get_blob(&what, part, blob)).await
    }

    async fn get_blob(&mut self, what: &str, part: &'static str, blob: &Descriptor) -> Result<Vec<u8>> {
        let url = self.url(&format!("blobs/{}", blob.digest))?;
        let response = self.send(what, |client| client.get(url.clone())).await?;
        let mut response = self.ok(what, response).await?;
        let answer = |reason: String| RegistryError::Answer {
            what: what.to_owned(),
            reason,
        };
        let size = blob.size;
        let bytes = read_body(what, &mut response, size).await.map_err(|e| match e {
            RegistryError::TooLarge { .. } => answer(format!(
                "it is longer than the {size} bytes that the manifest says"
            )),
            other => other,
        })?;
        let found = digest::sha256(&bytes);
        if found == blob.digest {
            return Ok(bytes);
        }
        if let Some(kind) = not_json(response.headers()).filter(|kind| kind.starts_with("text/html")) {
            return Err(answer(format!("the registry answered with {kind}")));
        }
        match (bytes.len() as u64) < size {
            true => Err(answer(format!(
                "it has {} bytes, and the manifest says {size}",
                bytes.len()
            ))),
            false => Err(RegistryError::Changed {
                component: self.reference.to_string(),
                what: part,
                expected: blob.digest.clone(),
                found,
            }),
        }
    }

    /// Brings a blob to the repository, unless it is there.
    pub(crate) async fn push_blob(&mut self, bytes: Bytes) -> Result<()> {
        let digest = digest::sha256(&bytes);
        if self.has_blob(&digest).await? {
            return Ok(());
        }
        let what = format!("bringing {} bytes to {}", bytes.len(), self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.transfer);
        within(clock, time, &what, self.upload(&what, &digest, bytes)).await
    }

    async fn upload(&mut self, what: &str, digest: &str, bytes: Bytes) -> Result<()> {
        let url = self.url("blobs/uploads/")?;
        let begin = |client: &Client| client.post(url.clone()).body(Bytes::new());
        let response = self.send(what, begin).await?;
        let response = self.ok(what, response).await?;
        let mut place = self.location(what, &response)?;
        place.query_pairs_mut().append_pair("digest", digest);
        let put = |client: &Client| {
            client
                .put(place.clone())
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(bytes.clone())
        };
        let response = self.send(what, put).await?;
        self.ok(what, response).await.map(drop)
    }

    fn location(&self, what: &str, response: &Response) -> Result<Url> {
        let answer = |reason: String| RegistryError::Answer {
            what: what.to_owned(),
            reason,
        };
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| answer("the registry names no place to upload to".into()))?;
        let place = response.url().join(location).map_err(|e| {
            answer(format!(
                "the registry names a place to upload to that is no URL: {e}"
            ))
        })?;
        may_lead(&self.root, &place).map_err(answer)?;
        Ok(place)
    }

    /// Puts a manifest under a tag or its digest.
    pub(crate) async fn push_manifest(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let what = format!("the manifest of {}", self.reference);
        let (clock, time) = (&*self.registry.clock, self.registry.timeouts.answer);
        within(clock, time, &what, self.put_manifest(&what, name, bytes.into())).await
    }

    async fn put_manifest(&mut self, what: &str, name: &str, bytes: Bytes) -> Result<()> {
        let url = self.url(&format!("manifests/{name}"))?;
        let put = |client: &Client| {
            client
                .put(url.clone())
                .header(CONTENT_TYPE, MANIFEST_MEDIA_TYPE)
                .body(bytes.clone())
        };
        let response = self.send(what, put).await?;
        let response = self.ok(what, response).await?;
        let expected = digest::sha256(&bytes);
        match content_digest(response.headers()) {
            Some(found) if found != expected => Err(RegistryError::Changed {
                component: self.reference.to_string(),
                what: "manifest",
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn client(&self) -> Result<&'a Client> {
        let Registry {
            clients,
            timeouts,
            authorities,
            ..
        } = self.registry;
        clients.get(self.reference.is_loopback(), timeouts, authorities.as_ref())
    }

    fn url(&self, path: &str) -> Result<Url> {
        self.root.join(path).map_err(|e| RegistryError::Reference {
            text: self.reference.to_string(),
            reason: e.to_string(),
        })
    }

    /// Sends a request, and once more with a login where the registry wants one. The login goes to the registry alone.
    async fn send(&mut self, what: &str, request: impl Fn(&Client) -> RequestBuilder) -> Result<Response> {
        let response = self.send_once(what, &request).await?;
        let wants_login = response.status() == StatusCode::UNAUTHORIZED
            && same_origin(response.url(), &self.root)
            && self.asked.is_none();
        match wants_login {
            true => {
                self.log_in(what, response.headers()).await?;
                self.send_once(what, &request).await
            }
            false => Ok(response),
        }
    }

    async fn send_once(&self, what: &str, request: &impl Fn(&Client) -> RequestBuilder) -> Result<Response> {
        let client = self.client()?;
        let mut request = request(client).build().map_err(|e| self.failed(what, e))?;
        if let Some(authorization) = &self.authorization
            && same_origin(request.url(), &self.root)
        {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let sent = client.execute(request).await;
        self.answered.fetch_or(sent.is_ok(), Ordering::Relaxed);
        sent.map_err(|e| self.failed(what, e))
    }

    fn failed(&self, what: &str, error: reqwest::Error) -> RegistryError {
        match failed(what, error) {
            RegistryError::Unavailable { what, reason } => RegistryError::Unavailable {
                what,
                reason: self.redacted(&reason),
            },
            other => other,
        }
    }

    async fn log_in(&mut self, what: &str, headers: &HeaderMap) -> Result<()> {
        let found = self
            .login
            .find(self.reference.registry(), &*self.registry.clock)
            .await?;
        self.asked = Some(found.as_ref().map(|found| found.origin.clone()));
        if let Some(found) = &found {
            self.secrets.extend(found.secrets());
        }
        let challenge = Challenge::of(headers).map_err(|reason| RegistryError::Answer {
            what: what.to_owned(),
            reason,
        })?;
        self.authorization = match (challenge, &found) {
            (Challenge::Basic, Some(found)) => self.header(what, &found.basic())?,
            (Challenge::Basic, None) => None,
            (Challenge::Bearer { realm, service }, _) => {
                let token = self.token(&realm, service.as_deref(), found.as_ref()).await?;
                self.secrets.push(token.clone());
                self.header(what, &format!("Bearer {token}"))?
            }
        };
        Ok(())
    }

    fn header(&self, what: &str, text: &str) -> Result<Option<HeaderValue>> {
        let mut value = HeaderValue::from_str(text).map_err(|_| RegistryError::Answer {
            what: what.to_owned(),
            reason: "its login has a character that no header can have".into(),
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Asks the issuer that the registry named for a token.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<String> {
        let what = format!("a token for {}", self.reference);
        let answer = |reason: String| RegistryError::Answer {
            what: what.clone(),
            reason,
        };
        let mut url = Url::parse(realm)
            .map_err(|e| answer(format!("the registry names an issuer that is no URL: {e}")))?;
        may_lead(&self.root, &url).map_err(answer)?;
        let actions = match self.push {
            true => "pull,push",
            false => "pull",
        };
        let scope = format!("repository:{}:{actions}", self.reference.repository());
        {
            // It must be gone before the next await, since it can't move to another thread.
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &scope);
        }
        let mut request = self.client()?.get(url);
        if let Some(credentials) = credentials
            && let Some(basic) = self.header(&what, &credentials.basic())?
        {
            request = request.header(AUTHORIZATION, basic);
        }
        let response = request.send().await.map_err(|e| self.failed(&what, e))?;
        let mut response = self.ok(&what, response).await?;
        let bytes = read_body(&what, &mut response, MAX_TOKEN_BYTES).await?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|_| answer("the registry's issuer gave no token".into()))?;
        let token = token.token.or(token.access_token).unwrap_or_default();
        match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(token),
            false => Err(answer("the registry's issuer gave no token".into())),
        }
    }

    /// The same answer, if it is a good one.
    async fn ok(&self, what: &str, mut response: Response) -> Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let what = what.to_owned();
        let reason = self.reason(&mut response).await;
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.refused(status, &reason),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                RegistryError::Unavailable { what, reason }
            }
            status if status.is_server_error() => RegistryError::Unavailable { what, reason },
            _ => RegistryError::Answer { what, reason },
        })
    }

    fn refused(&self, status: StatusCode, reason: &str) -> RegistryError {
        let registry = self.reference.registry();
        let reason = match &self.asked {
            Some(Some(origin)) if status == StatusCode::UNAUTHORIZED => {
                format!("does not take {origin}: {reason}")
            }
            Some(Some(origin)) => format!(
                "lets the user of {origin} not {} {}: {reason}",
                if self.push { "push to" } else { "pull from" },
                self.reference.repository()
            ),
            _ => format!("wants a login: {reason}. Give one, or run: docker login {registry}"),
        };
        RegistryError::Login {
            registry: registry.to_owned(),
            reason,
        }
    }

    /// What an answer says of its error, as far as it may be shown.
    async fn reason(&self, response: &mut Response) -> String {
        let status = response.status();
        let mut reason = format!("the registry answered {status}");
        let pause = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        if let Some(seconds) = pause.and_then(|text| text.parse::<u32>().ok()) {
            reason += &format!(", try again in {seconds} s");
        }
        let body = read_beginning(response, MAX_ERROR_BYTES).await;
        let said = serde_json::from_str::<Errors>(&body).map(|errors| {
            let errors = errors.errors.iter().map(ToString::to_string);
            errors.collect::<Vec<_>>().join("; ")
        });
        match said {
            Ok(said) if !said.is_empty() => reason += &format!(": {}", self.redacted(&said)),
            _ if body.trim_start().starts_with('<') => reason += " with a page of HTML",
            _ => {}
        }
        reason
    }

    fn redacted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "***");
        }
        sanitize(&text, MAX_SHOWN)
    }
}

/// What a registry wants.
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    fn of(headers: &HeaderMap) -> std::result::Result<Self, String> {
        let values = headers.get_all(reqwest::header::WWW_AUTHENTICATE);
        let texts = values.iter().filter_map(|value| value.to_str().ok());
        let mut basic = false;
        for text in texts {
            let Ok(challenges) = http_auth::parse_challenges(text) else {
                continue;
            };
            for challenge in challenges {
                basic |= challenge.scheme.eq_ignore_ascii_case("basic");
                if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                    continue;
                }
                let param = |name: &str| {
                    let mut params = challenge.params.iter();
                    let found = params.find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if let Some(realm) = param("realm") {
                    return Ok(Self::Bearer {
                        realm,
                        service: param("service"),
                    });
                }
            }
        }
        match basic {
            true => Ok(Self::Basic),
            false => Err("the registry wants a login and does not say in which way".into()),
        }
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Said {
    code: String,
    message: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

fn content_digest(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_DIGEST)?.to_str().ok()?;
    digest::hex(text).map(|_| text.to_owned())
}

/// What the answer says that it is, where that can be no JSON. Registries differ in what they call a manifest.
fn not_json(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    match kind.contains("json") || kind.starts_with("application/octet-stream") {
        true => None,
        false => Some(sanitize(kind, 100)),
    }
}
