use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::redact::Finder;

/// Small pieces are put together up to this length before they are looked at: each look begins with what is held.
const LITTLE: usize = 8 << 10;

/// Hides the secrets that a response's body echoes: each of their bytes becomes a `*`, so that the body keeps its
/// length.
///
/// An API that sends back what it was sent, `https://httpbin.org/headers` for one, would tell the component what the
/// host keeps from it. Others write the key of a query into the address of the next page.
pub(crate) struct Mask {
    finder: Arc<Finder>,
    /// The end of what came so far, which may be the beginning of a secret.
    held: BytesMut,
    /// Whether something was added to it that nobody has looked at.
    unseen: bool,
    found: bool,
}

impl Mask {
    pub(crate) fn new(finder: Arc<Finder>) -> Self {
        Self {
            finder,
            held: BytesMut::new(),
            unseen: false,
            found: false,
        }
    }

    /// Takes the next piece of the body, and gives what can be passed on. That may be nothing.
    pub(crate) fn pass(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() {
            return self.look(piece);
        }
        self.held.extend_from_slice(&piece);
        self.unseen = true;
        match self.held.len() < LITTLE {
            true => Bytes::new(),
            false => self.pause(),
        }
    }

    /// What can be passed on of small pieces when nothing more comes for now. That may be nothing.
    pub(crate) fn pause(&mut self) -> Bytes {
        match std::mem::take(&mut self.unseen) {
            true => {
                let held = self.held.split().freeze();
                self.look(held)
            }
            false => Bytes::new(),
        }
    }

    /// What is left when the body has ended.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.unseen = false;
        let held = self.held.split().freeze();
        let found = self.finder.find(&held);
        self.without(held, &found)
    }

    /// Whether [`rest`](Self::rest) would give something.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether a secret was found.
    pub(crate) fn found(&self) -> bool {
        self.found
    }

    /// Keeps back the end of the bytes where a secret may have begun. One that is there as a whole is passed on as a whole.
    fn look(&mut self, mut bytes: Bytes) -> Bytes {
        let (mut found, open) = self.finder.look(&bytes);
        let open = open.max(bytes.len().saturating_sub(self.finder.longest_spelling()));
        found.retain(|found| found.start < open);
        let end = found.last().map_or(open, |last| last.end.max(open));
        self.held.extend_from_slice(&bytes.split_off(end));
        self.without(bytes, &found)
    }

    fn without(&mut self, bytes: Bytes, found: &[Range<usize>]) -> Bytes {
        if found.is_empty() {
            return bytes;
        }
        self.found = true;
        let mut masked = Vec::from(bytes);
        for found in found {
            if let Some(secret) = masked.get_mut(found.clone()) {
                secret.fill(b'*');
            }
        }
        masked.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Redactor;

    fn mask(secrets: &[&str]) -> Mask {
        let redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(secret));
        Mask::new(redactor.finder().unwrap())
    }

    fn through(mask: &mut Mask, pieces: &[&[u8]]) -> String {
        let mut all = vec![];
        for (number, piece) in pieces.iter().enumerate() {
            all.extend(mask.pass(Bytes::copy_from_slice(piece)));
            if number % 2 == 1 {
                all.extend(mask.pause());
            }
        }
        assert!(mask.holds() || mask.rest().is_empty());
        all.extend(mask.rest());
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_secret_is_hidden_however_the_body_is_cut() {
        let body = b"x hush-hush-1, hush-hush-12 and hush-hush-; abcabcabcabX abcabcabcabcX hush-hush-1";
        let hidden = "x ***********, ************ and hush-hush-; abcabcabcabX ************* ***********";
        let secrets = ["hush-hush-1", "hush-hush-12", "abcabcabcabcX"];
        for first in 0..body.len() {
            for second in first..body.len() {
                let pieces = [&body[..first], &body[first..second], &body[second..]];
                let mut mask = mask(&secrets);
                assert_eq!(through(&mut mask, &pieces), hidden, "cut at {first} and {second}");
                assert!(mask.found());
            }
        }
        let single: Vec<_> = body.chunks(1).collect();
        assert_eq!(through(&mut mask(&secrets), &single), hidden);
    }

    #[test]
    fn what_holds_no_secret_is_passed_on_as_it_is() {
        let mut mask = mask(&["hush-hush", "tell no one"]);
        let piece = Bytes::from_static(b"a page of rows, hus");
        let passed = mask.pass(piece.clone());
        assert_eq!(passed, "a page of rows, ");
        assert_eq!(passed.as_ptr(), piece.as_ptr(), "it is not copied");
        assert_eq!(mask.pass(Bytes::from_static(b"band")), "");
        assert_eq!(mask.pause(), "husband");
        assert!(!mask.holds() && !mask.found() && mask.pause().is_empty());
    }

    #[test]
    fn a_secret_is_hidden_however_it_is_escaped_and_cut() {
        let secret = "q<\"&'+/ =z9";
        let body = [
            r#"{"a": "q<\"&'+\/ =z9", "#,
            r#""b": "q\u003c\"\u0026\u0027\u002B/ \u003Dz9", "#,
            "<p>q&lt;&#34;&amp;&#39;&#43;&#x2f; &#61;z9</p>",
            "?x=q%3C%22%26%27%2B%2F+%3dz9&y=q%253C%2522%2526%2527%252B%252F%2520%253Dz9, ",
            r#"q&lt;\&quot;&amp;\u0027+/&#32;=z9 and q\x3c\x22\x26\'\x2b\/ \x3dz9."#,
        ]
        .concat();
        let whole = through(&mut mask(&[secret]), &[body.as_bytes()]);
        assert_eq!(whole.len(), body.len());
        assert!(!whole.contains("z9") && !whole.contains("q<"), "{whole}");
        assert_eq!(
            whole.matches("=*").count() + whole.matches("\"*").count(),
            4,
            "{whole}"
        );
        for length in 1..40 {
            let pieces: Vec<_> = body.as_bytes().chunks(length).collect();
            assert_eq!(
                through(&mut mask(&[secret]), &pieces),
                whole,
                "pieces of {length}"
            );
        }
    }

    #[test]
    fn what_might_become_an_escape_for_ever_is_let_go() {
        let mut mask = mask(&["%%%%%%%%"]);
        let endless = Bytes::from_static(b"%25252525252525252525252525252525");
        let mut passed = 0;
        for _ in 0..2_000 {
            passed += mask.pass(endless.clone()).len() + mask.pause().len();
        }
        assert!(passed > 2_000 * endless.len() - LITTLE, "{passed}");
    }

    #[test]
    fn a_word_or_a_number_by_chance_is_no_secret() {
        let redactor = Redactor::default();
        redactor.add("1234567");
        assert!(redactor.finder().is_none());
    }
}
