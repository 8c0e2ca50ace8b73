use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use url::{Host, Url, form_urlencoded};

use crate::{HttpGrant, PolicyError, Secret, sanitize};

/// What the host adds to requests to one origin. The component never sees it.
#[derive(Clone)]
pub struct Credential {
    origin: HttpGrant,
    kind: CredentialKind,
    redacted: Vec<String>,
    too_short: Vec<String>,
}

/// The part of a request that a credential sets.
#[derive(Clone)]
pub enum CredentialKind {
    /// A header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value, marked as sensitive.
        value: HeaderValue,
    },
    /// A parameter of the URL's query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A bearer token that is fetched from a token endpoint.
    OAuth2(Arc<OAuth2>),
}

/// How a token is fetched (RFC 6749, client credentials and refresh token).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct OAuth2Options {
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The client's name there. A name that is put together of secrets hides these.
    pub client_id: Secret,
    /// The client's secret.
    pub client_secret: Secret,
    /// The scope that is asked for.
    pub scope: Option<String>,
    /// A refresh token; without one the client's own credentials are the grant.
    pub refresh_token: Option<Secret>,
    /// The folder that keeps the newest refresh token, where the endpoint gives a new one each time. Without a
    /// folder it is kept in memory.
    pub store: Option<PathBuf>,
}

/// An OAuth2 client that was found well-formed.
pub struct OAuth2 {
    origin: String,
    token_url: Url,
    options: OAuth2Options,
}

impl OAuth2Options {
    /// A client with these names at a token endpoint.
    pub fn new(
        token_url: impl Into<String>,
        client_id: impl Into<Secret>,
        client_secret: impl Into<Secret>,
    ) -> Self {
        Self {
            token_url: token_url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            ..Self::default()
        }
    }

    /// Asks for a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Uses a refresh token as the grant.
    #[must_use]
    pub fn with_refresh_token(mut self, token: impl Into<Secret>) -> Self {
        self.refresh_token = Some(token.into());
        self
    }

    /// Keeps the newest refresh token in a folder that its owner alone can read.
    #[must_use]
    pub fn with_store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// What the client sends in a header, without the scheme (RFC 6749, section 2.3.1).
    fn encoded(&self) -> String {
        let basic = self.basic_authorization();
        basic.trim_start_matches("Basic ").to_owned()
    }

    /// The value of the client's `authorization` header (RFC 6749, section 2.3.1).
    pub fn basic_authorization(&self) -> String {
        let encoded =
            |text: &Secret| -> String { form_urlencoded::byte_serialize(text.expose().as_bytes()).collect() };
        basic_authorization(&encoded(&self.client_id), &encoded(&self.client_secret))
    }
}

impl OAuth2 {
    fn new(origin: &str, options: OAuth2Options) -> Result<Self, PolicyError> {
        let bad = |reason: &str| {
            let url = sanitize(&options.token_url, 200);
            refused(origin, format!("the token URL {url:?} {reason}"))
        };
        let token_url = Url::parse(&options.token_url).map_err(|e| bad(&format!("is no URL: {e}")))?;
        let here = match token_url.host() {
            Some(Host::Ipv4(v4)) => v4.is_loopback(),
            Some(Host::Ipv6(v6)) => v6.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match token_url.scheme() {
            "https" => {}
            "http" if here => {}
            "http" => return Err(bad("is plain HTTP; a client's secret is sent over https only")),
            _ => return Err(bad("is neither https nor http")),
        }
        if !token_url.username().is_empty() || token_url.password().is_some() {
            return Err(bad("names a user; write client_id and client_secret"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            token_url,
            options,
        })
    }

    /// The origin that the token is for, as it was written.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The token endpoint.
    pub fn token_url(&self) -> &Url {
        &self.token_url
    }

    /// How the token is fetched.
    pub fn options(&self) -> &OAuth2Options {
        &self.options
    }
}

impl Credential {
    /// A header.
    ///
    /// # Errors
    /// [`PolicyError::Credential`] when the header's name or value is not well-formed or the origin is a wildcard,
    /// [`PolicyError::Grant`] when the origin is not well-formed. The value never shows.
    pub fn header(origin: &str, header: &str, value: impl Into<Secret>) -> Result<Self, PolicyError> {
        let value = value.into();
        let name = header
            .parse::<HeaderName>()
            .map_err(|_| refused(origin, format!("{header:?} is no header name")))?;
        let kind = CredentialKind::Header {
            name,
            value: secret_header_value(origin, header, value.expose())?,
        };
        Ok(Self::new(origin, kind)?.hiding(&value))
    }

    /// A parameter of the URL's query.
    ///
    /// # Errors
    /// [`PolicyError::Credential`] when the name is empty or the origin is a wildcard, [`PolicyError::Grant`] when the
    /// origin is not well-formed.
    pub fn query(origin: &str, name: &str, value: impl Into<Secret>) -> Result<Self, PolicyError> {
        if name.is_empty() {
            return Err(refused(origin, "a query parameter has no name".into()));
        }
        let secret = value.into();
        let (name, value) = (name.to_owned(), secret.expose().to_owned());
        Ok(Self::new(origin, CredentialKind::Query { name, value })?.hiding(&secret))
    }

    /// `authorization: Bearer ...`
    ///
    /// # Errors
    /// As [`Credential::header`].
    pub fn bearer(origin: &str, token: impl Into<Secret>) -> Result<Self, PolicyError> {
        Self::header(origin, "authorization", token.into().with_prefix("Bearer "))
    }

    /// `authorization: Basic ...` (RFC 7617). A user name that is put together of secrets hides these.
    ///
    /// # Errors
    /// As [`Credential::header`]; and [`PolicyError::Credential`] when the user name has a colon, which nobody could
    /// tell from the separator.
    pub fn basic(
        origin: &str,
        username: impl Into<Secret>,
        password: impl Into<Secret>,
    ) -> Result<Self, PolicyError> {
        let (username, password) = (username.into(), password.into());
        if username.expose().contains(':') {
            return Err(refused(origin, "a user name can't have a colon".into()));
        }
        let value = basic_authorization(username.expose(), password.expose());
        let encoded = value.trim_start_matches("Basic ").to_owned();
        let kind = CredentialKind::Header {
            name: AUTHORIZATION,
            value: secret_header_value(origin, "authorization", &value)?,
        };
        let mut credential = Self::new(origin, kind)?;
        credential.redacted.extend([value, encoded]);
        // A service that takes a key for the user name takes it with an empty password.
        Ok(match password.expose().is_empty() {
            true => credential.hiding(&username),
            false => credential.hiding_parts(&username).hiding(&password),
        })
    }

    /// A bearer token that the host fetches from a token endpoint, and renews.
    ///
    /// # Errors
    /// [`PolicyError::Credential`] when the token's URL is not well-formed or is plain HTTP to another machine, or the
    /// origin is a wildcard; [`PolicyError::Grant`] when the origin is not well-formed.
    pub fn oauth2(origin: &str, options: OAuth2Options) -> Result<Self, PolicyError> {
        let oauth2 = Arc::new(OAuth2::new(origin, options)?);
        let options = &oauth2.options;
        let mut credential = Self::new(origin, CredentialKind::OAuth2(oauth2.clone()))?;
        credential.redacted.push(options.encoded());
        let credential = credential
            .hiding_parts(&options.client_id)
            .hiding(&options.client_secret);
        Ok(match &options.refresh_token {
            Some(refresh) => credential.hiding(refresh),
            None => credential,
        })
    }

    fn new(origin: &str, kind: CredentialKind) -> Result<Self, PolicyError> {
        let granted = HttpGrant::parse(origin)?;
        if granted.is_wildcard() {
            return Err(refused(
                origin,
                "a secret is for one host; write its whole name".into(),
            ));
        }
        Ok(Self {
            origin: granted,
            kind,
            redacted: vec![],
            too_short: vec![],
        })
    }

    fn hiding(mut self, secret: &Secret) -> Self {
        self.redacted.extend(secret.redacted_texts());
        self.too_short
            .extend(secret.too_short().into_iter().map(str::to_owned));
        self
    }

    /// The same for a name, of which only what is put into it is secret.
    fn hiding_parts(mut self, name: &Secret) -> Self {
        let parts = name.redacted_parts();
        if !parts.is_empty() {
            self.redacted.extend(parts);
            self.too_short
                .extend(name.too_short().into_iter().map(str::to_owned));
        }
        self
    }

    /// The credential's kind and origin in words, without its secret.
    pub fn describe(&self) -> String {
        let kind = match &self.kind {
            CredentialKind::Header { name, .. } => format!("header {name}"),
            CredentialKind::Query { name, .. } => format!("query parameter {name}"),
            CredentialKind::OAuth2(oauth2) => format!("token from {}", crate::display_url(&oauth2.token_url)),
        };
        format!("{kind} for {}", self.origin)
    }

    /// Whether it belongs to requests to this URL.
    pub fn covers(&self, url: &Url) -> bool {
        self.origin.covers(url)
    }

    /// What it sets.
    pub fn kind(&self) -> &CredentialKind {
        &self.kind
    }

    /// The header that it sets, which a component may not.
    pub fn header_name(&self) -> Option<HeaderName> {
        match &self.kind {
            CredentialKind::Header { name, .. } => Some(name.clone()),
            CredentialKind::OAuth2(_) => Some(AUTHORIZATION),
            CredentialKind::Query { .. } => None,
        }
    }

    /// Every text that must be redacted.
    pub fn redacted_texts(&self) -> &[String] {
        &self.redacted
    }

    /// Where those of its secrets come from that are too short to be redacted; an empty name for the whole secret.
    pub fn too_short(&self) -> &[String] {
        &self.too_short
    }
}

/// The value of an `authorization` header for a user and a password (RFC 7617).
pub fn basic_authorization(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{username}:{password}"))
    )
}

/// A header's value that shows in no debug output.
///
/// # Errors
/// [`PolicyError::Credential`] naming the header whose value has a character that no header may have.
pub fn secret_header_value(origin: &str, header: &str, value: &str) -> Result<HeaderValue, PolicyError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        refused(
            origin,
            format!(
                "the value of {header} has a character that no header may have (a line break at its end?)"
            ),
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn refused(origin: &str, reason: String) -> PolicyError {
    PolicyError::Credential {
        origin: origin.to_owned(),
        reason,
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}: ***)", self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_never_shows_its_value() {
        let origin = "https://a.example";
        for credential in [
            Credential::header(origin, "x-key", "hush-hush").unwrap(),
            Credential::bearer(origin, "hush-hush").unwrap(),
            Credential::query(origin, "key", "hush-hush").unwrap(),
            Credential::basic(origin, "me", "hush-hush").unwrap(),
        ] {
            let shown = format!("{credential:?} {}", credential.describe());
            assert!(!shown.contains("hush") && shown.contains(origin), "{shown}");
            assert!(credential.redacted_texts().contains(&"hush-hush".to_owned()));
        }
        let error = Credential::header(origin, "authorization", "hush\n").unwrap_err();
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn a_user_and_a_password_are_encoded_and_hidden_so_too() {
        // The example of RFC 7617.
        let credential = Credential::basic("https://a.example", "Aladdin", "open sesame").unwrap();
        let CredentialKind::Header { value, .. } = credential.kind() else {
            panic!()
        };
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let encoded = "QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
        assert!(credential.redacted_texts().contains(&encoded));
        assert!(Credential::basic("https://a.example", "a:b", "c").is_err());
    }

    #[test]
    fn a_credential_is_for_one_host() {
        assert!(Credential::bearer("https://*.example.com", "x").is_err());
    }
}
