//! Undoes the ways in which one text is written inside another: URLs, JSON, scripts, HTML, and one in the other.
//!
//! A secret that comes back is looked for behind these, because there is no list of all spellings: who escapes what, in
//! which case and how often is up to the library that a remote uses.

use std::ops::Range;

use memchr::memchr3;

/// How often escapes are undone that come out of escapes. Redirects inside queries inside pages need three.
const MAX_LAYERS: usize = 3;
/// The longest escape: `\ud83d\ude00`, `&#x0000002b;`.
pub(super) const LONGEST: usize = 12;

/// A text with its escapes undone once, and where each byte came from.
pub(super) struct Layer {
    text: Vec<u8>,
    /// In order; the first one is at 0.
    pieces: Vec<Piece>,
    /// The length of what it was made from.
    from: usize,
}

/// Bytes of a layer up to the next piece: as they were, or all of one escape.
struct Piece {
    at: usize,
    from: usize,
    escape: bool,
}

impl Layer {
    /// The text behind one layer of escapes. `None` if it has none.
    fn of(text: &[u8]) -> Option<Self> {
        let mut layer = Self {
            text: vec![],
            pieces: vec![],
            from: text.len(),
        };
        let (mut copied, mut at) = (0, 0);
        while let Some(found) = text.get(at..).and_then(|rest| memchr3(b'%', b'\\', b'&', rest)) {
            let start = at + found;
            let mut plain = [0; 4];
            let Some((length, written)) = undo(text.get(start..).unwrap_or_default(), &mut plain) else {
                at = start + 1;
                continue;
            };
            if layer.text.capacity() == 0 {
                layer.text.reserve(text.len());
            }
            layer.copy(text, copied..start);
            layer.pieces.push(Piece {
                at: layer.text.len(),
                from: start,
                escape: true,
            });
            layer
                .text
                .extend_from_slice(plain.get(..written).unwrap_or_default());
            (copied, at) = (start + length, start + length);
        }
        if layer.pieces.is_empty() {
            return None;
        }
        layer.copy(text, copied..text.len());
        Some(layer)
    }

    fn copy(&mut self, text: &[u8], range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(Piece {
                at: self.text.len(),
                from: range.start,
                escape: false,
            });
            self.text.extend_from_slice(text.get(range).unwrap_or_default());
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where a byte of this layer begins in what it was made from.
    fn start(&self, at: usize) -> usize {
        match self.piece(at) {
            Some((piece, _)) if piece.escape => piece.from,
            Some((piece, _)) => piece.from + (at - piece.at),
            None => self.from,
        }
    }

    /// Where a byte of this layer ends in what it was made from.
    fn end(&self, at: usize) -> usize {
        match self.piece(at) {
            Some((piece, next)) if piece.escape => next.map_or(self.from, |next| next.from),
            Some((piece, _)) => piece.from + (at - piece.at) + 1,
            None => self.from,
        }
    }

    fn piece(&self, at: usize) -> Option<(&Piece, Option<&Piece>)> {
        if at >= self.text.len() {
            return None;
        }
        let behind = self.pieces.partition_point(|piece| piece.at <= at);
        let piece = self.pieces.get(behind.checked_sub(1)?)?;
        Some((piece, self.pieces.get(behind)))
    }
}

/// The layers below a text, each made from the one before it. None for a text without escapes.
pub(super) fn layers(text: &[u8]) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![];
    while layers.len() < MAX_LAYERS
        && let Some(next) = Layer::of(layers.last().map_or(text, Layer::text))
    {
        layers.push(next);
    }
    layers
}

/// Where bytes of a layer, the last one of these, stand in the text itself.
pub(super) fn origin(layers: &[Layer], range: Range<usize>) -> Range<usize> {
    layers.iter().rev().fold(range, |range, layer| {
        layer.start(range.start)..layer.end(range.end.saturating_sub(1).max(range.start))
    })
}

/// Where a place of a layer, the last one of these, stands in the text itself.
pub(super) fn origin_of(layers: &[Layer], at: usize) -> usize {
    layers.iter().rev().fold(at, |at, layer| layer.start(at))
}

/// Where an escape may have begun that is not over yet.
pub(super) fn unfinished(text: &[u8]) -> impl Iterator<Item = usize> {
    let from = text.len().saturating_sub(LONGEST);
    let tail = text.get(from..).unwrap_or_default().iter().enumerate();
    tail.filter(|(_, byte)| matches!(byte, b'%' | b'\\' | b'&'))
        .map(move |(at, _)| from + at)
}

/// The escape that a text begins with: its length, and the length of what it stands for.
fn undo(text: &[u8], plain: &mut [u8; 4]) -> Option<(usize, usize)> {
    match text {
        [b'%', high, low, ..] => {
            plain[0] = hexadecimal(&[*high, *low])? as u8;
            Some((3, 1))
        }
        [b'\\', b'u', b'{', rest @ ..] => {
            let digits = rest.iter().take(7).position(|byte| *byte == b'}')?;
            let character = char::from_u32(hexadecimal(rest.get(..digits)?)?)?;
            Some((digits + 4, character.encode_utf8(plain).len()))
        }
        [b'\\', b'u', rest @ ..] => {
            let first = hexadecimal(rest.get(..4)?)?;
            if let Some(character) = char::from_u32(first) {
                return Some((6, character.encode_utf8(plain).len()));
            }
            let second = rest.get(4..10)?.strip_prefix(b"\\u")?;
            let pair = [first as u16, hexadecimal(second)? as u16];
            let character = char::decode_utf16(pair).next()?.ok()?;
            Some((12, character.encode_utf8(plain).len()))
        }
        [b'\\', b'x', high, low, ..] => {
            plain[0] = hexadecimal(&[*high, *low])? as u8;
            Some((4, 1))
        }
        [b'\\', sign, ..] if sign.is_ascii_punctuation() => {
            plain[0] = *sign;
            Some((2, 1))
        }
        [b'&', rest @ ..] => {
            let length = rest.iter().take(LONGEST - 1).position(|byte| *byte == b';')?;
            let character = match rest.get(..length)? {
                [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hexadecimal(digits)?)?,
                [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
                name => named(name)?,
            };
            Some((length + 2, character.encode_utf8(plain).len()))
        }
        _ => None,
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The names that HTML has for signs of ASCII.
fn named(name: &[u8]) -> Option<char> {
    const NAMES: [(&str, char); 37] = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("AMP", '&'),
        ("LT", '<'),
        ("GT", '>'),
        ("QUOT", '"'),
        ("excl", '!'),
        ("num", '#'),
        ("dollar", '$'),
        ("percnt", '%'),
        ("lpar", '('),
        ("rpar", ')'),
        ("ast", '*'),
        ("plus", '+'),
        ("comma", ','),
        ("period", '.'),
        ("sol", '/'),
        ("colon", ':'),
        ("semi", ';'),
        ("equals", '='),
        ("quest", '?'),
        ("commat", '@'),
        ("lsqb", '['),
        ("lbrack", '['),
        ("bsol", '\\'),
        ("rsqb", ']'),
        ("rbrack", ']'),
        ("Hat", '^'),
        ("lowbar", '_'),
        ("grave", '`'),
        ("lcub", '{'),
        ("lbrace", '{'),
        ("verbar", '|'),
        ("rcub", '}'),
    ];
    let found = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
    found.map(|(_, sign)| *sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(text: &str) -> String {
        let layers = layers(text.as_bytes());
        let plain = layers.last().map_or(text.as_bytes(), Layer::text);
        String::from_utf8(plain.to_vec()).unwrap()
    }

    #[test]
    fn every_kind_of_escape_is_undone() {
        for (text, plain) in [
            ("a%2fb%2Fc", "a/b/c"),
            (
                r#"\"\/\\\'\u002b\u002B\x2b\u{2b}\ud83d\ude00"#,
                "\"/'++++\u{1f600}",
            ),
            (
                "&lt;&#43;&#x2B;&#x2b;&amp;&quot;&apos;&#39;&#039;&plus;",
                "<+++&\"'''+",
            ),
            ("%C3%A4 \\u00e4 &#228;", "ä ä ä"),
            // One inside the other.
            ("%252F &amp;#43; \\\\u002b %26%2343%3B %5Cu002b", "/ + + + +"),
        ] {
            assert_eq!(undone(text), plain, "{text}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in [
            "100 % of it, a\\nb, \\u12, %4, %zz, &, &nbsp;, &#;, &#xfffffff;, \\ud83d, \\u{}, \\",
            "",
            "%",
            "&amp",
        ] {
            assert_eq!(undone(text), text);
        }
    }

    #[test]
    fn each_byte_knows_where_it_came_from() {
        let text = b"x%2541\\u0042&lt;y";
        let layers = layers(text);
        assert_eq!(layers.len(), 2);
        assert_eq!(layers[1].text(), b"xAB<y");
        let places = (0..5).map(|at| origin(&layers, at..at + 1)).collect::<Vec<_>>();
        assert_eq!(places, [0..1, 1..6, 6..12, 12..16, 16..17]);
        assert_eq!(origin(&layers, 1..4), 1..16);
        assert_eq!((origin_of(&layers, 2), origin_of(&layers, 5)), (6, text.len()));
    }
}
