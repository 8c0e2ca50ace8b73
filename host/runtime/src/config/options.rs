//! The options of a source against the schema that its component declares.

use std::ops::Range;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

use super::error::Mistake;
use super::{ConfigError, PipelineFile, value};

/// What one compiled pattern may take. A component may have a hundred.
const PATTERN_BYTES: usize = 1 << 20;
const OPTIONS: &str = "/source/options";

impl PipelineFile {
    /// Checks `[source.options]` against a component's JSON Schema (draft 2020-12). All failures come at once.
    pub fn check_options(&self, schema: &Value) -> Result<(), ConfigError> {
        // Schemas come from components, which nobody has to trust: no pattern may take exponential time, and
        // nothing is fetched.
        let compiled = jsonschema::draft202012::options()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
            .build(schema);
        let validator = match compiled {
            Ok(validator) => validator,
            Err(error) => {
                let message =
                    format!("the component's schema of options is not a valid JSON Schema: {error}");
                return Err(self.error_at("source.component", &message, Some("tell the component's author")));
            }
        };
        let options = Value::Object(self.config.source.options.clone());
        let failures = validator.iter_errors(&options);
        let mistakes: Vec<Mistake> = failures
            .flat_map(|failure| self.mistakes_of(&failure, schema))
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::new(&self.source, mistakes))
        }
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
                    format!("option `{}`", dotted(within))
                };
                let mistake = Mistake::new(self.spans.value_or_above(&pointer), format!("{subject} {fault}"));
                let about = about(schema, within.trim_start_matches('/'));
                vec![mistake.label(label).help(about)]
            }
        }
    }
}

fn unknown_option(span: Range<usize>, key: &str, known: &[&str]) -> Mistake {
    let label = match value::nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "not an option of this component".to_owned(),
    };
    let help = (!known.is_empty()).then(|| format!("known options: {}", known.join(", ")));
    Mistake::new(span, format!("unknown option `{key}`"))
        .label(label)
        .help(help)
}

fn missing_option(span: Range<usize>, name: &str, schema: &Value) -> Mistake {
    let help = match about(schema, name) {
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
            let listed = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let label = match value::nearest(given, words) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "not one of them".to_owned(),
            };
            (format!("must be one of {listed}"), label)
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
            format!("must match the pattern {pattern}"),
            "does not match".to_owned(),
        ),
        ValidationErrorKind::Format { format } => (format!("must be a {format}"), format!("not a {format}")),
        _ => (
            format!("does not fit the component's schema: {failure}"),
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
    Some(format!("`{option}`: {text}"))
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
