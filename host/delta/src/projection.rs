use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow_schema::{DataType, Schema};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::schema::{DataType as DeltaType, StructField, StructType};

use crate::schema::{check_names, missing_field, same_name, table_type, widens};
use crate::values::{converted, partition_values};

/// How rows of a source become columns of a table.
#[derive(Debug)]
pub(crate) struct Projection {
    data: Vec<Column>,
    partition: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    target: DataType,
    origin: Origin,
}

/// Where a column of the table gets its values from.
#[derive(Debug)]
enum Origin {
    Source(usize),
    Null,
    Stamp,
}

impl Projection {
    /// The table's columns that the source does not have.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &str> {
        let columns = self.data.iter().chain(&self.partition);
        let left_out = columns.filter(|column| matches!(column.origin, Origin::Null));
        left_out.map(|column| column.name.as_str())
    }

    /// Compares a source with a table's logical schema, which has all of its columns.
    ///
    /// # Errors
    /// A message for people: a column that the source lacks and that must not be null, or a type whose values don't all
    /// fit.
    pub(crate) fn new(
        source: &Schema,
        table: &StructType,
        partition_columns: &[String],
        stamp: Option<&str>,
    ) -> Result<Self, String> {
        check_names(source, stamp)?;
        let names = source.fields().iter().map(|f| f.name().as_str()).chain(stamp);
        for name in names {
            if !table.fields().any(|column| same_name(column.name(), name)) {
                return Err(format!("the table has no column {name:?}"));
            }
        }
        let mut projection = Self {
            data: Vec::new(),
            partition: Vec::new(),
        };
        for name in partition_columns {
            let field = table
                .field(name)
                .ok_or_else(|| format!("the table is partitioned by {name:?}, which is no column of it"))?;
            projection.partition.push(column(source, field, stamp)?);
        }
        for field in table
            .fields()
            .filter(|field| !partition_columns.contains(field.name()))
        {
            let column = column(source, field, stamp)?;
            // A void column holds nothing but nulls, and no file has it.
            if column.target != DataType::Null {
                projection.data.push(column);
            }
        }
        Ok(projection)
    }

    /// The table's data columns, in its order and in its types. `before` is the number of rows before these.
    pub(crate) fn data(&self, rows: &RecordBatch, stamp: i64, before: u64) -> Result<Vec<ArrayRef>, String> {
        self.data
            .iter()
            .map(|column| column.values(rows, stamp, before))
            .collect()
    }

    /// The table's partition columns, in the order of its partitioning and in its types.
    pub(crate) fn partition(
        &self,
        rows: &RecordBatch,
        stamp: i64,
        before: u64,
    ) -> Result<Vec<ArrayRef>, String> {
        self.partition
            .iter()
            .map(|column| {
                let values = column.values(rows, stamp, before)?;
                partition_values(&column.name, values, before)
            })
            .collect()
    }

    pub(crate) fn partition_columns(&self) -> impl Iterator<Item = &str> {
        self.partition.iter().map(|column| column.name.as_str())
    }
}

impl Column {
    fn values(&self, rows: &RecordBatch, stamp: i64, before: u64) -> Result<ArrayRef, String> {
        Ok(match self.origin {
            Origin::Source(index) => converted(&self.name, rows.column(index), &self.target, before)?,
            Origin::Null => new_null_array(&self.target, rows.num_rows()),
            Origin::Stamp => {
                Arc::new(TimestampMicrosecondArray::from_value(stamp, rows.num_rows()).with_timezone("UTC"))
            }
        })
    }
}

fn column(source: &Schema, field: &StructField, stamp: Option<&str>) -> Result<Column, String> {
    let name = field.name();
    let target: DataType = field
        .data_type()
        .try_into_arrow()
        .map_err(|e| format!("the table's column {name:?} has a type that can't be written: {e}"))?;
    let found = source
        .fields()
        .iter()
        .position(|column| same_name(column.name(), name));
    let origin = match found {
        Some(index) => {
            let from = source.field(index).data_type();
            let stored = table_type(name, from)?;
            if let Some(path) = missing_field(name, &stored, &target) {
                return Err(format!(
                    "the source has the field {path:?}, which the table's column {name:?} lacks, and only whole columns are \
                     added; send it as a column of its own, or write to a new table"
                ));
            }
            if !widens(&stored, &target) {
                return Err(format!(
                    "column {name:?} has the type {from} in the source and {target} in the table, and not every \
                     value fits; change the connector's type, or write to a new table"
                ));
            }
            Origin::Source(index)
        }
        None if stamp.is_some_and(|stamp| same_name(stamp, name)) => {
            if *field.data_type() != DeltaType::TIMESTAMP {
                return Err(format!(
                    "ingested_at = {name:?} is a column of the type {} in the table, not a timestamp; \
                     choose another name",
                    field.data_type()
                ));
            }
            Origin::Stamp
        }
        None if field.is_nullable() => Origin::Null,
        None => {
            return Err(format!(
                "the table's column {name:?} must not be null, and the source does not send it"
            ));
        }
    };
    Ok(Column {
        name: name.clone(),
        target,
        origin,
    })
}
