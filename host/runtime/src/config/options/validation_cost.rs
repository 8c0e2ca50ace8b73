//! How many steps it takes to check options against a schema, counted before the first is taken.
//!
//! A schema that refers back to itself is checked again one level down in the options. 300 such references under one
//! key make 300^n checks of options that are n levels deep; a tree of filters refers back as well, and yet looks at
//! each filter a few times. Neither the schema nor the options tell them apart, only both: so the pairs of a schema
//! and a value that meet are gone through here, each once, and how often each meets is added up. What is counted is
//! never less than what the checker does, for schemas that the sandbox took.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The most steps that are taken to check the options of one file: a fraction of a second.
pub(super) const MOST: u64 = 1_000_000;
/// The most schemas that apply within each other, in the schema and in the options. The checker takes stack for each.
pub(super) const DEEPEST: usize = 256;
/// So much text, or so many parts, is one step more.
const PARTS_OF_A_STEP: usize = 64;

/// What checks again all that its schema names for the same value.
const UNEVALUATED: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
/// Words that hold schemas, which take no steps by themselves.
const HOLDS_SCHEMAS: [&str; 12] = [
    "$defs",
    "definitions",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "prefixItems",
    "items",
    "additionalItems",
    "contains",
    UNEVALUATED[0],
    UNEVALUATED[1],
];
/// Stands for the name of a property, where that is what a schema applies to.
static NAME: Value = Value::Null;

/// The steps that a check takes, or nothing where these are more than [`MOST`], or deeper than [`DEEPEST`].
pub(super) fn count(schema: &Value, options: &Value) -> Option<u64> {
    let mut pairs = Pairs {
        root: schema,
        known: HashMap::new(),
        looked_at: 0,
        level: 0,
    };
    let cost = pairs.cost(schema, options)?;
    (cost.check <= MOST && cost.levels <= DEEPEST).then_some(cost.check)
}

/// What a schema costs for one value.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// To check the value.
    check: u64,
    /// To find what of the value was looked at, for `unevaluated...`: all that applies in place is checked again.
    mark: u64,
    levels: usize,
}

struct Pairs<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, *const Value), Cost>,
    /// The steps of looking itself. They are never more than those that are counted.
    looked_at: u64,
    level: usize,
}

impl<'a> Pairs<'a> {
    fn cost(&mut self, schema: &'a Value, value: &'a Value) -> Option<Cost> {
        self.looked_at = self.looked_at.saturating_add(1);
        if self.looked_at > MOST || self.level > DEEPEST {
            return None;
        }
        let mut sum = Cost {
            check: 1,
            mark: 0,
            levels: 0,
        };
        let Value::Object(fields) = schema else {
            return Some(sum);
        };
        let pair = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&pair) {
            return Some(*known);
        }
        // Stays only where a schema names itself for the same value. The checker turns back there too.
        self.known.insert(pair, Cost::default());
        self.level += 1;
        for (word, inner) in fields {
            self.add_keyword(word, inner, value, &mut sum)?;
        }
        self.level -= 1;
        let cost = cost_of(fields, sum);
        self.known.insert(pair, cost);
        Some(cost)
    }

    fn add_keyword(&mut self, word: &str, inner: &'a Value, value: &'a Value, sum: &mut Cost) -> Option<()> {
        match (word, inner, value) {
            ("$ref", Value::String(name), _) => {
                let root = self.root;
                let target = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                if let Some(target) = target {
                    self.add_in_place(target, value, sum)?;
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas), _) => {
                for schema in schemas {
                    self.add_in_place(schema, value, sum)?;
                }
            }
            ("not" | "if" | "then" | "else", _, _) => self.add_in_place(inner, value, sum)?,
            ("dependentSchemas" | "dependencies", Value::Object(schemas), _) => {
                for schema in schemas.values() {
                    self.add_in_place(schema, value, sum)?;
                }
            }
            ("properties", Value::Object(schemas), Value::Object(members)) => {
                self.add_own(schemas.len() as u64, sum);
                for (name, member) in members {
                    if let Some(schema) = schemas.get(name) {
                        self.add(schema, member, sum)?;
                    }
                }
            }
            ("patternProperties", Value::Object(schemas), Value::Object(members)) => {
                for schema in schemas.values() {
                    self.add_all(schema, members.values(), sum)?;
                }
            }
            ("additionalProperties" | "unevaluatedProperties", _, Value::Object(members)) => {
                self.add_all(inner, members.values(), sum)?;
            }
            ("propertyNames", _, Value::Object(members)) => {
                self.add_all(inner, members.values().map(|_| &NAME), sum)?;
            }
            ("prefixItems", Value::Array(schemas), Value::Array(items)) => {
                for (schema, item) in schemas.iter().zip(items) {
                    self.add(schema, item, sum)?;
                }
            }
            ("items" | "additionalItems" | "contains" | "unevaluatedItems", _, Value::Array(items)) => {
                self.add_all(inner, items.iter(), sum)?;
            }
            ("uniqueItems", _, Value::Array(items)) => self.add_own(items.len() as u64, sum),
            (word, _, _) if HOLDS_SCHEMAS.contains(&word) => {}
            _ => self.add_own(parts(inner).saturating_mul(1 + steps_over(value)), sum),
        }
        Some(())
    }

    /// Steps that a keyword takes without other schemas.
    fn add_own(&mut self, steps: u64, sum: &mut Cost) {
        self.looked_at = self.looked_at.saturating_add(steps);
        sum.check = sum.check.saturating_add(steps);
    }

    fn add_all(
        &mut self,
        schema: &'a Value,
        values: impl Iterator<Item = &'a Value>,
        sum: &mut Cost,
    ) -> Option<()> {
        for value in values {
            self.add(schema, value, sum)?;
        }
        Some(())
    }

    fn add_in_place(&mut self, schema: &'a Value, value: &'a Value, sum: &mut Cost) -> Option<()> {
        let cost = self.add(schema, value, sum)?;
        sum.mark = sum.mark.saturating_add(cost.mark);
        Some(())
    }

    fn add(&mut self, schema: &'a Value, value: &'a Value, sum: &mut Cost) -> Option<Cost> {
        let cost = self.cost(schema, value)?;
        sum.check = sum.check.saturating_add(cost.check);
        sum.levels = sum.levels.max(cost.levels);
        Some(cost)
    }
}

fn cost_of(fields: &Map<String, Value>, sum: Cost) -> Cost {
    let mark = sum.check.saturating_add(sum.mark);
    let marks = UNEVALUATED.iter().any(|word| fields.contains_key(*word));
    Cost {
        check: sum.check.saturating_add(if marks { mark } else { 0 }),
        mark,
        levels: sum.levels + 1,
    }
}

/// The parts of a keyword's value that a check compares with.
fn parts(value: &Value) -> u64 {
    let inner = match value {
        Value::Array(items) => items.iter().map(parts).fold(0, u64::saturating_add),
        Value::Object(fields) => fields.values().map(parts).fold(0, u64::saturating_add),
        text => steps_over(text),
    };
    inner.saturating_add(1)
}

/// The steps of going over a value once.
fn steps_over(value: &Value) -> u64 {
    let length = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    (length / PARTS_OF_A_STEP) as u64
}
