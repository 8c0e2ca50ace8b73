use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

/// Replaces the secrets of one pipeline in texts that are about to be shown.
///
/// A remote may echo what it was sent, and a component may repeat what the remote said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    lasting: Vec<String>,
    passing: VecDeque<String>,
}

/// Anything shorter would be found in ordinary words.
const SHORTEST: usize = 4;
/// What is refused because of a secret must have a secret and no row number.
const UNMISTAKABLE: usize = 8;
/// Tokens that were fetched: the newest ones can still be of use to someone.
const PASSING: usize = 64;

impl Redactor {
    /// Adds a secret that stands in the pipeline's configuration.
    pub(crate) fn add(&self, secret: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.lasting.extend(spellings(secret));
        known
            .lasting
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.lasting.dedup();
    }

    /// Adds a secret that was fetched and will be replaced.
    pub(crate) fn add_passing(&self, secret: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for spelling in spellings(secret) {
            if !known.passing.contains(&spelling) {
                known.passing.push_front(spelling);
            }
        }
        known.passing.truncate(PASSING);
    }

    /// The text with every secret replaced by `***`.
    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut text = Cow::Borrowed(text);
        for secret in known.lasting.iter().chain(&known.passing) {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), "***"));
            }
        }
        text
    }

    /// Whether a text holds a secret that is no word or number by chance.
    pub(crate) fn finds(&self, text: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.lasting.iter().chain(&known.passing);
        all.any(|secret| secret.len() >= UNMISTAKABLE && text.contains(secret.as_str()))
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The secret as it is, in a query, and in a JSON string.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![
        secret.to_owned(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        serde_json::Value::from(secret)
            .to_string()
            .trim_matches('"')
            .to_owned(),
    ];
    all.dedup();
    all.retain(|spelling| spelling.len() >= SHORTEST);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_in_every_spelling() {
        let redactor = Redactor::default();
        redactor.add("top secret/1");
        redactor.add("top secret/1 and more");
        redactor.add("abc");
        redactor.add_passing("token-01");
        for (text, wanted) in [
            ("it was top secret/1", "it was ***"),
            ("a=top+secret%2F1&b=2", "a=***&b=2"),
            ("top secret/1 and more", "***"),
            ("Bearer token-01, token-01", "Bearer ***, ***"),
            ("abc", "abc"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.redact(text), wanted);
        }
        redactor.add("1234");
        assert!(redactor.finds("xtoken-01") && !redactor.finds("token-2") && !redactor.finds("12345"));
        assert!(!format!("{redactor:?}").contains("secret"));
    }

    #[test]
    fn fetched_secrets_do_not_pile_up() {
        let redactor = Redactor::default();
        redactor.add("lasting-one");
        for n in 0..1000 {
            redactor.add_passing(&format!("token-{n:04}"));
        }
        assert!(
            redactor.finds("token-0999") && !redactor.finds("token-0001") && redactor.finds("lasting-one")
        );
    }
}
