use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use url::Url;

use crate::oauth::{OAuth, OAuthOptions};
use crate::redact::{Redactor, UNMISTAKABLE};
use crate::{HttpGrant, SandboxError, Secret};

/// What the host adds to requests to one origin. The component never sees it.
#[derive(Clone)]
pub struct Credential {
    origin: HttpGrant,
    kind: Kind,
    secrets: Vec<String>,
    /// Where secrets are from that are too short to be found in what an API sends.
    short: Vec<String>,
}

#[derive(Clone)]
pub(crate) enum Kind {
    Header { name: HeaderName, value: HeaderValue },
    Query { name: String, value: String },
    OAuth(Arc<OAuth>),
}

impl Credential {
    /// A header.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the header is not well-formed. The value never shows.
    pub fn header(origin: &str, header: &str, value: impl Into<Secret>) -> Result<Self, SandboxError> {
        let value = value.into();
        let name = header.parse::<HeaderName>().map_err(|_| {
            SandboxError::Policy(format!("credential for {origin}: {header:?} is no header name"))
        })?;
        let kind = Kind::Header {
            name,
            value: header_value(origin, header, value.expose())?,
        };
        Ok(Self::new(origin, kind)?.hiding(&value))
    }

    /// A parameter of the URL's query.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the name is not well-formed.
    pub fn query(origin: &str, name: &str, value: impl Into<Secret>) -> Result<Self, SandboxError> {
        if name.is_empty() {
            let message = format!("credential for {origin}: a query parameter has no name");
            return Err(SandboxError::Policy(message));
        }
        let secret = value.into();
        let (name, value) = (name.to_owned(), secret.expose().to_owned());
        Ok(Self::new(origin, Kind::Query { name, value })?.hiding(&secret))
    }

    /// `authorization: Bearer ...`
    ///
    /// # Errors
    /// As [`Credential::header`].
    pub fn bearer(origin: &str, token: impl Into<Secret>) -> Result<Self, SandboxError> {
        Self::header(origin, "authorization", token.into().behind("Bearer "))
    }

    /// `authorization: Basic ...` (RFC 7617). A user name that is put together of secrets hides these.
    ///
    /// # Errors
    /// As [`Credential::header`]; and when the user name has a colon, which nobody could tell from the separator.
    pub fn basic(
        origin: &str,
        username: impl Into<Secret>,
        password: impl Into<Secret>,
    ) -> Result<Self, SandboxError> {
        let (username, password) = (username.into(), password.into());
        if username.expose().contains(':') {
            let message = format!("credential for {origin}: a user name can't have a colon");
            return Err(SandboxError::Policy(message));
        }
        let value = basic(username.expose(), password.expose());
        let encoded = value.trim_start_matches("Basic ").to_owned();
        let kind = Kind::Header {
            name: AUTHORIZATION,
            value: header_value(origin, "authorization", &value)?,
        };
        let mut credential = Self::new(origin, kind)?;
        credential.secrets.extend([value, encoded]);
        // A service that takes a key for the user name takes it with an empty password.
        Ok(match password.expose().is_empty() {
            true => credential.hiding(&username),
            false => credential.hiding_parts(&username).hiding(&password),
        })
    }

    /// A bearer token that the host fetches from a token endpoint, and renews.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the token's URL is not well-formed, or is plain HTTP to another
    /// machine.
    pub fn oauth2(origin: &str, options: OAuthOptions) -> Result<Self, SandboxError> {
        let known = options.clone();
        let oauth = OAuth::new(origin, options)?;
        let mut credential = Self::new(origin, Kind::OAuth(Arc::new(oauth)))?;
        credential.secrets.push(known.encoded());
        let credential = credential
            .hiding_parts(&known.client_id)
            .hiding(&known.client_secret);
        Ok(match &known.refresh_token {
            Some(refresh) => credential.hiding(refresh),
            None => credential,
        })
    }

    fn new(origin: &str, kind: Kind) -> Result<Self, SandboxError> {
        let origin = HttpGrant::parse(origin)?;
        if origin.is_wildcard() {
            let message = format!("credential for {origin}: a secret is for one host; write its whole name");
            return Err(SandboxError::Policy(message));
        }
        Ok(Self {
            origin,
            kind,
            secrets: vec![],
            short: vec![],
        })
    }

    fn hiding(mut self, secret: &Secret) -> Self {
        self.secrets.extend(secret.secrets());
        self.short.extend(secret.short().into_iter().map(str::to_owned));
        self
    }

    /// The same for a name, of which only what is put into it is secret.
    fn hiding_parts(mut self, name: &Secret) -> Self {
        let secrets = name.secrets_of_parts();
        if !secrets.is_empty() {
            self.secrets.extend(secrets);
            self.short.extend(name.short().into_iter().map(str::to_owned));
        }
        self
    }

    /// What it is and whom it is for, in plain words.
    pub fn plain(&self) -> String {
        let kind = match &self.kind {
            Kind::Header { name, .. } => format!("header {name}"),
            Kind::Query { name, .. } => format!("query parameter {name}"),
            Kind::OAuth(oauth) => format!("token from {}", oauth.token_url()),
        };
        format!("{kind} for {}", self.origin)
    }

    /// The header that it sets, which a component may not.
    pub(crate) fn header_name(&self) -> Option<HeaderName> {
        match &self.kind {
            Kind::Header { name, .. } => Some(name.clone()),
            Kind::OAuth(_) => Some(AUTHORIZATION),
            Kind::Query { .. } => None,
        }
    }

    /// What it adds, for a URL that it is meant for.
    pub(crate) fn kind_for(&self, url: &Url) -> Option<&Kind> {
        self.origin.covers(url).then_some(&self.kind)
    }

    /// Makes its secrets known, and warns of those that nobody could find again.
    pub(crate) fn tell(&self, redactor: &Redactor) {
        self.secrets.iter().for_each(|secret| redactor.add(secret));
        for place in &self.short {
            let place = if place.is_empty() { "its secret" } else { place };
            tracing::warn!(
                credential = %self.plain(),
                "{place} is shorter than {UNMISTAKABLE} bytes: an API that sends it back gives it to the component and into the rows, where nobody could tell it from other words; a longer one is hidden"
            );
        }
    }
}

/// The value of an `authorization` header.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{username}:{password}"))
    )
}

/// A header's value that shows in no debug output.
pub(crate) fn header_value(origin: &str, header: &str, value: &str) -> Result<HeaderValue, SandboxError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        SandboxError::Policy(format!(
            "credential for {origin}: the value of {header} has a character that no header may have (a line break at its end?)"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}: ***)", self.plain())
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
            let shown = format!("{credential:?} {}", credential.plain());
            assert!(!shown.contains("hush") && shown.contains(origin), "{shown}");
            let redactor = Redactor::default();
            credential.tell(&redactor);
            assert_eq!(redactor.redact("my hush-hush"), "my ***");
        }
        let error = Credential::header(origin, "authorization", "hush\n").unwrap_err();
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn a_user_and_a_password_are_encoded_and_hidden_so_too() {
        // The example of RFC 7617.
        let credential = Credential::basic("https://a.example", "Aladdin", "open sesame").unwrap();
        let Kind::Header { value, .. } = &credential.kind else {
            panic!()
        };
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let redactor = Redactor::default();
        credential.tell(&redactor);
        assert_eq!(redactor.redact("got QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "got ***");
        assert!(Credential::basic("https://a.example", "a:b", "c").is_err());
    }

    #[test]
    fn a_credential_is_for_one_host() {
        assert!(Credential::bearer("https://*.example.com", "x").is_err());
    }
}
