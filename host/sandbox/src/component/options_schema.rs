mod references;

use sandbar_pipeline::is_unprintable;
use serde_json::Value;

use references::{Circles, Size};
use sandbar_policy::sanitize;

/// The longest schema, as the contract has it for all JSON.
const MAX_BYTES: usize = 1 << 20;
/// The largest schema with all its references written out. Checking options takes time in proportion to it.
const MAX_EXPANDED: u64 = 100_000;
/// The most regular expressions: each may take a megabyte of memory.
const MAX_PATTERNS: usize = 100;
/// The most schemas in one `anyOf` or `oneOf`: the checker takes time with the cube of it to tell them apart.
const MAX_ALTERNATIVES: usize = 512;
/// The deepest text. The checker takes a step of its stack for each level, and follows a few references on the way.
const MAX_NESTING: usize = 64;
/// What checks again all that its schema names for the same value.
const UNEVALUATED: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
/// References whose target depends on more than the document.
const NOT_TAKEN: [&str; 5] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$anchor", "$id"];
/// What `$schema` names, behind `https://`.
const DRAFT: &str = "json-schema.org/draft/2020-12/schema";

/// Reads the schema of options that a component gives. Options are checked against it by the host itself, outside
/// of the sandbox: so what would take the checker forever, or all of the stack, is refused here.
///
/// What a schema costs that refers back to itself, further down in the options, depends on the options as well. The
/// runtime counts that when it has both.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("has {} bytes; {MAX_BYTES} are allowed", text.len()));
    }
    let mut schema: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
    let Some(fields) = schema.as_object_mut() else {
        return Err("is no JSON object".into());
    };
    // A name of its own: nothing refers to it, and the checker would resolve references against it.
    fields.remove("$id");
    let mut words = Words::default();
    words.read(&schema, 0)?;
    if words.patterns > MAX_PATTERNS {
        let patterns = words.patterns;
        return Err(format!("has {patterns} patterns; {MAX_PATTERNS} are allowed"));
    }
    let mut size = Size::new(&schema);
    let expanded = size.of(&schema)?.parts;
    if expanded > MAX_EXPANDED {
        return Err(format!(
            "has {expanded} parts with its references written out; {MAX_EXPANDED} are allowed"
        ));
    }
    // The checker would go through every way around, of which there are more than anyone can count.
    if words.unevaluated && size.recursive {
        return Err(format!(
            "refers back to itself and uses {} or {}; close its objects with additionalProperties",
            UNEVALUATED[0], UNEVALUATED[1]
        ));
    }
    Circles::new(&schema).look_everywhere(&schema)?;
    Ok(schema)
}

/// What is to be known of a schema word by word, wherever the word stands: what looks like a keyword inside of an
/// `enum` or a `default` is taken for one.
#[derive(Default)]
struct Words {
    patterns: usize,
    unevaluated: bool,
}

impl Words {
    fn read(&mut self, value: &Value, level: usize) -> Result<(), String> {
        if level > MAX_NESTING {
            return Err(format!(
                "is nested more than {MAX_NESTING} levels deep; move parts of it to $defs"
            ));
        }
        match value {
            Value::String(text) => check_text(text),
            Value::Array(items) => items.iter().try_for_each(|item| self.read(item, level + 1)),
            Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
                check_text(key)?;
                self.field(key, value)?;
                self.read(value, level + 1)
            }),
            _ => Ok(()),
        }
    }

    fn field(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match (key, value) {
            ("$ref", Value::String(name)) => check_reference(name)?,
            ("$schema", Value::String(name)) => check_draft(name)?,
            (key, Value::String(_)) if NOT_TAKEN.contains(&key) => {
                return Err(format!("uses {key}; references are \"$ref\": \"#/$defs/...\""));
            }
            ("pattern", Value::String(_)) => self.patterns += 1,
            ("patternProperties", Value::Object(named)) => self.patterns += named.len(),
            ("anyOf" | "oneOf", Value::Array(schemas)) if schemas.len() > MAX_ALTERNATIVES => {
                return Err(format!(
                    "has {} schemas in one {key}; {MAX_ALTERNATIVES} are allowed: list plain values in an enum",
                    schemas.len()
                ));
            }
            (key, _) if UNEVALUATED.contains(&key) => self.unevaluated = true,
            _ => {}
        }
        Ok(())
    }
}

/// Control characters would reach the operator's terminal.
fn check_text(text: &str) -> Result<(), String> {
    match text.chars().any(|c| is_unprintable(c) && c != '\n' && c != '\t') {
        true => Err("holds control characters".to_owned()),
        false => Ok(()),
    }
}

/// References that are not into the document can't be followed. The checker decodes `%`, and reads a `~` that
/// stands alone in its own way: it would follow such a reference to another place than the one that is looked at
/// here.
fn check_reference(name: &str) -> Result<(), String> {
    let shown = sanitize(name, 100);
    if name != "#" && !name.starts_with("#/") {
        return Err(format!(
            "refers to {shown:?}, which is not in it; write \"#\" or \"#/$defs/...\""
        ));
    }
    let tilde_alone = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    if name.contains('%') || tilde_alone {
        return Err(format!(
            "refers to {shown:?}; write the name as it stands in the schema, without \"%\", with \"~0\" for \"~\""
        ));
    }
    Ok(())
}

/// Other drafts know other references, and the checker follows a draft that is named further down.
fn check_draft(name: &str) -> Result<(), String> {
    let plain = name.strip_suffix('#').unwrap_or(name);
    let place = plain
        .strip_prefix("https://")
        .or_else(|| plain.strip_prefix("http://"));
    if place == Some(DRAFT) {
        return Ok(());
    }
    let shown = sanitize(name, 100);
    Err(format!(
        "names the draft {shown:?}; options are checked by draft 2020-12: write \"$schema\": \"https://{DRAFT}\""
    ))
}

#[cfg(test)]
mod tests;
