//! Whether values fit the types that they are stored under. Arrow does not ask: its dates, timestamps and decimals hold
//! more than a table's do.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float32Type, Float64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::CastOptions;
use arrow_schema::{DataType, TimeUnit};

use crate::schema::table_type;

/// Days since 1970-01-01 from 0001-01-01 to 9999-12-31, the range of Spark's `DateType`. The Delta protocol writes dates
/// with years of four digits, into statistics and partition values, and has no other words for them.
const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;
/// Microseconds since 1970-01-01 in the same years, the range of Spark's `TimestampType`.
const MICROSECONDS: RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// Checks whether a table that is made for these rows can hold all of them, as staging them would. `before` is the number
/// of rows before these. Columns of a type that no table has are passed over.
///
/// # Errors
/// A message for people that names the column, the row, counted from 1, and the value.
pub(crate) fn check_rows(rows: &RecordBatch, before: u64) -> Result<(), String> {
    for (field, values) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if let Ok(target) = table_type(field.name(), values.data_type()) {
            converted(field.name(), values, &target, before)?;
        }
    }
    Ok(())
}

/// Changes the type of a column, and checks each value. `before` is the number of rows before these.
pub(crate) fn converted(
    column: &str,
    values: &ArrayRef,
    target: &DataType,
    before: u64,
) -> Result<ArrayRef, String> {
    let values = cast(column, values, target).map_err(|reason| {
        let row = before + 1 + first_failing(values, |part| cast(column, part, target).is_err()) as u64;
        format!("{reason} (row {row})")
    })?;
    check(column, &values, before)?;
    Ok(values)
}

/// Refuses the first value that a table can't hold.
fn check(column: &str, values: &ArrayRef, before: u64) -> Result<(), String> {
    if !may_misfit(values) {
        return Ok(());
    }
    let found = (0..values.len()).find_map(|row| Some((row, misfit(values, row)?)));
    match found {
        Some((row, Misfit { path, what })) => {
            let row = before + 1 + row as u64;
            let column = format!("{column}{path}");
            Err(format!("column {column:?}, row {row}: {what}"))
        }
        // What does not fit lies below a null.
        None => Ok(()),
    }
}

/// The values of a partition column. Refuses what it can't hold, of the types that it can have. A negative zero becomes
/// the other one, as Spark has it: they are equal to a query, and were two partitions to readers.
pub(crate) fn partition_values(column: &str, values: ArrayRef, before: u64) -> Result<ArrayRef, String> {
    let refuse = |row: usize, what: &str| {
        let row = before + 1 + row as u64;
        Err(format!(
            "column {column:?}, row {row}: the table is partitioned by it, and {what}; have the connector send another \
             value, or partition by another column"
        ))
    };
    let empty = "an empty value would come back as null";
    match values.data_type() {
        DataType::Utf8 => {
            let found = values.as_string::<i32>().iter().position(|text| text == Some(""));
            found.map_or(Ok(()), |row| refuse(row, empty))?;
        }
        DataType::Binary => {
            for (row, bytes) in values.as_binary::<i32>().iter().enumerate() {
                match bytes.map(std::str::from_utf8) {
                    Some(Ok("")) => refuse(row, empty)?,
                    Some(Err(_)) => refuse(row, "bytes that are not UTF-8 can't be written there")?,
                    Some(Ok(_)) | None => {}
                }
            }
        }
        DataType::Float32 => {
            let floats = values.as_primitive::<Float32Type>();
            return Ok(Arc::new(floats.unary::<_, Float32Type>(|value| value + 0.0)));
        }
        DataType::Float64 => {
            let floats = values.as_primitive::<Float64Type>();
            return Ok(Arc::new(floats.unary::<_, Float64Type>(|value| value + 0.0)));
        }
        _ => {}
    }
    Ok(values)
}

/// The first row that `fails`, when a part of the rows fails that holds it. All of them together do.
fn first_failing(values: &ArrayRef, fails: impl Fn(&ArrayRef) -> bool) -> usize {
    let (mut good, mut bad) = (0, values.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        match fails(&values.slice(good, middle - good)) {
            true => bad = middle,
            false => good = middle,
        }
    }
    good
}

/// A quick check that ignores nulls: whether any value could be one that does not fit.
fn may_misfit(values: &dyn Array) -> bool {
    match values.data_type() {
        DataType::Date32 => any(values.as_primitive::<Date32Type>().values(), |day| {
            !DAYS.contains(&day)
        }),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = values.as_primitive::<TimestampMicrosecondType>().values();
            any(values, |time| !MICROSECONDS.contains(&time))
        }
        DataType::Decimal128(precision, _) => {
            let max = largest(*precision);
            any(values.as_primitive::<Decimal128Type>().values(), |value| {
                value.unsigned_abs() > max
            })
        }
        DataType::List(_) => may_misfit(values.as_list::<i32>().values()),
        DataType::Struct(_) => values.as_struct().columns().iter().any(|part| may_misfit(part)),
        DataType::Map(..) => may_misfit(values.as_map().entries()),
        _ => false,
    }
}

/// Looks at all values, without a jump for each.
fn any<T: Copy>(values: &[T], misfits: impl Fn(T) -> bool) -> bool {
    values.iter().fold(false, |found, value| found | misfits(*value))
}

/// The largest number of a given number of digits.
fn largest(precision: u8) -> u128 {
    10_u128.saturating_pow(precision.into()) - 1
}

/// A value that no table can hold.
struct Misfit {
    /// Where it lies inside of its column.
    path: String,
    what: String,
}

impl Misfit {
    fn of(what: String) -> Self {
        let path = String::new();
        Self { path, what }
    }

    fn inside(mut self, part: &str) -> Self {
        self.path.insert_str(0, &format!(".{part}"));
        self
    }
}

/// What is wrong with the value of one row.
fn misfit(values: &dyn Array, row: usize) -> Option<Misfit> {
    if values.is_null(row) {
        return None;
    }
    match values.data_type() {
        DataType::Date32 => {
            let day = values.as_primitive::<Date32Type>().value(row);
            (!DAYS.contains(&day)).then(|| {
                Misfit::of(format!(
                    "the date {day} days from 1970-01-01; dates of a table go from 0001-01-01 to 9999-12-31"
                ))
            })
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let time = values.as_primitive::<TimestampMicrosecondType>().value(row);
            (!MICROSECONDS.contains(&time)).then(|| {
                Misfit::of(format!(
                    "the timestamp {time} microseconds from 1970-01-01; timestamps of a table go from 0001-01-01 to \
                     9999-12-31"
                ))
            })
        }
        DataType::Decimal128(precision, scale) => {
            let value = values.as_primitive::<Decimal128Type>().value(row);
            (value.unsigned_abs() > largest(*precision)).then(|| {
                let shown = match scale {
                    0 => value.to_string(),
                    scale => format!("{value}e-{scale}"),
                };
                Misfit::of(format!(
                    "the decimal {shown}, which has more than the {precision} digits of the column"
                ))
            })
        }
        DataType::List(_) => {
            let list = values.as_list::<i32>();
            in_items(list.values(), list.value_offsets(), row).map(|found| found.inside("element"))
        }
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns();
            fields.iter().zip(columns).find_map(|(field, column)| {
                let found = misfit(column, row)?;
                Some(found.inside(field.name()))
            })
        }
        DataType::Map(..) => {
            let map = values.as_map();
            let of = |part: &ArrayRef, name| {
                in_items(part, map.value_offsets(), row).map(|found: Misfit| found.inside(name))
            };
            of(map.keys(), "key").or_else(|| of(map.values(), "value"))
        }
        _ => None,
    }
}

fn in_items(items: &ArrayRef, offsets: &[i32], row: usize) -> Option<Misfit> {
    let place = |at: usize| offsets.get(at).map_or(0, |place| *place as usize);
    (place(row)..place(row + 1)).find_map(|item| misfit(items, item))
}

/// Changes the type of a column. A value that the new type can't hold is an error, never a null.
pub(crate) fn cast(name: &str, values: &ArrayRef, target: &DataType) -> Result<ArrayRef, String> {
    if values.data_type() == target {
        return Ok(Arc::clone(values));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    arrow_cast::cast_with_options(values, target, &options)
        .map_err(|e| format!("column {name:?} holds a value that can't be written as {target}: {e}"))
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
