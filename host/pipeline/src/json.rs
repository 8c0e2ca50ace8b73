//! JSON values whose numbers keep their digits.
//!
//! `serde_json::Value` holds a number in 64 bits: of `1700000000.123456789` it knows `1700000000.1234567`. Here serde_json
//! decides what is JSON, and the text of each number is kept as it stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value that comes back with the numbers that it was written with, digit by digit.
///
/// Two of them are equal when they are the same value, whatever their spelling: fields have no order, and numbers are
/// compared exactly, so that `1`, `1.0` and `1e0` are one number, and two numbers that differ in their last digits are
/// two. [`Display`](fmt::Display) gives compact text with the fields in order.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object. Of a key that is there twice the last one counts.
    Object(BTreeMap<String, Json>),
}

/// A JSON number as it was written.
#[derive(Clone)]
pub struct Number(Box<str>);

impl Json {
    /// Takes JSON text.
    ///
    /// # Errors
    /// The error of the parser when the text is not JSON, is nested deeper than 127 levels, or has a number beyond the
    /// range of 64-bit floats.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut numbers = Numbers(text);
        let mut json = serde_json::Deserializer::from_str(text);
        let value = Node(&mut numbers).deserialize(&mut json)?;
        json.end().map(|()| value)
    }

    /// The value for looking at. Numbers have 64 bits there, and digits may be gone: not for handing on.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => number.in_64_bits().map_or(Value::Null, Value::Number),
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(key, item)| (key.clone(), item.to_value()));
                Value::Object(fields.collect())
            }
        }
    }

    /// How many arrays and objects lie around the innermost value.
    pub(crate) fn depth(&self) -> usize {
        let deepest = match self {
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(fields) => fields.values().map(Self::depth).max(),
            _ => return 0,
        };
        1 + deepest.unwrap_or(0)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(Number(number.to_string().into())),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(key, item)| (key, item.into()));
                Self::Object(fields.collect())
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(Number(text)) => f.write_str(text),
            Self::String(text) => write_string(f, text),
            Self::Array(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    f.write_str(if place > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (place, (key, item)) in fields.iter().enumerate() {
                    f.write_str(if place > 0 { "," } else { "" })?;
                    write_string(f, key)?;
                    f.write_str(":")?;
                    item.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digits survive in the text of serde_json's serializers. Its `to_value` and `json!` keep 64 bits of a number.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(fields) => serializer.collect_map(fields),
        }
    }
}

/// Reads from JSON text only, and never through `#[serde(flatten)]` or an untagged enum: those hold numbers in 64 bits.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(D::Error::custom)
    }
}

/// A number without its spelling: 0.DIGITS times ten to the power of `exponent`, `digits` having no zero at its ends.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    /// `text` is a JSON number. Exponents of more than 32 bits are refused, which no number of use has.
    fn new(text: &str) -> Result<Self, String> {
        match text.split_once(['e', 'E']) {
            Some((_, exponent)) if exponent.parse::<i32>().is_err() => {
                let shown: String = text.chars().take(40).collect();
                Err(format!("the exponent of {shown:?} is out of range"))
            }
            _ => Ok(Self(text.into())),
        }
    }

    /// As much of it as serde_json holds.
    fn in_64_bits(&self) -> Option<serde_json::Number> {
        serde_json::from_str(&self.0).ok()
    }

    /// Its value as a whole number, where it is one of 64 bits and written like one.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        self.in_64_bits()?.as_i64()
    }

    /// What [`Offset::fingerprint`](crate::Offset::fingerprint) is made of: a kind and a text. Numbers that 64 bits hold have
    /// the ones that they had when nothing else was known of numbers.
    pub(crate) fn stored_form(&self) -> (u8, String) {
        match self.in_64_bits() {
            Some(number) if !number.is_f64() => (b'n', number.to_string()),
            Some(number) if decimal(&number.to_string()) == decimal(&self.0) => {
                let float = number.as_f64().unwrap_or_default();
                // The two zeros are one number.
                (b'f', (float + 0.0).to_bits().to_string())
            }
            _ => self.exact_form(),
        }
    }

    /// A kind and a text that are the same for every spelling of one number.
    pub(crate) fn exact_form(&self) -> (u8, String) {
        let Decimal {
            negative,
            digits,
            exponent,
        } = decimal(&self.0);
        let sign = if negative { "-" } else { "" };
        (b'd', format!("{sign}{digits}e{exponent}"))
    }
}

fn decimal(number: &str) -> Decimal {
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let digits = significant.trim_end_matches('0').to_owned();
    if digits.is_empty() {
        return Decimal {
            negative: false,
            digits,
            exponent: 0,
        };
    }
    let exponent: i64 = exponent.parse().unwrap_or_default();
    Decimal {
        negative,
        digits,
        exponent: exponent + whole.len() as i64 - leading as i64,
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || decimal(&self.0) == decimal(&other.0)
    }
}

impl Eq for Number {}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.in_64_bits() {
            Some(number) if number.to_string() == *self.0 => number.serialize(serializer),
            _ => RawValue::from_string(self.0.to_string())
                .map_err(<S::Error as serde::ser::Error>::custom)?
                .serialize(serializer),
        }
    }
}

/// The numbers of a JSON text, in their order. It goes no further than the text was found to be JSON.
struct Numbers<'a>(&'a str);

impl<'a> Iterator for Numbers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.0.as_bytes();
        let mut at = 0;
        loop {
            match bytes.get(at)? {
                b'"' => at = behind_string(bytes, at),
                b'-' | b'0'..=b'9' => break,
                _ => at += 1,
            }
        }
        let rest = self.0.get(at..)?;
        let in_number = |c: char| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
        let (number, rest) = rest.split_at(rest.find(|c: char| !in_number(c)).unwrap_or(rest.len()));
        self.0 = rest;
        Some(number)
    }
}

fn behind_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return at + 1,
            Some(_) => at += 1,
        }
    }
}

/// A value on its way from serde_json's parser into ours. The parser comes to each number in the order of the text.
struct Node<'s, 'a>(&'s mut Numbers<'a>);

impl Node<'_, '_> {
    fn number<E: serde::de::Error>(self) -> Result<Json, E> {
        let text = self.0.next().ok_or_else(|| E::custom("a number is missing"))?;
        Number::new(text).map(Json::Number).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Json, E> {
        self.number()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Json, E> {
        self.number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        self.number()
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Node(self.0))? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Json, A::Error> {
        let mut object = BTreeMap::new();
        while let Some(key) = fields.next_key()? {
            object.insert(key, fields.next_value_seed(Node(self.0))?);
        }
        Ok(Json::Object(object))
    }
}
