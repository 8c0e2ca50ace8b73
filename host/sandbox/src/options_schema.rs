use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The longest schema, as the contract has it for all JSON.
const MAX_BYTES: usize = 1 << 20;
/// The largest schema with all its references written out. Checking options takes time in proportion to it.
const MAX_EXPANDED: u64 = 100_000;
/// The most regular expressions: each may take a megabyte of memory.
const MAX_PATTERNS: usize = 100;

/// The longest way from reference to reference. The checker takes a step of its stack for each.
const MAX_CHAIN: usize = 64;

/// Where a schema names others for the same value. A circle of these has no end.
const IN_PLACE: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
/// References whose target depends on more than the document.
const NOT_TAKEN: [&str; 5] = ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$anchor", "$id"];

/// Reads the schema of options that a component gives. Options are checked against it by the host itself, outside
/// of the sandbox: so what would take the checker forever, or all of the stack, is refused here.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("has {} bytes; {MAX_BYTES} are allowed", text.len()));
    }
    let schema: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
    if !schema.is_object() {
        return Err("is no JSON object".into());
    }
    let mut patterns = 0;
    check_words(&schema, 0, &mut patterns)?;
    if patterns > MAX_PATTERNS {
        return Err(format!("has {patterns} patterns; {MAX_PATTERNS} are allowed"));
    }
    let mut circles = Circles {
        root: &schema,
        open: vec![],
        done: HashSet::new(),
    };
    circles.look_everywhere(&schema)?;
    let mut size = Size {
        root: &schema,
        known: HashMap::new(),
        open: 0,
    };
    let expanded = size.of(&schema);
    if expanded > MAX_EXPANDED {
        return Err(format!(
            "has {expanded} parts with its references written out; {MAX_EXPANDED} are allowed"
        ));
    }
    Ok(schema)
}

/// Control characters would reach the operator's terminal; other references than those into the document can't
/// be followed.
fn check_words(value: &Value, depth: usize, patterns: &mut usize) -> Result<(), String> {
    let plain = |text: &str| match text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        true => Err("holds control characters".to_owned()),
        false => Ok(()),
    };
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_words(item, depth + 1, patterns)),
        Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
            plain(key)?;
            match value {
                Value::String(_) if key == "$id" && depth == 0 => {}
                Value::String(_) if NOT_TAKEN.contains(&key.as_str()) => {
                    return Err(format!("uses {key}; references are \"$ref\": \"#/$defs/...\""));
                }
                Value::String(_) if key == "pattern" => *patterns += 1,
                Value::Object(named) if key == "patternProperties" => *patterns += named.len(),
                _ => {}
            }
            check_words(value, depth + 1, patterns)
        }),
        _ => Ok(()),
    }
}

fn reference(fields: &serde_json::Map<String, Value>) -> Option<&str> {
    fields.get("$ref").and_then(Value::as_str)
}

fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Looks for schemas that name themselves for the same value.
struct Circles<'a> {
    root: &'a Value,
    open: Vec<&'a str>,
    done: HashSet<&'a str>,
}

impl<'a> Circles<'a> {
    fn look_everywhere(&mut self, value: &'a Value) -> Result<(), String> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.look_everywhere(item)),
            Value::Object(fields) => {
                self.follow(value)?;
                fields.values().try_for_each(|value| self.look_everywhere(value))
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, schema: &'a Value) -> Result<(), String> {
        let Value::Object(fields) = schema else {
            return Ok(());
        };
        if let Some(name) = reference(fields) {
            if self.open.len() >= MAX_CHAIN {
                return Err(format!("refers through more than {MAX_CHAIN} references"));
            }
            if self.open.contains(&name) {
                return Err(format!("refers to {name:?} in a circle"));
            }
            let target =
                target(self.root, name).ok_or_else(|| format!("refers to {name:?}, which is not in it"))?;
            if !self.done.contains(name) {
                self.open.push(name);
                self.follow(target)?;
                self.open.pop();
                self.done.insert(name);
            }
        }
        for key in IN_PLACE {
            match fields.get(key) {
                Some(Value::Array(schemas)) => schemas.iter().try_for_each(|schema| self.follow(schema))?,
                Some(schema) => self.follow(schema)?,
                None => {}
            }
        }
        match fields.get("dependentSchemas") {
            Some(Value::Object(schemas)) => schemas.values().try_for_each(|schema| self.follow(schema)),
            _ => Ok(()),
        }
    }
}

/// Counts the parts of a schema, with those that it refers to. One that leads back to itself, further down in the
/// options, counts once.
struct Size<'a> {
    root: &'a Value,
    known: HashMap<&'a str, u64>,
    open: usize,
}

impl<'a> Size<'a> {
    fn of(&mut self, value: &'a Value) -> u64 {
        let parts = match value {
            Value::Array(items) => items
                .iter()
                .map(|item| self.of(item))
                .fold(0, u64::saturating_add),
            Value::Object(fields) => {
                let own = fields
                    .values()
                    .map(|value| self.of(value))
                    .fold(0, u64::saturating_add);
                own.saturating_add(reference(fields).map_or(0, |name| self.of_target(name)))
            }
            _ => 0,
        };
        parts.saturating_add(1)
    }

    fn of_target(&mut self, name: &'a str) -> u64 {
        if let Some(size) = self.known.get(name) {
            return *size;
        }
        if self.open >= MAX_CHAIN {
            return u64::MAX;
        }
        self.known.insert(name, 1);
        self.open += 1;
        let size = target(self.root, name).map_or(0, |target| self.of(target));
        self.open -= 1;
        self.known.insert(name, size);
        size
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_of_honest_sources_are_taken() {
        for schema in [
            json!({}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                "properties": {"url": {"type": "string", "pattern": "^https?://", "description": "two\nlines"}}}),
            json!({"$id": "https://example.com/me", "$defs": {"A": {"type": "string"}},
                "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}}),
            // A filter in a filter: it goes down into the options with each step.
            json!({"$defs": {"F": {"properties": {"not": {"$ref": "#/$defs/F"}, "any": {"items": {"$ref": "#/$defs/F"}}}}},
                "properties": {"filter": {"$ref": "#/$defs/F"}, "$ref": {"type": "string"}}}),
        ] {
            assert_eq!(parse(&schema.to_string()), Ok(schema));
        }
    }

    #[test]
    fn what_would_take_the_checker_forever_is_refused() {
        let doubling = |levels: usize| {
            let defs: serde_json::Map<_, _> = (0..levels)
                .map(|i| {
                    let next = json!({"$ref": format!("#/$defs/a{}", i + 1)});
                    (format!("a{i}"), json!({"allOf": [next, next]}))
                })
                .chain([(format!("a{levels}"), json!({"type": "object"}))])
                .collect();
            json!({"$ref": "#/$defs/a0", "$defs": defs})
        };
        assert!(parse(&doubling(5).to_string()).is_ok());
        let chain = |next: fn(usize) -> Value| {
            let defs = (0..20_000).map(|i| (format!("a{i}"), next(i + 1)));
            let defs: serde_json::Map<_, _> = defs.chain([("a20000".to_owned(), json!({}))]).collect();
            json!({"$ref": "#/$defs/a0", "$defs": defs}).to_string()
        };
        let patterns: Vec<_> = (0..101)
            .map(|i| json!({"pattern": format!("a{{{i}}}")}))
            .collect();
        let long = format!("{{\"title\":\"{}\"}}", "x".repeat(1 << 20));
        let cases = [
            (doubling(40).to_string(), "written out"),
            (json!({"$ref": "#"}).to_string(), "in a circle"),
            (
                json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}).to_string(),
                "in a circle",
            ),
            (
                json!({"$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}})
                    .to_string(),
                "in a circle",
            ),
            (
                json!({"$defs": {"a": {"dependentSchemas": {"x": {"$ref": "#/$defs/a"}}}}}).to_string(),
                "in a circle",
            ),
            (
                chain(|i| json!({"$ref": format!("#/$defs/a{i}")})),
                "more than 64 references",
            ),
            (
                chain(|i| json!({"items": {"$ref": format!("#/$defs/a{i}")}})),
                "written out",
            ),
            (json!({"allOf": patterns}).to_string(), "101 patterns"),
            (
                json!({"$ref": "http://169.254.169.254/latest"}).to_string(),
                "which is not in it",
            ),
            (
                json!({"$ref": "file:///etc/passwd"}).to_string(),
                "which is not in it",
            ),
            (json!({"$dynamicRef": "#x"}).to_string(), "uses $dynamicRef"),
            (json!({"items": {"$id": "http://x/"}}).to_string(), "uses $id"),
            (
                json!({"description": "\u{1b}]0;owned\u{7}"}).to_string(),
                "control characters",
            ),
            (
                json!({"properties": {"\u{9b}31m": {}}}).to_string(),
                "control characters",
            ),
            (format!("{}{}", "[".repeat(500), "]".repeat(500)), "is not JSON"),
            ("[]".to_owned(), "no JSON object"),
            (long, "1048576 are allowed"),
        ];
        for (schema, reason) in cases {
            let error = parse(&schema).unwrap_err();
            assert!(
                error.contains(reason),
                "{}: {error}",
                &schema[..schema.len().min(200)]
            );
        }
    }
}
