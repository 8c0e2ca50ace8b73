use std::sync::Arc;

use sandbar_policy::{Credential, CredentialKind, MIN_REDACTED_BYTES};
use url::Url;

use crate::oauth2::TokenSource;
use crate::redact::Redactor;

/// A credential of a pipeline, with the tokens that were fetched for it.
pub(crate) struct ActiveCredential {
    credential: Credential,
    tokens: Option<Arc<TokenSource>>,
}

impl ActiveCredential {
    pub(crate) fn new(credential: Credential) -> Self {
        let tokens = match credential.kind() {
            CredentialKind::OAuth2(client) => Some(TokenSource::new(client.clone())),
            CredentialKind::Header { .. } | CredentialKind::Query { .. } => None,
        };
        Self { credential, tokens }
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What it sets in requests to this URL, if it belongs to them.
    pub(crate) fn kind_for(&self, url: &Url) -> Option<&CredentialKind> {
        self.credential.covers(url).then(|| self.credential.kind())
    }

    /// Its tokens, where they are fetched.
    pub(crate) fn tokens(&self) -> Option<&Arc<TokenSource>> {
        self.tokens.as_ref()
    }

    /// Has its secrets redacted, and warns of those that are too short for that.
    pub(crate) fn register_secrets(&self, redactor: &Redactor) {
        let credential = &self.credential;
        credential
            .redacted_texts()
            .iter()
            .for_each(|secret| redactor.add(secret));
        for place in credential.too_short() {
            let place = if place.is_empty() { "its secret" } else { place };
            tracing::warn!(
                credential = %credential.describe(),
                "{place} is shorter than {MIN_REDACTED_BYTES} bytes: an API that sends it back gives it to the component and into the rows, where nobody could tell it from other words; a longer one is hidden"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_credential_is_redacted() {
        let origin = "https://a.example";
        for credential in [
            Credential::header(origin, "x-key", "hush-hush").unwrap(),
            Credential::bearer(origin, "hush-hush").unwrap(),
            Credential::query(origin, "key", "hush-hush").unwrap(),
            Credential::basic(origin, "me", "hush-hush").unwrap(),
        ] {
            let redactor = Redactor::default();
            ActiveCredential::new(credential).register_secrets(&redactor);
            assert_eq!(redactor.redact("my hush-hush"), "my ***");
        }
        // The example of RFC 7617.
        let redactor = Redactor::default();
        let basic = Credential::basic(origin, "Aladdin", "open sesame").unwrap();
        ActiveCredential::new(basic).register_secrets(&redactor);
        assert_eq!(redactor.redact("got QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "got ***");
    }
}
