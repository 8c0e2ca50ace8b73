//! The options of a source against the schema that its component declares.

mod validation_cost;

use std::fmt;
use std::ops::Range;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

use super::error::Mistake;
use super::{ConfigError, PipelineFile};
use crate::nearest::nearest;

/// What one compiled pattern may take. A component may have a hundred.
const PATTERN_BYTES: usize = 1 << 20;
/// The most mistakes that are shown. How many there are is up to the schema.
const MOST_MISTAKES: usize = 20;
/// The most bytes that a message takes over from a schema, a component or the options, for each name or text.
const MOST_TEXT: usize = 500;
/// Up to so many steps all failures are collected; behind it, the first one is told.
const MOST_COLLECTED: u64 = 100_000;
const OPTIONS: &str = "/source/options";
const TELL_THE_AUTHOR: &str = "tell the component's author";

impl PipelineFile {
    /// Checks `[source.options]` against a component's JSON Schema, always as draft 2020-12. Failures come at once,
    /// up to 20 of them.
    ///
    /// Schemas come from components, which nobody has to trust. One that [`Connector`](crate::Connector) took is
    /// checked in bounded time and memory; it may still take seconds to prepare.
    pub fn check_options(&self, schema: &Value) -> Result<(), ConfigError> {
        let options = Value::Object(self.config.source.options.clone());
        let Some(steps) = validation_cost::count(schema, &options) else {
            let message = format!(
                "the component's schema is too expensive to check these options against: that takes more than {} \
                 steps, or goes more than {} schemas deep",
                validation_cost::MOST,
                validation_cost::DEEPEST
            );
            let help = "write fewer or less nested options, or tell the component's author";
            return Err(self.error_at("source.options", &message, Some(help)));
        };
        // No pattern may take exponential time, and nothing is fetched.
        let compiled = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .build(schema);
        let validator = match compiled {
            Ok(validator) => validator,
            Err(error) => {
                let reason = cut(&error.to_string());
                let message =
                    format!("the component's schema of options is not a valid JSON Schema: {reason}");
                return Err(self.error_at("source.component", &message, Some(TELL_THE_AUTHOR)));
            }
        };
        if validator.is_valid(&options) {
            return Ok(());
        }
        // The iterator is not lazy: it holds all failures before it gives the first, copies of the schema's texts
        // included. No more of either than was counted as steps; where that is much, a check that stops is asked.
        let failures: Vec<ValidationError<'_>> = if steps <= MOST_COLLECTED {
            validator.iter_errors(&options).collect()
        } else {
            validator.validate(&options).err().into_iter().collect()
        };
        let mistakes = failures
            .iter()
            .flat_map(|failure| self.mistakes_of(failure, schema));
        let mistakes: Vec<Mistake> = mistakes.take(MOST_MISTAKES).collect();
        if mistakes.is_empty() {
            let message = "the options do not fit the component's schema";
            return Err(self.error_at("source.options", message, Some(TELL_THE_AUTHOR)));
        }
        Err(ConfigError::new(&self.source, mistakes))
    }

    /// The error for options that the component itself refuses. It points at the option that `message` names.
    #[must_use]
    pub fn option_error(&self, message: &str) -> ConfigError {
        let keys = self.config.source.options.keys();
        let named = keys
            .filter_map(|key| Some((word_in(key, message)?, key)))
            .min_by_key(|(position, key)| {
                let longest_first = usize::MAX - key.len();
                (*position, longest_first)
            });
        let span = match named {
            Some((_, key)) => self.spans.value_or_above(&format!("{OPTIONS}/{}", escape(key))),
            None => self.spans.value_or_above(OPTIONS),
        };
        let message = cut(message);
        let mistake = Mistake::new(span, format!("the component refuses its options: {message}"));
        let label = if named.is_some() {
            "this option"
        } else {
            "these options"
        };
        ConfigError::new(&self.source, vec![mistake.label(label)])
    }

    fn mistakes_of(&self, failure: &ValidationError<'_>, schema: &Value) -> Vec<Mistake> {
        let within = failure.instance_path().as_str();
        let pointer = format!("{OPTIONS}{within}");
        let known = properties_at(schema, failure.schema_path().as_str());
        match failure.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
                .iter()
                .map(|key| {
                    unknown_option(
                        self.spans.key_or_above(&format!("{pointer}/{}", escape(key))),
                        key,
                        &known,
                    )
                })
                .collect(),
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![missing_option(self.spans.value_or_above(&pointer), name, schema)]
            }
            kind => {
                let (fault, label) = describe(kind, failure);
                let subject = if within.is_empty() {
                    "the options".to_owned()
                } else {
                    format!("option `{}`", cut(&dotted(within)))
                };
                let mistake = Mistake::new(self.spans.value_or_above(&pointer), format!("{subject} {fault}"));
                let about = about(schema, within.trim_start_matches('/'));
                vec![mistake.label(label).help(about)]
            }
        }
    }
}

fn unknown_option(span: Range<usize>, key: &str, known: &[&str]) -> Mistake {
    let label = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", cut(near)),
        None => "not an option of this component".to_owned(),
    };
    let help = (!known.is_empty()).then(|| format!("known options: {}", list(known)));
    Mistake::new(span, format!("unknown option `{}`", cut(key)))
        .label(label)
        .help(help)
}

fn missing_option(span: Range<usize>, name: &str, schema: &Value) -> Mistake {
    let about = about(schema, name);
    let name = cut(name);
    let help = match about {
        Some(about) => format!("write under [source.options]: {name} = ...; {about}"),
        None => format!("write under [source.options]: {name} = ..."),
    };
    Mistake::new(span, format!("option `{name}` is missing"))
        .label(format!("the component needs `{name}`"))
        .help(Some(help))
}

/// What follows the option's name, and what is written under the value.
fn describe(kind: &ValidationErrorKind, failure: &ValidationError<'_>) -> (String, String) {
    match kind {
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(wanted) => toml_name(wanted.as_str()).to_owned(),
                // TOML has no null: a key is left out instead.
                TypeKind::Multiple(wanted) => wanted
                    .iter()
                    .map(|wanted| wanted.as_str())
                    .filter(|name| *name != "null")
                    .map(toml_name)
                    .collect::<Vec<_>>()
                    .join(" or "),
            };
            (
                format!("must be {wanted}, not {}", type_of(failure.instance())),
                format!("write {wanted}"),
            )
        }
        ValidationErrorKind::Enum { options } => {
            let all: Vec<&Value> = options.as_array().into_iter().flatten().collect();
            let words = all.iter().filter_map(|option| option.as_str());
            let given = failure.instance().as_str().unwrap_or_default();
            let label = match nearest(given, words) {
                Some(near) => format!("did you mean \"{}\"?", cut(near)),
                None => "not one of them".to_owned(),
            };
            (format!("must be one of {}", list(&all)), label)
        }
        ValidationErrorKind::Minimum { limit } => {
            (format!("must be at least {limit}"), "too small".to_owned())
        }
        ValidationErrorKind::Maximum { limit } => {
            (format!("must be at most {limit}"), "too large".to_owned())
        }
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            (format!("must be more than {limit}"), "too small".to_owned())
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            (format!("must be less than {limit}"), "too large".to_owned())
        }
        ValidationErrorKind::MinLength { limit: 1 } => ("must not be empty".to_owned(), "empty".to_owned()),
        ValidationErrorKind::Pattern { pattern } => (
            format!("must match the pattern {}", cut(pattern)),
            "does not match".to_owned(),
        ),
        ValidationErrorKind::Format { format } => {
            let format = cut(format);
            (format!("must be a {format}"), format!("not a {format}"))
        }
        _ => (
            format!(
                "does not fit the component's schema: {}",
                cut(&failure.to_string())
            ),
            "does not fit".to_owned(),
        ),
    }
}

fn toml_name(json: &str) -> &str {
    match json {
        "object" => "a table",
        "array" => "an array",
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "a table",
        Value::Array(_) => "an array",
        Value::String(_) => "a string",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "a whole number",
        Value::Bool(_) => "a boolean",
        Value::Null => "nothing",
    }
}

/// The names that the schema knows where a keyword of it failed.
fn properties_at<'a>(schema: &'a Value, keyword: &str) -> Vec<&'a str> {
    let parent = keyword
        .rsplit_once('/')
        .and_then(|(parent, _)| schema.pointer(parent))
        .unwrap_or(schema);
    let properties = parent.get("properties").and_then(Value::as_object);
    properties
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// What the schema says of a top-level option.
fn about(schema: &Value, option: &str) -> Option<String> {
    let text = schema
        .get("properties")?
        .get(option)?
        .get("description")?
        .as_str()?;
    Some(format!("`{}`: {}", cut(option), cut(text)))
}

/// The start of a text that somebody else wrote, as long as a message holds.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(MOST_TEXT);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}

/// As many of them as a message holds.
fn list<T: fmt::Display>(items: &[T]) -> String {
    let mut listed = String::new();
    for item in items {
        if !listed.is_empty() {
            listed.push_str(", ");
        }
        listed.push_str(&item.to_string());
        if listed.len() > MOST_TEXT {
            break;
        }
    }
    cut(&listed)
}

fn word_in(word: &str, text: &str) -> Option<usize> {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let alone = |position: usize| {
        let before = text.get(..position).and_then(|before| before.chars().next_back());
        let after = text
            .get(position + word.len()..)
            .and_then(|after| after.chars().next());
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    };
    text.match_indices(word)
        .map(|(position, _)| position)
        .find(|position| alone(*position))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn dotted(pointer: &str) -> String {
    pointer
        .trim_start_matches('/')
        .replace('/', ".")
        .replace("~1", "/")
        .replace("~0", "~")
}
