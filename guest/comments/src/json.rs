//! The shape of a page, for serde: an array of objects whose fields go to columns, in any order.

use std::fmt;

use arrow_array::builder::{Int32Builder, StringBuilder};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::columns::{Columns, Place};

/// A page, appended to columns.
pub(crate) struct PageSeed<'a> {
    pub(crate) columns: &'a mut Columns,
    pub(crate) place: &'a Place,
    pub(crate) wanted: u64,
}

/// A page, of which only the rows are counted.
pub(crate) struct Count<'a> {
    pub(crate) place: &'a Place,
    pub(crate) wanted: u64,
}

/// What a page has, where it is only counted.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rows: u64,
    /// The id of the first row, a number or a text, as it may be shown.
    pub(crate) first: Option<String>,
}

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of comments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let Self {
            columns,
            place,
            wanted,
        } = self;
        for row in 0..wanted {
            place.row.set(row);
            if rows.next_element_seed(Row { columns, place })?.is_none() {
                return Ok(());
            }
        }
        no_more(&mut rows, place, wanted)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = Found;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of comments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut page: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while found.rows < self.wanted {
            self.place.row.set(found.rows);
            let there = match found.rows {
                0 => {
                    let first = page.next_element_seed(Identity { row: true })?;
                    first.map(|id| found.first = id)
                }
                _ => page.next_element::<IgnoredAny>()?.map(drop),
            };
            if there.is_none() {
                return Ok(found);
            }
            found.rows += 1;
        }
        no_more(&mut page, self.place, self.wanted)?;
        Ok(found)
    }
}

/// The id of a row, or the value that is one. Whatever else is there is as good as none.
struct Identity {
    row: bool,
}

impl Identity {
    fn of(self, value: impl ToString) -> Option<String> {
        (!self.row).then(|| value.to_string())
    }
}

impl<'de> DeserializeSeed<'de> for Identity {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Identity {
    type Value = Option<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a comment")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<String>, A::Error> {
        let mut id = None;
        while let Some(column) = fields.next_key_seed(Key)? {
            match column {
                Some(0) if self.row => id = fields.next_value_seed(Identity { row: false })?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Option<String>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<String>, E> {
        Ok(self.of(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<String>, E> {
        Ok(self.of(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<String>, E> {
        Ok(self.of(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Option<String>, E> {
        Ok(self.of(value))
    }
}

fn no_more<'de, A: SeqAccess<'de>>(rows: &mut A, place: &Place, wanted: u64) -> Result<(), A::Error> {
    place.row.set(wanted);
    match rows.next_element::<IgnoredAny>()? {
        Some(_) => Err(A::Error::custom(format_args!(
            "more rows than the {wanted} that were asked for"
        ))),
        None => Ok(()),
    }
}

struct Row<'a> {
    columns: &'a mut Columns,
    place: &'a Place,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a comment")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Columns {
            id,
            name,
            email,
            body,
        } = self.columns;
        let mut seen = [false; 4];
        while let Some(column) = fields.next_key_seed(Key)? {
            let Some(column) = column else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            self.place.field.set(Some(NAMES[column]));
            // Two values for one row would move all rows behind it.
            if std::mem::replace(&mut seen[column], true) {
                return Err(A::Error::custom("there twice"));
            }
            match column {
                0 => fields.next_value_seed(Id(id))?,
                1 => fields.next_value_seed(Text(name))?,
                2 => fields.next_value_seed(Text(email))?,
                _ => fields.next_value_seed(Text(body))?,
            }
            self.place.field.set(None);
        }
        if !seen[0] {
            id.append_null();
        }
        for (seen, text) in seen[1..].iter().zip([name, email, body]) {
            if !seen {
                text.append_null();
            }
        }
        Ok(())
    }
}

/// The columns in their order.
const NAMES: [&str; 4] = ["id", "name", "email", "body"];

/// The name of a field, as the number of its column.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(NAMES.iter().position(|known| *known == name))
    }
}

struct Id<'a>(&'a mut Int32Builder);

impl<'de> DeserializeSeed<'de> for Id<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Id<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number of 32 bits or null")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = i32::try_from(value)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))?;
        self.0.append_value(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let value = i32::try_from(value)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(value), &self))?;
        self.0.append_value(value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.append_null();
        Ok(())
    }
}

struct Text<'a>(&'a mut StringBuilder);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or null")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.append_value(value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.append_null();
        Ok(())
    }
}
