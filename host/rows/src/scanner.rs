use crate::fault::{Fault, Found, Result};

/// The deepest nesting of a text. What reads values goes by their schema, but what skips them needs a bound of its own.
const MAX_DEPTH: usize = 128;

/// A place in a JSON text (RFC 8259), and what can be read from there on.
///
/// The text is UTF-8 throughout, so that no string has to be checked by itself.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The first byte of a value, without the space before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// A string: a part of the text, or what its escapes stand for.
pub(crate) enum Text<'a, 'b> {
    Plain(&'a str),
    Unescaped(&'b str),
}

impl Text<'_, '_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

impl<'a> Scanner<'a> {
    /// Begins after a byte order mark, where there is one.
    pub(crate) fn new(text: &'a str) -> Self {
        let at = match text.starts_with('\u{feff}') {
            true => '\u{feff}'.len_utf8(),
            false => 0,
        };
        Self { text, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a place where a value began.
    pub(crate) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// The text between a place and this one.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// What begins here.
    pub(crate) fn kind(&mut self) -> Result<Kind> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.fault(Found::NoValue)),
        }
    }

    /// Whether nothing but space is left.
    pub(crate) fn is_end(&mut self) -> bool {
        self.skip_space();
        self.at >= self.text.len()
    }

    /// Takes one of the three words that JSON knows.
    pub(crate) fn word(&mut self, word: &str) -> Result<()> {
        let rest = self.bytes().get(self.at..).unwrap_or_default();
        match rest.starts_with(word.as_bytes()) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => Err(self.fault(Found::NoValue)),
        }
    }

    /// Takes an opening brace or bracket, or fails with what was expected.
    pub(crate) fn open(&mut self, open: u8, expected: Found) -> Result<()> {
        match self.byte() == Some(open) {
            true => {
                self.at += 1;
                Ok(())
            }
            false => Err(self.fault(expected)),
        }
    }

    /// Goes to the next element of an array: `false` at its end. `first` is whether none was taken yet.
    pub(crate) fn element(&mut self, first: bool) -> Result<bool> {
        self.more(first, b']', Found::NoElement)
    }

    /// Goes to the value of the next member of an object, and returns its name: `None` at the end.
    pub(crate) fn member<'b>(
        &mut self,
        first: bool,
        scratch: &'b mut String,
    ) -> Result<Option<Text<'a, 'b>>> {
        if !self.more(first, b'}', Found::NoMember)? {
            return Ok(None);
        }
        if self.byte() != Some(b'"') {
            return Err(self.fault(Found::NoMember));
        }
        let name = self.string(scratch)?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return Err(self.fault(Found::NoColon));
        }
        self.at += 1;
        self.skip_space();
        Ok(Some(name))
    }

    /// Takes a string. It is written into `scratch` only where it has escapes.
    #[inline]
    pub(crate) fn string<'b>(&mut self, scratch: &'b mut String) -> Result<Text<'a, 'b>> {
        let plain = self.plain();
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Text::Plain(plain));
        }
        scratch.clear();
        scratch.push_str(plain);
        self.unescape(|part| scratch.push_str(part))?;
        Ok(Text::Unescaped(scratch))
    }

    /// Takes a string part by part, as its escapes make them.
    #[inline]
    pub(crate) fn string_parts(&mut self, mut take: impl FnMut(&str)) -> Result<()> {
        let plain = self.plain();
        take(plain);
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(());
        }
        self.unescape(take)
    }

    /// Takes the beginning of a string, with its quote and up to the first byte that is not plain.
    #[inline]
    fn plain(&mut self) -> &'a str {
        self.at += 1;
        self.more_plain()
    }

    #[inline]
    fn more_plain(&mut self) -> &'a str {
        let start = self.at;
        self.at += plain_bytes(self.bytes().get(start..).unwrap_or_default());
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Takes a number, as it is written.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fault(Found::NoNumber)),
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(self.since(start))
    }

    /// Takes any value, and checks that it is one.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // One bit for each level: whether it is an object. The lowest is the innermost.
        let mut levels = 0_u128;
        let mut depth = 0_usize;
        let mut scratch = String::new();
        loop {
            match self.kind()? {
                kind @ (Kind::Object | Kind::Array) => {
                    if depth == MAX_DEPTH {
                        return Err(self.fault(Found::TooDeep));
                    }
                    self.at += 1;
                    depth += 1;
                    levels = levels << 1 | u128::from(kind == Kind::Object);
                    let is_there = match kind == Kind::Object {
                        true => self.member(true, &mut scratch)?.is_some(),
                        false => self.element(true)?,
                    };
                    if is_there {
                        continue;
                    }
                    (levels, depth) = (levels >> 1, depth - 1);
                }
                Kind::String => self.string_parts(|_| {})?,
                Kind::Number => self.number().map(drop)?,
                Kind::True => self.word("true")?,
                Kind::False => self.word("false")?,
                Kind::Null => self.word("null")?,
            }
            // A value has ended, and perhaps what it stands in.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let is_there = match levels & 1 == 1 {
                    true => self.member(false, &mut scratch)?.is_some(),
                    false => self.element(false)?,
                };
                if is_there {
                    break;
                }
                (levels, depth) = (levels >> 1, depth - 1);
            }
        }
    }

    /// A fault at this place. At the end of the text, what is missing is the rest.
    pub(crate) fn fault(&self, found: Found) -> Box<Fault> {
        let is_cut = self.at >= self.text.len() && found.is_of_syntax();
        Fault::new(self.at, if is_cut { Found::End } else { found })
    }

    /// A fault at the value that began at `start`.
    pub(crate) fn fault_at(&self, start: usize, found: Found) -> Box<Fault> {
        Fault::new(start, found)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    #[inline]
    fn more(&mut self, first: bool, close: u8, expected: Found) -> Result<bool> {
        self.skip_space();
        let byte = self.byte();
        if byte == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            if byte != Some(b',') {
                return Err(self.fault(expected));
            }
            self.at += 1;
            self.skip_space();
        }
        Ok(true)
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<()> {
        let start = self.at;
        self.digits();
        match self.at > start {
            true => Ok(()),
            false => Err(self.fault(Found::NoNumber)),
        }
    }

    /// Takes the rest of a string, from the first byte that is not plain.
    fn unescape(&mut self, mut take: impl FnMut(&str)) -> Result<()> {
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => take(self.escape()?.encode_utf8(&mut [0; 4])),
                Some(_) => return Err(self.fault(Found::ControlCharacter)),
                None => return Err(self.fault(Found::End)),
            }
            take(self.more_plain());
        }
    }

    fn escape(&mut self) -> Result<char> {
        let start = self.at;
        self.at += 1;
        let escaped = self.byte();
        self.at += 1;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode(start)?,
            _ => return Err(self.fault_at(start, Found::NoEscape)),
        })
    }

    /// The character of one or two `\u` escapes: above U+FFFF, one stands for half of it.
    fn unicode(&mut self, start: usize) -> Result<char> {
        let lone = Found::LoneSurrogate;
        let first = self.four_digits(start)?;
        let code = match first {
            0xD800..=0xDBFF => {
                let rest = self.bytes().get(self.at..).unwrap_or_default();
                if !rest.starts_with(b"\\u") {
                    return Err(self.fault_at(start, lone));
                }
                self.at += 2;
                let second = self.four_digits(start)?;
                match second {
                    0xDC00..=0xDFFF => 0x10000 + ((first - 0xD800) << 10 | (second - 0xDC00)),
                    _ => return Err(self.fault_at(start, lone)),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.fault_at(start, lone))
    }

    fn four_digits(&mut self, start: usize) -> Result<u32> {
        let digits = self.bytes().get(self.at..self.at + 4).unwrap_or_default();
        self.at += digits.len();
        let value = digits.iter().try_fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | digit)
        });
        let value = value.filter(|_| digits.len() == 4);
        value.ok_or_else(|| self.fault_at(start, Found::NoEscape))
    }
}

/// The bytes before the first quote, backslash or control character.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Sean Eron Anderson, "Bit Twiddling Hacks": a byte's highest bit is set where the byte is zero, or less than 32. A
        // borrow can set bits above the lowest that is right, so that one is.
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = is_zero(word ^ (ONES * b'"' as u64));
        let backslash = is_zero(word ^ (ONES * b'\\' as u64));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (quote | backslash | control) & TOPS;
        if hits != 0 {
            return index * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let is_plain = |byte: &&u8| !matches!(**byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str) -> std::result::Result<String, String> {
        let mut scratch = String::new();
        let mut scanner = Scanner::new(text);
        let string = scanner.string(&mut scratch).map_err(|fault| fault.to_string())?;
        Ok(string.as_str().to_owned())
    }

    #[test]
    fn plain_bytes_end_at_the_first_special_one_wherever_it_stands() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for before in 0..40 {
                for fill in [b'a', 0x20, b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xff] {
                    let mut bytes = vec![fill; 50];
                    bytes[before] = special;
                    bytes[before + 5] = b'"';
                    assert_eq!(
                        plain_bytes(&bytes),
                        before,
                        "{special} after {before} times {fill}"
                    );
                }
            }
        }
        assert_eq!(plain_bytes(&[b'a'; 50]), 50);
        assert_eq!(plain_bytes(b""), 0);
    }

    #[test]
    fn escapes_stand_for_characters() {
        assert_eq!(
            unescaped(r#""a\"\\\/\b\f\n\r\té""#).as_deref(),
            Ok("a\"\\/\u{8}\u{c}\n\r\té")
        );
        assert_eq!(
            unescaped("\"\\u00e9\\ud83d\\ude00\\u0000\"").as_deref(),
            Ok("é😀\0")
        );
        for (text, at) in [
            (r#""\ud83d""#, 1),
            (r#""\ud83dx""#, 1),
            (r#""\ude00""#, 1),
            (r#""ab\ud83d\n""#, 3),
            (r#""\u12""#, 1),
            (r#""\u+123""#, 1),
            (r#""\x""#, 1),
            ("\"a\nb\"", 2),
            ("\"abc", 4),
            ("\"abc\\", 4),
        ] {
            let fault = unescaped(text).unwrap_err();
            assert!(fault.ends_with(&format!("(byte {at})")), "{text}: {fault}");
        }
    }

    #[test]
    fn a_value_is_skipped_to_its_end_and_not_further() {
        let values = [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "12",
            "-1.5e+30",
            "1E9",
            "\"a\\\"b\"",
            "[]",
            "{}",
            "[1, [2], {}]",
            "{\"a\": {\"b\": [null, \"]\"]}, \"c\" : 1}",
            " [ ] ",
            "[{},{}]",
        ];
        for value in values {
            let text = format!("{value} ,");
            let mut scanner = Scanner::new(&text);
            scanner.skip().unwrap();
            assert_eq!(scanner.since(0).trim(), value.trim());
        }
        let none = [
            "",
            "nul",
            "tru",
            "-",
            "01x",
            "1.",
            ".5",
            "1e",
            "+1",
            "[1",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "NaN",
            "Infinity",
            "'a'",
            "[1 2]",
            "{\"a\" 1}",
            "]",
            "}",
            "[}",
        ];
        for text in none {
            let mut scanner = Scanner::new(text);
            let skipped = scanner.skip().map(|()| scanner.is_end());
            assert!(!matches!(skipped, Ok(true)), "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Scanner::new(&nested(MAX_DEPTH)).skip().is_ok());
        let objects = format!("{}1{}", "{\"a\":[".repeat(64), "]}".repeat(64));
        assert!(Scanner::new(&objects).skip().is_ok());
        assert!(Scanner::new(&nested(MAX_DEPTH + 1)).skip().is_err());
        assert!(Scanner::new(&"[".repeat(10_000_000)).skip().is_err());
    }
}
