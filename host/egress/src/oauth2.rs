//! Tokens that the host fetches, keeps and renews (RFC 6749, client credentials and refresh token).

mod token_store;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sandbar_policy::{MIN_REDACTED_BYTES, OAuth2, display_url, sanitize, secret_header_value};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::error::SendError;
use crate::redact::Redactor;
use token_store::{TokenLock, TokenStore};

/// Posts the form of a token request, outside of the grants.
pub(crate) trait PostForm: Send + Sync + 'static {
    /// Posts a short body and returns the status and the short body of the answer.
    fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl Future<Output = Result<(StatusCode, Bytes), SendError>> + Send;

    /// Where fetched tokens are registered as secrets.
    fn redactor(&self) -> &Redactor;
}

/// The access token of one credential, fetched when it is needed.
pub(crate) struct TokenSource {
    client: Arc<OAuth2>,
    store: Option<TokenStore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    access: Option<Access>,
    refresh: Option<String>,
    /// Whether the endpoint wants the client's secret in the body and not in a header.
    secret_in_body: bool,
    /// When a token was last forgotten because the remote refused it.
    rejected: Option<Instant>,
}

struct Access {
    header: HeaderValue,
    until: Option<Instant>,
}

/// Why there is no token.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// It may work later.
    Unavailable(String),
    /// It won't.
    Refused(String),
}

/// What an endpoint answers; one that fails has an `error` alone.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
    error: Option<String>,
}

/// The time from one renewal because of a refusal to the next.
const BETWEEN_REJECTS: Duration = Duration::from_secs(30);
/// The longest wait for another process that fetches a token, and the pause between two tries.
const LOCK_TIME: Duration = Duration::from_secs(20);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// A token is renewed so long before it ends, or a tenth of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(60);

impl TokenSource {
    pub(crate) fn new(client: Arc<OAuth2>) -> Arc<Self> {
        let options = client.options();
        let store = match (&options.store, &options.refresh_token) {
            (Some(folder), Some(configured)) => {
                Some(TokenStore::new(folder, client.origin(), configured.expose()))
            }
            _ => None,
        };
        Arc::new(Self {
            client,
            store,
            state: Mutex::default(),
        })
    }

    /// The token endpoint, as it may be shown.
    fn token_url(&self) -> String {
        display_url(self.client.token_url())
    }

    /// The `authorization` header of now. Whoever comes while a token is fetched waits for that one.
    ///
    /// A fetch goes on when nobody waits for it any more: the endpoint may have made the old refresh token worthless.
    pub(crate) async fn header<P: PostForm>(
        self: &Arc<Self>,
        transport: &Arc<P>,
    ) -> Result<HeaderValue, TokenError> {
        if let Some(header) = self.state.lock().await.valid() {
            return Ok(header);
        }
        let (source, transport) = (self.clone(), transport.clone());
        let renewed = tokio::spawn(async move { source.renew(&*transport).await });
        renewed
            .await
            .unwrap_or_else(|e| Err(self.unavailable(&e.to_string())))
    }

    async fn renew(&self, transport: &impl PostForm) -> Result<HeaderValue, TokenError> {
        let mut state = self.state.lock().await;
        if let Some(header) = state.valid() {
            return Ok(header);
        }
        state.access = None;
        let access = self.fetch(transport, &mut state).await?;
        let header = access.header.clone();
        state.access = Some(access);
        Ok(header)
    }

    /// Forgets a token that the remote refused, unless another one has taken its place already. Says whether there will be
    /// another one: a remote that refuses whatever it gets must not make the host ask for tokens without end.
    pub(crate) async fn reject(&self, refused: &HeaderValue) -> bool {
        let mut state = self.state.lock().await;
        if state
            .access
            .as_ref()
            .is_none_or(|access| access.header != refused)
        {
            return true;
        }
        if state
            .rejected
            .is_some_and(|rejected| rejected.elapsed() < BETWEEN_REJECTS)
        {
            return false;
        }
        state.rejected = Some(Instant::now());
        state.access = None;
        true
    }

    async fn fetch(&self, transport: &impl PostForm, state: &mut State) -> Result<Access, TokenError> {
        let redactor = transport.redactor();
        let _lock = match &self.store {
            Some(store) => {
                let lock = self.lock(store).await?;
                // Another process may have been given a newer one.
                let kept = self.blocking(store, TokenStore::load).await?;
                state.refresh = kept.or_else(|| state.refresh.take());
                lock
            }
            None => None,
        };
        let configured = self.client.options().refresh_token.as_ref();
        let configured = configured.map(|token| token.expose().to_owned());
        let refresh = state.refresh.clone().or(configured);
        if let Some(refresh) = &refresh {
            redactor.add_passing(refresh);
        }
        let mut answer = self
            .ask(transport, refresh.as_deref(), state.secret_in_body)
            .await?;
        let refused = |answer: &(StatusCode, TokenAnswer)| {
            answer.0 == StatusCode::UNAUTHORIZED || answer.1.error.as_deref() == Some("invalid_client")
        };
        if refused(&answer) && !state.secret_in_body {
            // RFC 6749 wants the header understood everywhere; not everybody does.
            let second = self.ask(transport, refresh.as_deref(), true).await?;
            if second.0.is_success() {
                state.secret_in_body = true;
                answer = second;
            }
        }
        let (status, answer) = answer;
        let Some(token) = answer.access_token.filter(|_| status.is_success()) else {
            let error = answer.error.unwrap_or_else(|| "no access_token".into());
            let error = sanitize(&redactor.redact(&error), 200);
            let refused = format!(
                "the token for {} is refused by {}: {} {error}; check client_id, client_secret and refresh_token",
                self.client.origin(),
                self.token_url(),
                status.as_u16(),
            );
            return Err(TokenError::Refused(refused));
        };
        redactor.add_passing(&token);
        if token.len() < MIN_REDACTED_BYTES {
            let url = self.token_url();
            tracing::warn!(%url, "the token is shorter than {MIN_REDACTED_BYTES} bytes: an API that sends it back gives it to the component and into the rows");
        }
        if let Some(kind) = answer
            .token_type
            .filter(|kind| !kind.eq_ignore_ascii_case("bearer"))
        {
            let kind = sanitize(&redactor.redact(&kind), 40);
            let message = format!(
                "{} gives a token of the type {kind:?}; bearer is known",
                self.token_url()
            );
            return Err(TokenError::Refused(message));
        }
        if let Some(new) = answer.refresh_token.filter(|new| Some(new) != refresh.as_ref()) {
            self.keep(&new, redactor).await;
            state.refresh = Some(new);
        }
        let header = secret_header_value(self.client.origin(), "authorization", &format!("Bearer {token}"));
        let until =
            lifetime(answer.expires_in.as_ref()).map(|life| Instant::now() + life - MARGIN.min(life / 10));
        Ok(Access {
            header: header.map_err(|e| TokenError::Refused(e.to_string()))?,
            until,
        })
    }

    /// The one that was used may be worthless from now on.
    async fn keep(&self, refresh: &str, redactor: &Redactor) {
        redactor.add_passing(refresh);
        let origin = self.client.origin();
        match &self.store {
            Some(store) => {
                let token = refresh.to_owned();
                let saved = self.blocking(store, move |store| store.save(&token)).await;
                if let Err(TokenError::Unavailable(reason) | TokenError::Refused(reason)) = saved {
                    tracing::warn!(%origin, "the new refresh token is kept in memory only: {reason}");
                }
            }
            None => tracing::warn!(
                %origin,
                "the token endpoint gave a new refresh token, which is kept in memory only: neither the checkpoint location nor the user's home is a folder of this machine. The next start begins with the configured one"
            ),
        }
    }

    /// Waits until no other process fetches a token of this credential. `None` where nothing can be kept, as in a
    /// folder that can't be written: then no other process keeps anything there either.
    async fn lock(&self, store: &TokenStore) -> Result<Option<TokenLock>, TokenError> {
        let until = Instant::now() + LOCK_TIME;
        loop {
            match self.blocking(store, TokenStore::try_lock).await {
                Ok(Some(lock)) => return Ok(Some(lock)),
                Ok(None) => {}
                Err(TokenError::Unavailable(reason) | TokenError::Refused(reason)) => {
                    tracing::debug!("a refresh token is not locked: {reason}");
                    return Ok(None);
                }
            }
            if Instant::now() >= until {
                let reason = format!(
                    "another process has been fetching it for {} s",
                    LOCK_TIME.as_secs()
                );
                return Err(self.unavailable(&reason));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    /// Does something with the store where nothing else waits for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        store: &TokenStore,
        work: impl FnOnce(&TokenStore) -> Result<T, String> + Send + 'static,
    ) -> Result<T, TokenError> {
        let store = store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.unwrap_or_else(|e| Err(e.to_string()))
            .map_err(|e| self.unavailable(&e))
    }

    async fn ask(
        &self,
        transport: &impl PostForm,
        refresh: Option<&str>,
        secret_in_body: bool,
    ) -> Result<(StatusCode, TokenAnswer), TokenError> {
        let (headers, form) = self.request(refresh, secret_in_body)?;
        let posted = transport
            .post(self.client.token_url(), headers, form.into())
            .await;
        let (status, body) = posted.map_err(|error| match error {
            SendError::Stopped(_) => TokenError::Refused(self.without(&error.describe())),
            SendError::Failed(_) | SendError::Dropped(_) => self.unavailable(&error.describe()),
        })?;
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(self.unavailable(status.as_str()));
        }
        let answer = serde_json::from_slice(&body).unwrap_or(TokenAnswer {
            access_token: None,
            token_type: None,
            expires_in: None,
            refresh_token: None,
            error: None,
        });
        Ok((status, answer))
    }

    fn request(
        &self,
        refresh: Option<&str>,
        secret_in_body: bool,
    ) -> Result<(HeaderMap, String), TokenError> {
        let scope = &self.client.options().scope;
        let client_id = self.client.options().client_id.expose();
        let client_secret = self.client.options().client_secret.expose();
        let mut form = form_urlencoded::Serializer::new(String::new());
        match refresh {
            Some(refresh) => form
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", refresh),
            None => form.append_pair("grant_type", "client_credentials"),
        };
        if let Some(scope) = scope {
            form.append_pair("scope", scope);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        if secret_in_body {
            form.append_pair("client_id", client_id)
                .append_pair("client_secret", client_secret);
        } else {
            let value = self.client.options().basic_authorization();
            let value = secret_header_value(self.client.origin(), "authorization", &value);
            headers.insert(
                AUTHORIZATION,
                value.map_err(|e| TokenError::Refused(e.to_string()))?,
            );
        }
        Ok((headers, form.finish()))
    }

    fn unavailable(&self, reason: &str) -> TokenError {
        TokenError::Unavailable(self.without(reason))
    }

    fn without(&self, reason: &str) -> String {
        let (origin, url) = (&self.client.origin(), self.token_url());
        format!("the token for {origin} can't be had from {url}: {reason}")
    }
}

impl State {
    fn valid(&self) -> Option<HeaderValue> {
        let access = self.access.as_ref()?;
        let now = Instant::now();
        access
            .until
            .is_none_or(|until| now < until)
            .then(|| access.header.clone())
    }
}

/// Some endpoints write the number in quotes.
fn lifetime(told: Option<&serde_json::Value>) -> Option<Duration> {
    let told = told?;
    let seconds = told.as_f64().or_else(|| told.as_str()?.parse().ok())?;
    // Whatever lasts longer than a year may as well be asked for then.
    Duration::try_from_secs_f64(seconds.clamp(0.0, 31_536_000.0)).ok()
}
