//! From the bytes of a body to text.

/// The same without its byte order mark, which a body may have in UTF-8, and in UTF-8 where its mark is one of UTF-16.
/// Whether the rest is UTF-8 is not looked at.
pub(super) fn without_mark(mut body: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match body.as_slice() {
        [0xff, 0xfe, pairs @ ..] => utf8(pairs, u16::from_le_bytes),
        [0xfe, 0xff, pairs @ ..] => utf8(pairs, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => {
            body.drain(..3);
            Ok(body)
        }
        _ => Ok(body),
    }
}

fn utf8(body: &[u8], number: fn([u8; 2]) -> u16) -> Result<Vec<u8>, &'static str> {
    let (pairs, rest) = body.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|pair| number(*pair))).collect::<Result<String, _>>();
    let text = text.ok().filter(|_| rest.is_empty());
    text.map(String::into_bytes)
        .ok_or("a body that is not UTF-16, as its byte order mark says")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_byte_order_mark_says_what_follows_and_is_no_text() {
        let utf16 = |mark: char, bytes: fn(u16) -> [u8; 2]| {
            let units = std::iter::once(mark)
                .chain("[\"ä\u{1f600}\"]".chars())
                .collect::<String>();
            units.encode_utf16().flat_map(bytes).collect::<Vec<_>>()
        };
        for body in [
            "[\"ä\u{1f600}\"]".as_bytes().to_vec(),
            "\u{feff}[\"ä\u{1f600}\"]".as_bytes().to_vec(),
            utf16('\u{feff}', u16::to_le_bytes),
            utf16('\u{feff}', u16::to_be_bytes),
        ] {
            assert_eq!(without_mark(body).unwrap(), "[\"ä\u{1f600}\"]".as_bytes());
        }
        assert_eq!(without_mark(vec![]).unwrap(), b"");
    }

    #[test]
    fn a_mark_that_is_not_true_is_an_error() {
        for body in [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8"] {
            let error = without_mark(body.to_vec()).unwrap_err();
            assert_eq!(error, "a body that is not UTF-16, as its byte order mark says");
        }
    }
}
