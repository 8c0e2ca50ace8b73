use bytes::Bytes;
use encoding_rs::{DecoderResult, Encoding, REPLACEMENT, UTF_8};

/// Turns the text of a body into UTF-8, piece by piece, where its `content-type` names another charset.
///
/// It is done before a body is searched for secrets, which would not be found in another charset, and before the component,
/// which then needs to know one charset alone.
pub(crate) struct Charset {
    encoding: &'static Encoding,
    decoder: encoding_rs::Decoder,
    /// For JSON, which has no charset but UTF-8 by its standard, a charset of single bytes is often a default that is not
    /// true. The first bytes that are not ASCII decide.
    decided: bool,
    utf8: bool,
    /// The beginning of what decides.
    held: Vec<u8>,
}

impl Charset {
    /// What has to be done for the value of a `content-type` header, and the value that is true behind it. `None` for UTF-8,
    /// for what is no text, and for charsets that nobody knows.
    pub(crate) fn of(content_type: &str) -> Option<(Self, String)> {
        let mut parts = content_type.split(';');
        let kind = parts.next()?.trim().to_ascii_lowercase();
        if !is_text(&kind) {
            return None;
        }
        let (mut encoding, mut value) = (None, kind.clone());
        for part in parts {
            match part.split_once('=') {
                Some((name, label)) if name.trim().eq_ignore_ascii_case("charset") => {
                    let label = label.trim().trim_matches(['"', '\'']);
                    encoding = encoding.or_else(|| Encoding::for_label(label.as_bytes()));
                }
                _ => value.push_str(&format!(";{part}")),
            }
        }
        let encoding = encoding.filter(|encoding| *encoding != UTF_8 && *encoding != REPLACEMENT)?;
        let charset = Self {
            encoding,
            decoder: encoding.new_decoder(),
            decided: !(kind.contains("json") && encoding.is_single_byte()),
            utf8: false,
            held: vec![],
        };
        Some((charset, format!("{value}; charset=utf-8")))
    }

    /// The next piece in UTF-8. That may be nothing.
    ///
    /// # Errors
    /// It is not in this charset, in words.
    pub(crate) fn decode(&mut self, piece: Bytes, last: bool) -> Result<Bytes, String> {
        let piece = match self.held.is_empty() {
            true => piece,
            false => [std::mem::take(&mut self.held).as_slice(), &piece]
                .concat()
                .into(),
        };
        if !self.decided {
            let Some(at) = piece.iter().position(|byte| !byte.is_ascii()) else {
                return Ok(piece);
            };
            let rest = piece.get(at..).unwrap_or_default();
            match std::str::from_utf8(rest) {
                Err(e) if e.valid_up_to() == 0 && e.error_len().is_none() && !last => {
                    self.held = rest.to_vec();
                    return Ok(piece.slice(..at));
                }
                Err(e) if e.valid_up_to() == 0 => {}
                _ => self.utf8 = true,
            }
            self.decided = true;
        }
        if self.utf8 {
            return Ok(piece);
        }
        let max = self
            .decoder
            .max_utf8_buffer_length_without_replacement(piece.len());
        let mut text = vec![0; max.unwrap_or_default()];
        match self
            .decoder
            .decode_to_utf8_without_replacement(&piece, &mut text, last)
        {
            (DecoderResult::InputEmpty, _, written) => {
                text.truncate(written);
                Ok(text.into())
            }
            _ => Err(format!(
                "its body is not in the charset {}, as its content-type says",
                self.encoding.name()
            )),
        }
    }
}

/// Whether a type is one of text, which a charset is meant for.
fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || [
            "json",
            "xml",
            "javascript",
            "csv",
            "yaml",
            "urlencoded",
            "graphql",
        ]
        .iter()
        .any(|part| kind.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(content_type: &str, body: &[u8], piece: usize) -> Result<String, String> {
        let (mut charset, _) = Charset::of(content_type).unwrap();
        let mut text = vec![];
        for piece in body.chunks(piece) {
            text.extend(charset.decode(Bytes::copy_from_slice(piece), false)?);
        }
        text.extend(charset.decode(Bytes::new(), true)?);
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn each_charset_becomes_utf_8_however_the_body_is_cut() {
        for (label, text) in [
            ("iso-8859-1", "[\"Zürich, naïve\"]"),
            ("windows-1251", "[\"Привет\"]"),
            ("Shift_JIS", "[\"日本語テキスト\"]"),
            ("\"gbk\"", "[\"中文\"]"),
            ("euc-kr", "[\"한국어\"]"),
            ("iso-2022-jp", "[\"日本\"]"),
        ] {
            let encoding = Encoding::for_label(label.trim_matches('"').as_bytes()).unwrap();
            let (coded, _, lost) = encoding.encode(text);
            assert!(!lost);
            for piece in [1, 2, 3, 100] {
                let kind = format!("application/json;charset={label}");
                assert_eq!(decode(&kind, &coded, piece).as_deref(), Ok(text), "{label}");
            }
        }
        for (label, bytes) in [
            ("utf-16le", &[b'[', 0, 0xe4, 0, b']', 0][..]),
            ("utf-16", &[0xfe, 0xff, 0, b'[', 0, 0xe4, 0, b']']),
            ("UTF-16", &[0xff, 0xfe, b'[', 0, 0xe4, 0, b']', 0]),
        ] {
            for piece in [1, 3, 100] {
                let kind = format!("text/plain; charset={label}; x=y");
                assert_eq!(decode(&kind, bytes, piece).as_deref(), Ok("[ä]"), "{label}");
            }
        }
    }

    #[test]
    fn what_is_true_of_the_text_stands_in_its_type() {
        let value = |content_type| Charset::of(content_type).map(|(_, value)| value);
        assert_eq!(
            value("Application/JSON; CharSet=\"latin1\"; profile=x").as_deref(),
            Some("application/json; profile=x; charset=utf-8")
        );
        for other in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json; charset=UTF8",
            "application/json; charset=utf-32",
            "application/json; charset=hz-gb-2312",
            "application/octet-stream; charset=latin1",
            "image/png; charset=latin1",
            "",
        ] {
            assert_eq!(value(other), None, "{other}");
        }
    }

    #[test]
    fn json_that_is_utf_8_whatever_its_label_says_stays_as_it_is() {
        let text = "[\"Zürich\"]";
        for piece in [1, 2, 100] {
            let kind = "application/json; charset=ISO-8859-1";
            assert_eq!(decode(kind, text.as_bytes(), piece).as_deref(), Ok(text));
        }
        // Other text is what its label says.
        let (coded, _, _) = encoding_rs::WINDOWS_1252.encode("ZÃ¼rich");
        assert_eq!(
            decode("text/csv; charset=latin1", &coded, 100).as_deref(),
            Ok("ZÃ¼rich")
        );
    }

    #[test]
    fn what_is_not_in_its_charset_is_an_error_that_names_it() {
        for (kind, body) in [
            ("text/plain; charset=utf-16le", &[b'a', 0, 0][..]),
            ("text/plain; charset=euc-jp", &[0xff]),
            ("text/plain; charset=shift_jis", &[0x81]),
        ] {
            let error = decode(kind, body, 100).unwrap_err();
            assert!(error.starts_with("its body is not in the charset "), "{error}");
        }
    }
}
