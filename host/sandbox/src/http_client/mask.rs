use std::sync::Arc;

use bytes::Bytes;

use crate::redact::Finder;

/// Hides the secrets that a response's body echoes: each of their bytes becomes a `*`, so that the body keeps its
/// length.
///
/// An API that sends back what it was sent, `https://httpbin.org/headers` for one, would tell the component what the
/// host keeps from it. Others write the key of a query into the address of the next page.
pub(crate) struct Mask {
    finder: Arc<Finder>,
    /// The end of what came so far, which may be the beginning of a secret.
    held: Bytes,
    found: bool,
}

impl Mask {
    pub(crate) fn new(finder: Arc<Finder>) -> Self {
        Self {
            finder,
            held: Bytes::new(),
            found: false,
        }
    }

    /// Takes the next piece of the body, and gives what can be passed on. That may be nothing.
    pub(crate) fn pass(&mut self, piece: Bytes) -> Bytes {
        let mut whole = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held), piece].concat().into(),
        };
        let open = whole.len() - self.finder.begun_at_the_end(&whole);
        let (masked, end) = self.masked(&whole, open);
        self.held = whole.split_off(end);
        masked.unwrap_or(whole)
    }

    /// What is left when the body has ended.
    pub(crate) fn rest(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        let (masked, _) = self.masked(&held, held.len());
        masked.unwrap_or(held)
    }

    /// Whether [`rest`](Self::rest) would give something.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether a secret was found.
    pub(crate) fn found(&self) -> bool {
        self.found
    }

    /// The bytes up to `open` without the secrets that begin there, if there are any, and where those bytes end: a
    /// secret that begins before `open` belongs to them as a whole.
    fn masked(&mut self, bytes: &[u8], open: usize) -> (Option<Bytes>, usize) {
        let mut end = open;
        let mut masked: Option<Vec<u8>> = None;
        for found in self.finder.find(bytes).take_while(|found| found.start < open) {
            let masked = masked.get_or_insert_with(|| bytes.to_vec());
            if let Some(secret) = masked.get_mut(found.clone()) {
                secret.fill(b'*');
            }
            end = end.max(found.end);
        }
        self.found |= masked.is_some();
        let masked = masked.map(|mut masked| {
            masked.truncate(end);
            masked.into()
        });
        (masked, end)
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
        for piece in pieces {
            all.extend(mask.pass(Bytes::copy_from_slice(piece)));
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
        assert_eq!(mask.pass(Bytes::from_static(b"band")), "husband");
        assert!(!mask.holds() && !mask.found());
    }

    #[test]
    fn a_word_or_a_number_by_chance_is_no_secret() {
        let redactor = Redactor::default();
        redactor.add("1234567");
        assert!(redactor.finder().is_none());
    }
}
