//! The shape of a page, for serde: an array of objects whose fields go to columns, in any order.

use std::fmt;

use arrow_array::builder::{Int32Builder, StringBuilder};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::rows::{Columns, Place};

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
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of comments")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<u64, A::Error> {
        for row in 0..self.wanted {
            self.place.row.set(row);
            if rows.next_element::<IgnoredAny>()?.is_none() {
                return Ok(row);
            }
        }
        no_more(&mut rows, self.place, self.wanted)?;
        Ok(self.wanted)
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
