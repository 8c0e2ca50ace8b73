use std::fmt;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

/// A secret that is shorter, in bytes, can't be told from ordinary words in what an API sends, and is not redacted there.
pub const MIN_REDACTED_BYTES: usize = 8;

/// A text that is shown to nobody but whom it is for, and what of it is secret. `Debug` and `Display` print `***`.
///
/// One that is made from a text alone is secret as a whole. One that is put together knows its parts, each of which a
/// remote may give back without the rest.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
struct Part {
    place: String,
    text: String,
}

impl Secret {
    /// Adds text that is no secret.
    pub fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a secret that was found at a place, `${env:TOKEN}` for example, which may be shown.
    pub fn push_secret(&mut self, place: &str, text: &str) {
        self.text.push_str(text);
        self.parts.push(Part {
            place: place.to_owned(),
            text: text.to_owned(),
        });
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The same secret after a text that is none.
    pub(crate) fn with_prefix(&self, text: &str) -> Self {
        Self {
            text: format!("{text}{}", self.text),
            parts: match self.parts.is_empty() {
                true => vec![Part {
                    place: String::new(),
                    text: self.text.clone(),
                }],
                false => self.parts.clone(),
            },
        }
    }

    /// Every text that must be redacted: the whole, its parts, and the pieces into which a remote splits cookies,
    /// parameters or Basic credentials.
    pub fn redacted_texts(&self) -> Vec<String> {
        let mut secrets = self.redacted_parts();
        let pieces = pieces(&self.text);
        match self.parts.is_empty() {
            true => secrets.extend(pieces),
            // The others are what stands in the open in the pipeline file.
            false => secrets.extend(pieces.into_iter().filter(|piece| {
                self.parts
                    .iter()
                    .any(|part| !part.text.is_empty() && piece.contains(&part.text))
            })),
        }
        secrets.push(self.text.clone());
        secrets
    }

    /// The same of a text that is no secret as a whole, as names are.
    pub fn redacted_parts(&self) -> Vec<String> {
        let of_part = |part: &Part| {
            let mut secrets = pieces(&part.text);
            secrets.push(part.text.clone());
            secrets
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Where the parts are from that are shorter than [`MIN_REDACTED_BYTES`]; an empty name for the whole text.
    pub fn too_short(&self) -> Vec<&str> {
        let short = |text: &str| text.len() < MIN_REDACTED_BYTES;
        match self.parts.is_empty() {
            true if short(&self.text) => vec![""],
            true => vec![],
            false => {
                let parts = self.parts.iter().filter(|part| short(&part.text));
                parts.map(|part| part.place.as_str()).collect()
            }
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self { text, parts: vec![] }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a remote that understands a text may give back of it: what stands behind the name of a scheme, the values of
/// cookies and parameters, what Base64 stands for, and what stands behind a user's name and a colon.
fn pieces(text: &str) -> Vec<String> {
    let mut found = vec![];
    let text = text.trim();
    let bare = match text.split_once(' ') {
        Some((scheme, rest)) if is_token(scheme) => rest.trim(),
        _ => text,
    };
    found.push(bare.to_owned());
    for pair in bare.split([';', ',', '&', ' ']) {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        // The signs at the end of Base64 are no value.
        if is_token(name.trim()) && !value.trim_matches('=').is_empty() {
            found.push(value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    let values: Vec<_> = std::iter::once(bare.to_owned())
        .chain(found.iter().cloned())
        .collect();
    for value in values {
        if let Some((_, behind)) = value.split_once(':')
            && !behind.starts_with("//")
        {
            found.push(behind.to_owned());
        }
        if let Some(decoded) = decoded(&value) {
            if let Some((user, password)) = decoded.split_once(':') {
                found.extend([user.to_owned(), password.to_owned()]);
            }
            found.push(decoded);
        }
    }
    found.retain(|piece| !piece.is_empty() && piece != text);
    found
}

/// What a text stands for that is Base64 of a text.
fn decoded(text: &str) -> Option<String> {
    let engines = [
        BASE64_STANDARD,
        BASE64_STANDARD_NO_PAD,
        BASE64_URL_SAFE,
        BASE64_URL_SAFE_NO_PAD,
    ];
    let bytes = engines.iter().find_map(|engine| engine.decode(text).ok())?;
    let decoded = String::from_utf8(bytes).ok()?;
    (!decoded.is_empty() && !decoded.contains(char::is_control)).then_some(decoded)
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_parts(parts: &[(&str, &str)]) -> Secret {
        let mut secret = Secret::default();
        for (place, text) in parts {
            match place.is_empty() {
                true => secret.push_text(text),
                false => secret.push_secret(place, text),
            }
        }
        secret
    }

    fn holds(secret: &Secret, wanted: &[&str]) -> bool {
        let secrets = secret.redacted_texts();
        wanted
            .iter()
            .all(|wanted| secrets.iter().any(|secret| secret == wanted))
    }

    #[test]
    fn each_part_is_a_secret_of_its_own_and_so_is_what_is_made_of_it() {
        let cookies = of_parts(&[
            ("", "session="),
            ("${env:S}", "s-secret"),
            ("", "; csrf=pre-"),
            ("${env:C}", "c-secret"),
            ("", "; lang=en-GB-oxendict"),
        ]);
        assert!(holds(&cookies, &["s-secret", "c-secret", "pre-c-secret"]));
        assert!(holds(
            &cookies,
            &["session=s-secret; csrf=pre-c-secret; lang=en-GB-oxendict"]
        ));
        assert!(!holds(&cookies, &["en-GB-oxendict"]), "it stands in the file");
        let token = of_parts(&[("", "Token token=\""), ("${env:K}", "k-secret"), ("", "\"")]);
        assert!(holds(&token, &["k-secret", "token=\"k-secret\""]));
    }

    #[test]
    fn what_a_remote_takes_to_pieces_is_known_in_pieces() {
        for (text, wanted) in [
            ("session=abc123; csrf=def456", &["abc123", "def456"][..]),
            ("Digest username=\"me\", response=\"0f1e\"", &["me", "0f1e"]),
            (
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                &["Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
            ),
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ", &["open sesame"]),
            ("bot12345:AAE-telegram", &["AAE-telegram"]),
            ("key=a%2Fb&sig=x==", &["a%2Fb", "x=="]),
        ] {
            assert!(
                holds(&text.into(), wanted),
                "{text}: {:?}",
                Secret::from(text).redacted_texts()
            );
        }
        let plain = Secret::from("n33dle-in-no-other-place");
        assert_eq!(plain.redacted_texts(), ["n33dle-in-no-other-place"]);
        assert!(of_parts(&[("", "me")]).redacted_parts().is_empty());
    }

    #[test]
    fn what_is_too_short_is_named_and_not_shown() {
        let secret = of_parts(&[("${env:S}", "1234567"), ("", "; "), ("${env:C}", "12345678")]);
        assert_eq!(secret.too_short(), ["${env:S}"]);
        assert_eq!(Secret::from("1234567").too_short(), [""]);
        assert!(Secret::from("12345678").too_short().is_empty());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    }
}
