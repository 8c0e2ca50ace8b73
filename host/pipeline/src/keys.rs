use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_row::{RowConverter, SortField};
use arrow_schema::Schema;

use crate::{SourceError, is_unprintable};

/// Keys of one micro-batch that are remembered, in some 40 MB. Later rows are not compared any more.
const MAX_KEYS: usize = 4_000_000;
/// Characters of a key in a message.
const SHOWN: usize = 80;

/// The keys of one micro-batch, over all of its partitions. None may come twice: a remote that ignores where a page is to
/// begin gives the same rows again, and so does one whose rows move while they are read.
///
/// What is kept of each is a hash that another reading makes differently, so two keys are not taken for one again.
pub(crate) struct SeenKeys {
    columns: Vec<usize>,
    names: Vec<String>,
    rows: RowConverter,
    hash: RandomState,
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
    max: usize,
    /// Rows that came.
    count: u64,
}

/// Hashes are well mixed already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

impl SeenKeys {
    /// For rows of this schema, identified by these columns. `None` when there are none, or not all of them are there and
    /// can be compared.
    pub(crate) fn new(key: &[String], schema: &Schema) -> Option<Self> {
        let mut columns = Vec::with_capacity(key.len());
        let mut fields = Vec::with_capacity(key.len());
        for name in key {
            let (column, field) = schema.column_with_name(name)?;
            columns.push(column);
            fields.push(SortField::new(field.data_type().clone()));
        }
        if columns.is_empty() || !RowConverter::supports_fields(&fields) {
            return None;
        }
        Some(Self {
            columns,
            names: key.to_vec(),
            rows: RowConverter::new(fields).ok()?,
            hash: RandomState::new(),
            seen: HashSet::default(),
            max: MAX_KEYS,
            count: 0,
        })
    }

    /// Looks at the next rows. A row of which a part of the key is null has none.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`], because another reading may find the rows in order, that names the row and its key.
    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<(), SourceError> {
        if self.seen.len() >= self.max {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .filter_map(|column| batch.columns().get(*column).map(Arc::clone))
            .collect();
        let Ok(rows) = self.rows.convert_columns(&columns) else {
            return Ok(());
        };
        let nulls: Vec<_> = columns
            .iter()
            .filter_map(|column| column.logical_nulls())
            .collect();
        for (row, key) in rows.iter().enumerate() {
            self.count += 1;
            if nulls.iter().any(|nulls| nulls.is_null(row)) {
                continue;
            }
            if !self.seen.insert(self.hash.hash_one(key.data())) {
                return Err(self.twice(&columns, row));
            }
        }
        if self.seen.len() >= self.max {
            tracing::warn!(
                keys = self.seen.len(),
                "one micro-batch has more keys than are compared: later ones are not"
            );
        }
        Ok(())
    }

    fn twice(&self, columns: &[ArrayRef], row: usize) -> SourceError {
        let options = FormatOptions::default().with_display_error(true);
        let values = columns.iter().zip(&self.names).map(|(column, name)| {
            let shown = ArrayFormatter::try_new(column, &options).map(|shown| shown.value(row).to_string());
            format!("{name} = {}", printable(&shown.unwrap_or_default()))
        });
        let values: Vec<_> = values.collect();
        SourceError::Unavailable {
            message: format!(
                "row {} of the micro-batch has the key {}, which a row before it has: the remote gives rows again, or they \
                 moved while they were read (`source.key` says what tells rows apart; `key = []` if nothing does)",
                self.count,
                values.join(", ")
            ),
            retry_after: None,
        }
    }
}

/// A value as people may see it.
fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .map(|c| {
            if is_unprintable(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, Float64Array, Int32Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .unwrap()
    }

    fn ids(ids: &[Option<i32>]) -> RecordBatch {
        batch(vec![("id", Arc::new(Int32Array::from(ids.to_vec())))])
    }

    fn seen(key: &[&str], batch: &RecordBatch) -> SeenKeys {
        let key: Vec<_> = key.iter().map(|name| (*name).to_owned()).collect();
        SeenKeys::new(&key, &batch.schema()).unwrap()
    }

    #[test]
    fn a_repeated_key_is_named_with_its_row() {
        let first = ids(&[Some(1), Some(2), None, None, Some(3)]);
        let mut seen = seen(&["id"], &first);
        seen.check(&first).unwrap();
        seen.check(&ids(&[None, Some(4)])).unwrap();
        let error = seen.check(&ids(&[Some(5), Some(2)])).unwrap_err();
        let SourceError::Unavailable { message, .. } = error else {
            panic!("{error}");
        };
        assert!(
            message.starts_with("row 9 of the micro-batch has the key id = 2, which"),
            "{message}"
        );
    }

    #[test]
    fn keys_of_several_columns_and_all_plain_types_are_compared_as_a_whole() {
        let rows = |texts: [&str; 2], numbers: [i64; 2]| {
            let numbers = numbers.to_vec();
            batch(vec![
                ("text", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef),
                ("time", Arc::new(TimestampMicrosecondArray::from(numbers.clone()))),
                (
                    "price",
                    Arc::new(Decimal128Array::from(vec![i128::from(numbers[0]); 2])),
                ),
                ("float", Arc::new(Float64Array::from(vec![0.5, -0.0]))),
            ])
        };
        let first = rows(["a", "ab"], [1, 2]);
        let mut seen = seen(&["text", "time", "price", "float"], &first);
        seen.check(&first).unwrap();
        seen.check(&rows(["ab", "a"], [1, 2])).unwrap();
        seen.check(&rows(["a", "ab"], [1, 3])).unwrap_err();
    }

    #[test]
    fn what_a_message_shows_of_a_key_is_short_and_harmless() {
        let long = format!("\u{1b}[2J{}", "x".repeat(10_000));
        let rows = batch(vec![("id", Arc::new(StringArray::from(vec![long.as_str(); 2])))]);
        let said = seen(&["id"], &rows).check(&rows).unwrap_err().to_string();
        assert!(
            said.len() < 500 && said.contains("id = \u{fffd}[2Jxxx") && said.contains('…'),
            "{said}"
        );
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }

    #[test]
    fn without_columns_that_are_there_nothing_is_compared() {
        let schema = ids(&[]).schema();
        for key in [vec![], vec!["id".to_owned(), "more".to_owned()]] {
            assert!(SeenKeys::new(&key, &schema).is_none());
        }
    }

    #[test]
    fn beyond_the_maximum_no_more_keys_are_remembered() {
        let first = ids(&[Some(1), Some(2), Some(3)]);
        let mut seen = seen(&["id"], &first);
        seen.max = 3;
        seen.check(&first).unwrap();
        seen.check(&first).unwrap();
        assert_eq!(seen.seen.len(), 3);
    }
}
