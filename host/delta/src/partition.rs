use std::collections::HashMap;

use arrow_array::{ArrayRef, UInt32Array};
use delta_kernel::arrow::row::{RowConverter, SortField};
use delta_kernel::engine::arrow_conversion::scalar::extract_primitive_scalar;
use delta_kernel::expressions::Scalar;

/// Rows of one batch that belong into one partition.
pub(crate) struct Group {
    /// Equal for equal partition values, over all batches of a [`Splitter`].
    pub(crate) key: Box<[u8]>,
    /// The partition's values, in the order of the columns.
    pub(crate) values: Vec<Scalar>,
    /// Which rows; `None` for all of them.
    pub(crate) rows: Option<UInt32Array>,
}

/// Sorts rows into partitions by the values of some columns. Without columns, all rows are one partition.
pub(crate) struct Splitter {
    converter: Option<RowConverter>,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { converter: None }
    }

    /// Splits one batch. Groups come in the order of their first rows.
    pub(crate) fn split(&mut self, columns: &[ArrayRef]) -> Result<Vec<Group>, String> {
        if columns.is_empty() {
            return Ok(vec![Group {
                key: Box::default(),
                values: Vec::new(),
                rows: None,
            }]);
        }
        let converter = match &mut self.converter {
            Some(converter) => converter,
            none => {
                let fields = columns
                    .iter()
                    .map(|column| SortField::new(column.data_type().clone()))
                    .collect();
                none.insert(RowConverter::new(fields).map_err(|e| e.to_string())?)
            }
        };
        let keys = converter.convert_columns(columns).map_err(|e| e.to_string())?;
        let mut index: HashMap<&[u8], usize> = HashMap::new();
        let mut members: Vec<Vec<u32>> = Vec::new();
        for (row, key) in (0u32..).zip(keys.iter()) {
            let group = *index.entry(key.data()).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[group].push(row);
        }
        let single = members.len() == 1;
        members
            .into_iter()
            .map(|rows| {
                let first = rows.first().map_or(0, |row| *row as usize);
                let values = columns
                    .iter()
                    .map(|column| extract_primitive_scalar(column.as_ref(), first))
                    .collect::<Result<_, _>>()
                    .map_err(|e| e.to_string())?;
                Ok(Group {
                    key: keys.row(first).data().into(),
                    values,
                    rows: (!single).then(|| UInt32Array::from(rows)),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_grouped_by_value() {
        let mut splitter = Splitter::new();
        let day: ArrayRef = Arc::new(StringArray::from(vec![
            Some("mon"),
            None,
            Some("mon"),
            Some("tue"),
        ]));
        let hour: ArrayRef = Arc::new(Int32Array::from(vec![1, 1, 1, 1]));
        let groups = splitter.split(&[day, Arc::clone(&hour)]).unwrap();
        let rows: Vec<_> = groups
            .iter()
            .map(|g| g.rows.as_ref().unwrap().values().to_vec())
            .collect();
        assert_eq!(rows, [vec![0, 2], vec![1], vec![3]]);
        assert_eq!(groups[0].values, [Scalar::from("mon"), Scalar::from(1)]);
        assert!(groups[1].values[0].is_null());

        let again: ArrayRef = Arc::new(StringArray::from(vec![Some("tue"); 4]));
        let next = splitter.split(&[again, hour]).unwrap();
        assert_eq!(next.len(), 1);
        assert!(next[0].rows.is_none());
        assert_eq!(next[0].key, groups[2].key);
    }
}
