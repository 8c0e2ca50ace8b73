use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::RowsError;

/// The longest text of a schema, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// The most columns, counted with nested ones.
const MAX_COLUMNS: usize = 4_096;
/// The deepest nesting of types.
const MAX_DEPTH: usize = 16;

const TYPES: &str = "boolean, tinyint, smallint, int, bigint, float, double, decimal(p, s), string, binary, date, timestamp, \
                     timestamp_ntz, array<..>, map<string, ..> and struct<name: ..>";

/// Reads a schema from its text in Spark's DDL, such as `id bigint not null, user struct<login: string>`.
///
/// Types are those of Spark SQL ("Data Types" in its reference), in either case. A `timestamp` has microseconds in UTC. A name
/// that is no word stands in backquotes. Columns may be null unless they are `not null`.
///
/// # Errors
/// [`RowsError::Schema`] with the place of the first mistake.
pub fn parse_schema(text: &str) -> Result<SchemaRef, RowsError> {
    let mut parser = Parser {
        text,
        at: 0,
        columns: 0,
    };
    if text.len() > MAX_TEXT {
        return Err(parser.wrong(0, "it is longer than 1 MiB"));
    }
    let begins = text.trim_start().get(..7).unwrap_or_default();
    let fields = match begins.eq_ignore_ascii_case("struct<") {
        true => {
            parser.word();
            parser.fields_in_brackets(0)?
        }
        false => parser.fields(0, None)?,
    };
    parser.skip_space();
    match parser.at == text.len() {
        true => Ok(Arc::new(Schema::new(fields))),
        false => Err(parser.wrong(parser.at, "a comma or the end is expected")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    columns: usize,
}

impl<'a> Parser<'a> {
    /// Fields up to the end of the text, or to a closing sign.
    fn fields(&mut self, depth: usize, end: Option<char>) -> Result<Fields, RowsError> {
        let mut fields: Vec<Field> = vec![];
        let mut names = HashSet::new();
        loop {
            let start = self.here();
            let field = self.field(depth)?;
            if !names.insert(field.name().to_lowercase()) {
                return Err(self.wrong(start, format!("the name {:?} is there twice", field.name())));
            }
            fields.push(field);
            if self.take(',') {
                continue;
            }
            return match end {
                Some(end) if !self.take(end) => {
                    Err(self.wrong(self.at, format!("a comma or {end:?} is expected")))
                }
                _ => Ok(fields.into()),
            };
        }
    }

    fn fields_in_brackets(&mut self, depth: usize) -> Result<Fields, RowsError> {
        self.expect('<')?;
        self.fields(depth, Some('>'))
    }

    fn field(&mut self, depth: usize) -> Result<Field, RowsError> {
        self.columns += 1;
        if self.columns > MAX_COLUMNS {
            return Err(self.wrong(self.at, format!("it has more than {MAX_COLUMNS} columns")));
        }
        let name = self.name()?;
        self.take(':');
        let data_type = self.data_type(depth)?;
        let mut is_nullable = true;
        if self.keyword("not") {
            if !self.keyword("null") {
                return Err(self.wrong(self.at, "\"null\" is expected after \"not\""));
            }
            is_nullable = false;
        }
        if self.keyword("comment") {
            self.comment()?;
        }
        Ok(Field::new(name, data_type, is_nullable))
    }

    fn name(&mut self) -> Result<String, RowsError> {
        let start = self.here();
        if !self.take('`') {
            return match self.word() {
                "" => Err(self.wrong(
                    start,
                    "the name of a column is expected; an unusual one stands in backquotes",
                )),
                name => Ok(name.to_owned()),
            };
        }
        let mut name = String::new();
        loop {
            let Some(end) = self.rest().find('`') else {
                return Err(self.wrong(start, "a name in backquotes does not end"));
            };
            name.push_str(&self.rest()[..end]);
            self.at += end + 1;
            // Two stand for one.
            if !self.rest().starts_with('`') {
                return match name.is_empty() {
                    true => Err(self.wrong(start, "a name is empty")),
                    false => Ok(name),
                };
            }
            name.push('`');
            self.at += 1;
        }
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, RowsError> {
        let start = self.here();
        if depth >= MAX_DEPTH {
            return Err(self.wrong(start, format!("types nest deeper than {MAX_DEPTH} levels")));
        }
        Ok(match self.word().to_ascii_lowercase().as_str() {
            "boolean" => DataType::Boolean,
            "tinyint" | "byte" => DataType::Int8,
            "smallint" | "short" => DataType::Int16,
            "int" | "integer" => DataType::Int32,
            "bigint" | "long" => DataType::Int64,
            "float" | "real" => DataType::Float32,
            "double" => DataType::Float64,
            "decimal" | "dec" | "numeric" => self.decimal()?,
            "string" => DataType::Utf8,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" | "timestamp_ltz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "array" => {
                self.expect('<')?;
                let element = self.data_type(depth + 1)?;
                self.expect('>')?;
                DataType::List(Arc::new(Field::new("element", element, true)))
            }
            "map" => {
                self.expect('<')?;
                let key_at = self.here();
                if self.data_type(depth + 1)? != DataType::Utf8 {
                    return Err(self.wrong(key_at, "the keys of a map are strings"));
                }
                self.expect(',')?;
                let value = self.data_type(depth + 1)?;
                self.expect('>')?;
                let pair = vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", value, true),
                ];
                DataType::Map(
                    Arc::new(Field::new("key_value", DataType::Struct(pair.into()), false)),
                    false,
                )
            }
            "struct" => DataType::Struct(self.fields_in_brackets(depth + 1)?),
            "" => return Err(self.wrong(start, format!("a type is expected: {TYPES}"))),
            other => {
                let other: String = other.chars().take(60).collect();
                return Err(self.wrong(start, format!("there is no type {other:?}; there are {TYPES}")));
            }
        })
    }

    fn decimal(&mut self) -> Result<DataType, RowsError> {
        let start = self.here();
        if !self.take('(') {
            return Ok(DataType::Decimal128(10, 0));
        }
        let precision = self.word().parse::<u8>().unwrap_or_default();
        let scale = match self.take(',') {
            true => self.word().parse::<u8>().unwrap_or(u8::MAX),
            false => 0,
        };
        self.expect(')')?;
        match i8::try_from(scale) {
            Ok(signed) if (1..=38).contains(&precision) && scale <= precision => {
                Ok(DataType::Decimal128(precision, signed))
            }
            _ => Err(self.wrong(
                start,
                "a decimal has 1 to 38 digits, and as many of them after the point at most",
            )),
        }
    }

    /// A text in quotes, which nobody keeps.
    fn comment(&mut self) -> Result<(), RowsError> {
        let start = self.here();
        let Some(quote) = self
            .rest()
            .chars()
            .next()
            .filter(|quote| matches!(quote, '\'' | '"'))
        else {
            return Err(self.wrong(start, "a comment stands in quotes"));
        };
        let mut is_escaped = false;
        for (index, character) in self.rest().char_indices().skip(1) {
            if character == quote && !is_escaped {
                self.at += index + 1;
                return Ok(());
            }
            is_escaped = character == '\\' && !is_escaped;
        }
        Err(self.wrong(start, "a comment does not end"))
    }

    /// Takes letters, digits and underscores.
    fn word(&mut self) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.at;
        let is_there = self.word().eq_ignore_ascii_case(keyword);
        if !is_there {
            self.at = before;
        }
        is_there
    }

    fn take(&mut self, sign: char) -> bool {
        self.skip_space();
        let is_there = self.rest().starts_with(sign);
        if is_there {
            self.at += sign.len_utf8();
        }
        is_there
    }

    fn expect(&mut self, sign: char) -> Result<(), RowsError> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.wrong(self.at, format!("{sign:?} is expected"))),
        }
    }

    fn here(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, at: usize, reason: impl Into<String>) -> RowsError {
        let before = self.text.get(..at).unwrap_or_default();
        RowsError::Schema {
            at: before.chars().count() + 1,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        parse_schema(text).unwrap_err().to_string()
    }

    #[test]
    fn types_of_spark_become_types_of_arrow() {
        let schema = parse_schema(
            "id BIGINT NOT NULL COMMENT 'it''s \\' one', `odd ``name``` string, a tinyint, b SmallInt, c int, d float, e double, \
             f decimal(12,2), g decimal, h binary, i date, j timestamp, k timestamp_ntz, l array<array<int>>, \
             m map<string, boolean>, n struct<x: int not null, y: struct<z string>>",
        );
        // A quote is escaped by a backslash: two quotes are two texts.
        assert!(schema.is_err());
        let schema = parse_schema(
            "id BIGINT NOT NULL COMMENT 'it\\'s one', `odd ``name``` string, f decimal(12,2), g decimal, j timestamp, \
             k timestamp_ntz, l array<array<int>>, m map<string, boolean>, n struct<x: int not null, y: struct<z string>>",
        )
        .unwrap();
        let shown: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| format!("{} {} {}", field.name(), field.data_type(), field.is_nullable()))
            .collect();
        assert_eq!(shown[0], "id Int64 false");
        assert_eq!(shown[1], "odd `name` Utf8 true");
        assert_eq!(shown[2], "f Decimal128(12, 2) true");
        assert_eq!(shown[3], "g Decimal128(10, 0) true");
        assert_eq!(
            schema.field(4).data_type(),
            &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        assert_eq!(
            schema.field(5).data_type(),
            &DataType::Timestamp(TimeUnit::Microsecond, None)
        );
        let DataType::Struct(inner) = schema.field(8).data_type() else {
            panic!("{shown:?}")
        };
        assert!(!inner[0].is_nullable() && inner[1].is_nullable());
        assert_eq!(
            parse_schema("struct<a: int, b: string>").unwrap(),
            parse_schema("a int, b string").unwrap()
        );
    }

    #[test]
    fn a_mistake_is_shown_with_its_place() {
        for (text, place) in [
            ("", "character 1"),
            ("id", "character 3"),
            ("id bigint,", "character 11"),
            ("id bigint name string", "character 11"),
            ("id number", "character 4: there is no type \"number\""),
            (
                "id bigint, ID int",
                "character 12: the name \"ID\" is there twice",
            ),
            ("a array<int", "character 12"),
            ("a map<int, int>", "character 7"),
            ("a struct<>", "character 10"),
            ("a decimal(39)", "character 10"),
            ("a decimal(5, 6)", "character 10"),
            ("`a int", "character 1"),
            ("`` int", "character 1"),
            ("a int not", "character 10"),
            ("a int comment x", "character 15"),
            ("a int comment 'x", "character 15"),
        ] {
            let shown = wrong(text);
            assert!(shown.contains(place), "{text}: {shown}");
        }
        let nested = format!("a {}int{}", "array<".repeat(16), ">".repeat(16));
        assert!(wrong(&nested).contains("deeper"));
        let many: Vec<_> = (0..5_000).map(|n| format!("c{n} int")).collect();
        assert!(wrong(&many.join(", ")).contains("4096"));
    }
}
