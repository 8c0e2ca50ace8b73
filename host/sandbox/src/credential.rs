use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use url::Url;

use crate::oauth::{OAuth, OAuthOptions};
use crate::redact::Redactor;
use crate::{HttpGrant, SandboxError};

/// What the host adds to requests to one origin. The component never sees it.
#[derive(Clone)]
pub struct Credential {
    origin: HttpGrant,
    kind: Kind,
    secrets: Vec<String>,
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
    pub fn header(origin: &str, header: &str, value: &str) -> Result<Self, SandboxError> {
        let name = header.parse::<HeaderName>().map_err(|_| {
            SandboxError::Policy(format!("credential for {origin}: {header:?} is no header name"))
        })?;
        let kind = Kind::Header {
            name,
            value: header_value(origin, header, value)?,
        };
        // `Bearer` and its like are no part of the secret that a remote may echo.
        let bare = value.split_once(' ').map(|(_, bare)| bare.trim().to_owned());
        let secrets = bare.into_iter().chain([value.to_owned()]);
        Self::new(origin, kind, secrets.collect())
    }

    /// A parameter of the URL's query.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the name is not well-formed.
    pub fn query(origin: &str, name: &str, value: &str) -> Result<Self, SandboxError> {
        if name.is_empty() {
            let message = format!("credential for {origin}: a query parameter has no name");
            return Err(SandboxError::Policy(message));
        }
        let (name, value) = (name.to_owned(), value.to_owned());
        let secrets = vec![value.clone()];
        Self::new(origin, Kind::Query { name, value }, secrets)
    }

    /// `authorization: Bearer ...`
    ///
    /// # Errors
    /// As [`Credential::header`].
    pub fn bearer(origin: &str, token: &str) -> Result<Self, SandboxError> {
        Self::header(origin, "authorization", &format!("Bearer {token}"))
    }

    /// `authorization: Basic ...` (RFC 7617).
    ///
    /// # Errors
    /// As [`Credential::header`]; and when the user name has a colon, which nobody could tell from the separator.
    pub fn basic(origin: &str, username: &str, password: &str) -> Result<Self, SandboxError> {
        if username.contains(':') {
            let message = format!("credential for {origin}: a user name can't have a colon");
            return Err(SandboxError::Policy(message));
        }
        let mut credential = Self::header(origin, "authorization", &basic(username, password))?;
        // A service that takes a key for the user name takes it with an empty password.
        let secret = if password.is_empty() { username } else { password };
        credential.secrets.push(secret.to_owned());
        Ok(credential)
    }

    /// A bearer token that the host fetches from a token endpoint, and renews.
    ///
    /// # Errors
    /// [`SandboxError::Policy`] when the origin or the token's URL is not well-formed, or is plain HTTP to another
    /// machine.
    pub fn oauth2(origin: &str, options: OAuthOptions) -> Result<Self, SandboxError> {
        let secrets = options.secrets();
        let oauth = OAuth::new(origin, options)?;
        Self::new(origin, Kind::OAuth(Arc::new(oauth)), secrets)
    }

    fn new(origin: &str, kind: Kind, secrets: Vec<String>) -> Result<Self, SandboxError> {
        let origin = HttpGrant::parse(origin)?;
        if origin.is_wildcard() {
            let message = format!("credential for {origin}: a secret is for one host; write its whole name");
            return Err(SandboxError::Policy(message));
        }
        Ok(Self {
            origin,
            kind,
            secrets,
        })
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

    pub(crate) fn tell(&self, redactor: &Redactor) {
        self.secrets.iter().for_each(|secret| redactor.add(secret));
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
