//! Typed options: the JSON Schema that they promise, and errors that name the option.

use std::cell::RefCell;
use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::{Error, Result};

/// Reads options from JSON text; an empty text stands for no options.
///
/// # Errors
///
/// [`Error::InvalidOptions`] that starts with the name of the option that does not fit.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    let current = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let options = T::deserialize(Named {
        inner: &mut json,
        current: &current,
    });
    options
        .and_then(|options| json.end().map(|()| options))
        .map_err(|error| {
            let message = without_position(&error.to_string());
            match current.take() {
                Some(option) => Error::invalid_option(&option, message),
                None => Error::InvalidOptions(message),
            }
        })
}

/// The JSON Schema 2020-12 of an options type, as JSON text.
///
/// Doc comments become descriptions. Nothing is referred to by `$ref`, so that a form can be made of it.
///
/// A pipeline does not go on at an offset that other options led to: who changes the URL or a filter is told so. An
/// option that does not decide *which* rows are read, a page's size for example, says so with
/// `#[schemars(extend("x-sandbar-identity" = false))]`, and may be changed at any time.
pub fn schema<T: JsonSchema>() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
        .to_string()
}

/// The position is one in JSON that the host wrote, which tells an operator nothing.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) => message[..at].to_owned(),
        None => message.to_owned(),
    }
}

/// Remembers the key whose value is being read, for as long as it is being read.
struct Named<'a, T> {
    inner: T,
    current: &'a RefCell<Option<String>>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Named {
            inner: visitor,
            current: self.current,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Named<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object with the options")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Named {
            inner: map,
            current: self.current,
        })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Named<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.inner.next_key::<String>()? else {
            return Ok(None);
        };
        // An unknown option is refused here, in a message of serde's that holds its name.
        let value = seed.deserialize(serde::de::value::StrDeserializer::<A::Error>::new(&key))?;
        self.current.replace(Some(key));
        Ok(Some(value))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(seed)?;
        self.current.replace(None);
        Ok(value)
    }
}

/// A check for `#[serde(deserialize_with)]`: a whole number within bounds, both inclusive.
///
/// # Errors
///
/// The error of the deserializer, with the bounds.
pub fn within<'de, D: Deserializer<'de>>(deserializer: D, least: u64, most: u64) -> Result<u64, D::Error> {
    let value = <u64 as serde::Deserialize>::deserialize(deserializer)?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format_args!(
            "{value} is not between {least} and {most}"
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Options {
        /// Where the rows are.
        #[schemars(url)]
        url: String,
        #[serde(default)]
        nested: Option<Vec<u64>>,
    }

    fn error_of(text: &str) -> String {
        parse::<Options>(text).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_option() {
        assert_eq!(error_of("{}"), "invalid options: missing field `url`");
        assert_eq!(error_of(""), "invalid options: missing field `url`");
        assert_eq!(
            error_of(r#"{"url":1}"#),
            "invalid options: url: invalid type: integer `1`, expected a string"
        );
        assert_eq!(
            error_of(r#"{"url":"x","nested":[1,-1]}"#),
            "invalid options: nested: invalid value: integer `-1`, expected u64"
        );
        assert_eq!(
            error_of(r#"{"url":"x","urk":1}"#),
            "invalid options: unknown field `urk`, expected `url` or `nested`"
        );
        assert_eq!(
            error_of("[]"),
            "invalid options: invalid type: sequence, expected a JSON object with the options"
        );
        assert!(error_of("{} x").starts_with("invalid options: "));
    }

    #[test]
    fn options_that_fit_are_read() {
        let options: Options = parse(r#"{"url":"x","nested":[1,2]}"#).unwrap();
        assert_eq!((options.url.as_str(), options.nested), ("x", Some(vec![1, 2])));
    }

    #[test]
    fn the_schema_is_2020_12_with_descriptions() {
        let schema: serde_json::Value = serde_json::from_str(&schema::<Options>()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["properties"]["url"]["description"], "Where the rows are.");
        assert_eq!(schema["properties"]["url"]["format"], "uri");
        assert_eq!(schema["additionalProperties"], false);
    }
}
