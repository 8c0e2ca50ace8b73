mod escapes;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, Input, MatchKind};
use http::{HeaderMap, HeaderValue};
use sandbar_policy::MIN_REDACTED_BYTES;

/// Replaces the secrets of one pipeline in texts that are about to be shown.
///
/// A remote may echo what it was sent, and a component may repeat what the remote said.
#[derive(Clone, Debug, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    lasting: Vec<String>,
    passing: VecDeque<String>,
    /// Of what is known now, once somebody asks.
    finders: Option<Finders>,
    echoed: bool,
}

#[derive(Clone)]
struct Finders {
    /// Of every secret.
    all: Option<Arc<Finder>>,
    /// Of those that are no word or number by chance.
    unmistakable: Option<Arc<Finder>>,
}

/// Finds secrets in bytes, as they are and behind escapes of any kind.
pub(crate) struct Finder {
    patterns: Vec<Vec<u8>>,
    /// Which bytes a pattern begins with.
    first: [bool; 256],
    automaton: AhoCorasick,
    longest: usize,
}

/// Anything shorter would be found in ordinary words.
const SHORTEST: usize = 4;
/// Tokens that were fetched: the newest ones can still be of use to someone.
const PASSING: usize = 512;

impl Redactor {
    /// Adds a secret that stands in the pipeline's configuration.
    pub fn add(&self, secret: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.lasting.iter().any(|old| old == secret) {
            known.lasting.push(secret.to_owned());
            known.finders = None;
        }
    }

    /// Adds a secret that was fetched and will be replaced.
    pub(crate) fn add_passing(&self, secret: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.passing.iter().any(|old| old == secret) {
            known.passing.push_front(secret.to_owned());
            known.passing.truncate(PASSING);
            known.finders = None;
        }
    }

    /// The text with every secret replaced by `***`.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(finder) = self.finders().all else {
            return Cow::Borrowed(text);
        };
        let found = finder.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut hidden, mut shown) = (vec![], 0);
        for range in found {
            hidden.extend_from_slice(text.as_bytes().get(shown..range.start).unwrap_or_default());
            hidden.extend_from_slice(b"***");
            shown = range.end;
        }
        hidden.extend_from_slice(text.as_bytes().get(shown..).unwrap_or_default());
        Cow::Owned(String::from_utf8_lossy(&hidden).into_owned())
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
    pub fn finds(&self, text: &str) -> bool {
        let found = self.finder();
        found.is_some_and(|finder| !finder.find(text.as_bytes()).is_empty())
    }

    /// What finds the secrets that are known now and are no word or number by chance; none if there are none.
    pub(crate) fn finder(&self) -> Option<Arc<Finder>> {
        self.finders().unmistakable
    }

    fn finders(&self) -> Finders {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(finders) = &known.finders {
            return finders.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let of = |shortest| {
            let all = known.lasting.iter().chain(&known.passing);
            Finder::of(all.filter(|secret| secret.len() >= shortest), shortest).map(Arc::new)
        };
        let finders = Finders {
            all: of(SHORTEST),
            unmistakable: of(MIN_REDACTED_BYTES),
        };
        known.finders = Some(finders.clone());
        finders
    }

    /// Notes that a remote echoed a secret. Says whether it is the first time.
    pub(crate) fn note_echo(&self) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut known.echoed, true)
    }
}

impl Finder {
    fn of<'a>(secrets: impl Iterator<Item = &'a String>, shortest: usize) -> Option<Self> {
        let mut patterns: Vec<_> = secrets.flat_map(|secret| patterns(secret)).collect();
        patterns.retain(|pattern| pattern.len() >= shortest);
        patterns.sort();
        patterns.dedup();
        let longest = patterns.iter().map(Vec::len).max()?;
        let mut first = [false; 256];
        for pattern in &patterns {
            let byte = pattern.first().copied().unwrap_or_default();
            first[usize::from(byte)] = true;
        }
        let kind = MatchKind::LeftmostLongest;
        Some(Self {
            automaton: AhoCorasick::builder().match_kind(kind).build(&patterns).ok()?,
            patterns,
            first,
            longest,
        })
    }

    /// Where secrets stand, in order and apart from each other. An escape belongs to what it stands for as a whole.
    pub(crate) fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        self.look(bytes).0
    }

    /// The same, and from where on the end may be the beginning of a secret.
    pub(crate) fn look(&self, bytes: &[u8]) -> (Vec<Range<usize>>, usize) {
        let layers = escapes::layers(bytes);
        let mut found = vec![];
        let mut open = bytes.len();
        for depth in 0..=layers.len() {
            let below = layers.get(..depth).unwrap_or_default();
            let text = below.last().map_or(bytes, escapes::Layer::text);
            let here = self.in_one(text);
            found.extend(here.into_iter().map(|range| escapes::origin(below, range)));
            open = open.min(escapes::origin_of(below, self.begun(text)));
        }
        (united(found), open)
    }

    /// Where patterns stand; those that overlap too.
    fn in_one(&self, text: &[u8]) -> Vec<Range<usize>> {
        let (mut found, mut from) = (vec![], 0);
        while let Some(next) = self.automaton.find(Input::new(text).range(from..)) {
            found.push(next.range());
            from = next.start() + 1;
        }
        found
    }

    /// From where on the end may be the beginning of a pattern, or of an escape.
    fn begun(&self, text: &[u8]) -> usize {
        let prefix = |end: usize| {
            let from = end.saturating_sub(self.longest - 1);
            let mut starts =
                (from..end).filter(|at| self.first[usize::from(text.get(*at).copied().unwrap_or_default())]);
            let begun = starts.find(|at| {
                let begun = text.get(*at..end).unwrap_or_default();
                let begins = |pattern: &Vec<u8>| pattern.len() > begun.len() && pattern.starts_with(begun);
                self.patterns.iter().any(begins)
            });
            begun.unwrap_or(end)
        };
        let ends = escapes::unfinished(text).chain([text.len()]);
        ends.map(prefix).min().unwrap_or(text.len())
    }

    /// The most that a beginning can be worth waiting for. Nobody escapes a text to more than this.
    pub(crate) fn longest_spelling(&self) -> usize {
        self.longest.saturating_mul(escapes::LONGEST) + escapes::LONGEST
    }
}

/// What is found of a secret: as it is, with `+` for spaces, with its own escapes undone, and in UTF-16.
fn patterns(secret: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![secret.as_bytes().to_vec(), secret.replace(' ', "+").into_bytes()];
    for at in 0..plain.len() {
        let layers = plain
            .get(at)
            .map(|text| escapes::layers(text))
            .unwrap_or_default();
        plain.extend(layers.iter().map(|layer| layer.text().to_vec()));
    }
    plain.push(secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
    plain.push(secret.encode_utf16().flat_map(u16::to_be_bytes).collect());
    plain
}

/// In order, with those made one that overlap.
fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = vec![];
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
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
