use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use http::{HeaderMap, HeaderValue};

/// Replaces the secrets of one pipeline in texts that are about to be shown.
///
/// A remote may echo what it was sent, and a component may repeat what the remote said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    lasting: Vec<String>,
    passing: VecDeque<String>,
    /// Of what is known now, once somebody asks.
    finder: Option<Arc<Finder>>,
    echoed: bool,
}

/// Finds secrets in bytes: those that are no word or number by chance.
pub(crate) struct Finder {
    secrets: Vec<Vec<u8>>,
    automaton: AhoCorasick,
    longest: usize,
}

/// Anything shorter would be found in ordinary words.
const SHORTEST: usize = 4;
/// What is refused because of a secret must have a secret and no row number.
const UNMISTAKABLE: usize = 8;
/// Tokens that were fetched: the newest ones can still be of use to someone.
const PASSING: usize = 512;

impl Redactor {
    /// Adds a secret that stands in the pipeline's configuration.
    pub(crate) fn add(&self, secret: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.lasting.extend(spellings(secret));
        known
            .lasting
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.lasting.dedup();
        known.finder = None;
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
        known.finder = None;
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

    /// Hides the secrets in the values of headers.
    pub(crate) fn hide_in(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            // A secret may stand beside bytes that are no text.
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Cow::Owned(hidden) = self.redact(&text) {
                *value = HeaderValue::from_str(&hidden).unwrap_or(HeaderValue::from_static("***"));
            }
        }
    }

    /// Whether a text holds a secret that is no word or number by chance.
    pub(crate) fn finds(&self, text: &str) -> bool {
        let found = self.finder();
        found.is_some_and(|finder| finder.find(text.as_bytes()).next().is_some())
    }

    /// What finds the secrets that are known now; none if there are none.
    pub(crate) fn finder(&self) -> Option<Arc<Finder>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.finder.is_some() || known.lasting.is_empty() && known.passing.is_empty() {
            return known.finder.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let all = known.lasting.iter().chain(&known.passing);
        let finder = Finder::of(all.filter(|secret| secret.len() >= UNMISTAKABLE));
        known.finder = finder.map(Arc::new);
        known.finder.clone()
    }

    /// Notes that a remote echoed a secret. Says whether it is the first time.
    pub(crate) fn note_echo(&self) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut known.echoed, true)
    }
}

impl Finder {
    fn of<'a>(secrets: impl Iterator<Item = &'a String>) -> Option<Self> {
        let secrets: Vec<_> = secrets.map(|secret| secret.as_bytes().to_vec()).collect();
        let longest = secrets.iter().map(Vec::len).max()?;
        let kind = MatchKind::LeftmostLongest;
        Some(Self {
            automaton: AhoCorasick::builder().match_kind(kind).build(&secrets).ok()?,
            secrets,
            longest,
        })
    }

    /// Where secrets stand, one behind the other; of two that begin at one place the longer one.
    pub(crate) fn find(&self, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
        self.automaton.find_iter(bytes).map(|found| found.range())
    }

    /// How many bytes at the end may be the beginning of a secret.
    pub(crate) fn begun_at_the_end(&self, bytes: &[u8]) -> usize {
        let most = bytes.len().min(self.longest - 1);
        let begun = (1..=most).rev().find(|length| {
            let end = bytes.get(bytes.len() - length..).unwrap_or_default();
            let begins = |secret: &Vec<u8>| secret.len() > *length && secret.starts_with(end);
            self.secrets.iter().any(begins)
        });
        begun.unwrap_or(0)
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The secret as it is, and as it stands in a query, in JSON and in HTML.
fn spellings(secret: &str) -> Vec<String> {
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let percent = form.replace('+', "%20");
    let replaced = |text: &str, pairs: &[(&str, &str)]| {
        let once = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        pairs.iter().fold(text.to_owned(), once)
    };
    let mut all = vec![
        secret.to_owned(),
        lower_case_escapes(&form),
        lower_case_escapes(&percent),
        // PHP writes slashes so; Go and others everything that has a meaning in HTML.
        json.replace('/', "\\/"),
        replaced(&json, &[("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")]),
        replaced(
            &json,
            &[
                ("<", "\\u003C"),
                (">", "\\u003E"),
                ("&", "\\u0026"),
                ("+", "\\u002B"),
                ("'", "\\u0027"),
            ],
        ),
        replaced(
            secret,
            &[
                ("&", "&amp;"),
                ("<", "&lt;"),
                (">", "&gt;"),
                ("\"", "&quot;"),
                ("'", "&#39;"),
            ],
        ),
        form,
        percent,
        json,
    ];
    all.sort();
    all.dedup();
    all.retain(|spelling| spelling.len() >= SHORTEST);
    all
}

/// `%2f` for `%2F`.
fn lower_case_escapes(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut lower = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        lower.push('%');
        lower.push_str(&escape.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_headers_and_tells_its_first_echo() {
        let redactor = Redactor::default();
        redactor.add("hush-hush");
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("Bearer hush-hush!"));
        headers.insert("x-other", HeaderValue::from_static("hush"));
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xff hush-hush").unwrap());
        redactor.hide_in(&mut headers);
        assert_eq!(headers["x-echo"], "Bearer ***!");
        assert_eq!(headers["x-other"], "hush");
        assert!(!headers["x-bytes"].as_bytes().ends_with(b"hush-hush"));
        assert!(redactor.note_echo() && !redactor.note_echo());
    }

    #[test]
    fn what_is_added_later_is_found_too() {
        let redactor = Redactor::default();
        assert!(redactor.finder().is_none());
        redactor.add("hush-hush");
        assert!(redactor.finds("hush-hush") && !redactor.finds("token-01"));
        redactor.add_passing("token-01");
        assert!(redactor.finds("token-01"));
    }

    #[test]
    fn secrets_are_replaced_in_every_spelling() {
        let redactor = Redactor::default();
        redactor.add("top secret/1");
        redactor.add("top secret/1 and more");
        redactor.add("q<&>'+\"z");
        for spelling in [
            "q%3C%26%3E%27%2B%22z",
            "q<&>'+\\\"z",
            "q\\u003c\\u0026\\u003e'+\\\"z",
            "q\\u003C\\u0026\\u003E\\u0027\\u002B\\\"z",
            "q&lt;&amp;&gt;&#39;+&quot;z",
        ] {
            assert_eq!(redactor.redact(spelling), "***", "{spelling}");
        }
        redactor.add("abc");
        redactor.add_passing("token-01");
        for (text, wanted) in [
            ("it was top secret/1", "it was ***"),
            ("a=top+secret%2F1&b=2", "a=***&b=2"),
            ("a=top%20secret%2f1&b=2", "a=***&b=2"),
            (r#"{"a": "top secret\/1"}"#, r#"{"a": "***"}"#),
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
