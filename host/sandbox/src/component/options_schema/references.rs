//! Where references lead, and what that comes to.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::UNEVALUATED;
use sandbar_policy::sanitize;

/// So much text is one part more: the checker compares and copies it.
const TEXT_OF_A_PART: usize = 64;
/// The deepest schema with its references written out. The checker takes a step of its stack for each level.
const MAX_LEVELS: usize = 256;

/// Where a schema names others for the same value. A circle of these has no end.
const IN_PLACE: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
/// The same, by the name of a property.
const IN_PLACE_BY_NAME: [&str; 2] = ["dependentSchemas", "dependencies"];

fn reference(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("$ref").and_then(Value::as_str)
}

fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

fn too_deep() -> String {
    format!("goes more than {MAX_LEVELS} levels deep with its references written out")
}

/// Looks for schemas that name themselves for the same value.
pub(super) struct Circles<'a> {
    root: &'a Value,
    open: Vec<&'a str>,
    done: HashSet<&'a str>,
    level: usize,
}

impl<'a> Circles<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            open: vec![],
            done: HashSet::new(),
            level: 0,
        }
    }

    pub(super) fn look_everywhere(&mut self, value: &'a Value) -> Result<(), String> {
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
        if self.level >= MAX_LEVELS {
            return Err(too_deep());
        }
        self.level += 1;
        if let Some(name) = reference(fields) {
            let shown = sanitize(name, 100);
            if self.open.contains(&name) {
                return Err(format!("refers to {shown:?} in a circle"));
            }
            let target =
                target(self.root, name).ok_or_else(|| format!("refers to {shown:?}, which is not in it"))?;
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
        for key in IN_PLACE_BY_NAME {
            if let Some(Value::Object(schemas)) = fields.get(key) {
                schemas.values().try_for_each(|schema| self.follow(schema))?;
            }
        }
        self.level -= 1;
        Ok(())
    }
}

/// What a part of a schema comes to with all that it refers to.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) parts: u64,
    levels: usize,
}

impl Extent {
    fn add(&mut self, inner: Self) {
        self.parts = self.parts.saturating_add(inner.parts);
        self.levels = self.levels.max(inner.levels);
    }

    fn add_text(&mut self, text: &str) {
        let parts = (text.len() / TEXT_OF_A_PART) as u64;
        self.parts = self.parts.saturating_add(parts);
    }
}

/// Counts the parts of a schema, with those that it refers to. One that leads back to itself, further down in the
/// options, counts once.
pub(super) struct Size<'a> {
    root: &'a Value,
    known: HashMap<&'a str, Extent>,
    open: Vec<&'a str>,
    level: usize,
    /// Whether some part leads back to itself.
    pub(super) recursive: bool,
}

impl<'a> Size<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            known: HashMap::new(),
            open: vec![],
            level: 0,
            recursive: false,
        }
    }

    pub(super) fn of(&mut self, value: &'a Value) -> Result<Extent, String> {
        if self.level >= MAX_LEVELS {
            return Err(too_deep());
        }
        self.level += 1;
        let mut whole = Extent { parts: 1, levels: 0 };
        match value {
            Value::String(text) => whole.add_text(text),
            Value::Array(items) => {
                for item in items {
                    whole.add(self.of(item)?);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    whole.add_text(key);
                    whole.add(self.of(value)?);
                }
                if let Some(name) = reference(fields) {
                    whole.add(self.of_target(name)?);
                }
                if UNEVALUATED.iter().any(|key| fields.contains_key(*key)) {
                    whole.parts = whole.parts.saturating_mul(2);
                }
            }
            _ => {}
        }
        self.level -= 1;
        whole.levels += 1;
        Ok(whole)
    }

    fn of_target(&mut self, name: &'a str) -> Result<Extent, String> {
        if self.open.contains(&name) {
            self.recursive = true;
            return Ok(Extent { parts: 1, levels: 0 });
        }
        if let Some(known) = self.known.get(name) {
            return match self.level + known.levels > MAX_LEVELS {
                true => Err(too_deep()),
                false => Ok(*known),
            };
        }
        let mut extent = Extent { parts: 0, levels: 0 };
        if let Some(target) = target(self.root, name) {
            self.open.push(name);
            extent = self.of(target)?;
            self.open.pop();
        }
        self.known.insert(name, extent);
        Ok(extent)
    }
}
