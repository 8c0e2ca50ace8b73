use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::schema::{DataType as DeltaType, StructField, StructType};

/// The schema of a new table for rows of this source.
///
/// Every column may be null: a table with a column that must not be needs another writer feature, and a
/// connector could never again relax a promise that it once made.
///
/// # Errors
/// A message for people: no columns, a name twice, a type that a table can't hold.
pub(crate) fn new_table(source: &Schema, stamp: Option<&str>) -> Result<StructType, String> {
    StructType::try_new(missing_columns(source, None, stamp)?).map_err(|e| e.to_string())
}

/// The columns for rows of this source that a table lacks, as they are added to it; `None` is a table without any.
///
/// Every one may be null, whatever the source promises: the rows that are there have no values for it.
///
/// # Errors
/// As [`new_table`].
pub(crate) fn missing_columns(
    source: &Schema,
    table: Option<&StructType>,
    stamp: Option<&str>,
) -> Result<Vec<StructField>, String> {
    check_names(source, stamp)?;
    let columns = table.into_iter().flat_map(StructType::fields);
    let present: HashSet<String> = columns.map(|column| column.name().to_lowercase()).collect();
    let lacks = |name: &str| !present.contains(&name.to_lowercase());
    let fields: Vec<Field> = source
        .fields()
        .iter()
        .filter(|field| lacks(field.name()))
        .map(|field| {
            Ok(Field::new(
                field.name(),
                table_type(field.name(), field.data_type())?,
                true,
            ))
        })
        .collect::<Result<_, String>>()?;
    let columns = StructType::try_from_arrow(&Schema::new(fields)).map_err(|e| e.to_string())?;
    let stamp = stamp.filter(|name| lacks(name));
    let stamp = stamp.map(|name| StructField::nullable(name, DeltaType::TIMESTAMP));
    Ok(columns.into_fields().chain(stamp).collect())
}

/// Refuses a source without columns and names that are the same to a table.
pub(crate) fn check_names(source: &Schema, stamp: Option<&str>) -> Result<(), String> {
    if source.fields().is_empty() {
        return Err("the source has no columns; a table needs at least one".to_owned());
    }
    let mut seen = HashSet::new();
    for field in source.fields() {
        if !seen.insert(field.name().to_lowercase()) {
            return Err(format!(
                "the source has the column {:?} more than once; a table does not tell upper and lower case apart",
                field.name()
            ));
        }
    }
    match stamp {
        Some(name) if seen.contains(&name.to_lowercase()) => Err(format!(
            "ingested_at = {name:?} is already the name of a column of the source; choose another name"
        )),
        _ => Ok(()),
    }
}

/// The Arrow type under which a table holds values of a source's type.
///
/// The same type where Delta has it; else the smallest type that holds every value: the next larger signed
/// integer for an unsigned one, `Decimal128(20, 0)` for `UInt64`. Large, view and fixed-size layouts, and
/// dictionaries become plain ones. Timestamps become microseconds; what is finer is cut off.
///
/// # Errors
/// A message for people that names the column, its type and what to do.
pub(crate) fn table_type(column: &str, from: &DataType) -> Result<DataType, String> {
    let refuse = |remedy: &str| {
        Err(format!(
            "column {column:?} has the type {from}, which a Delta table can't hold: {remedy}"
        ))
    };
    Ok(match from {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => from.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Date64 => DataType::Date32,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            if *scale < 0 || i16::from(*scale) > i16::from(*precision) {
                return refuse("give it a scale between 0 and its precision");
            }
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(zone)) if is_utc(zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Dictionary(_, values) => table_type(column, values)?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let item = table_type(&format!("{column}.{}", item.name()), item.data_type())?;
            DataType::List(Arc::new(Field::new("element", item, true)))
        }
        DataType::Struct(fields) if fields.is_empty() => return refuse("give it at least one field"),
        DataType::Struct(fields) => DataType::Struct(nested(column, fields)?),
        DataType::Map(entries, _) => return map_type(column, from, entries),
        DataType::Null => return refuse("give it a type"),
        DataType::Float16 => return refuse("send it as Float32"),
        DataType::Time32(_) | DataType::Time64(_) => return refuse("send it as Int64 or Utf8"),
        DataType::Duration(_) | DataType::Interval(_) => {
            return refuse("send it as Int64, in a unit that its name tells");
        }
        DataType::Decimal256(..) => {
            return refuse("send it as Decimal128 with at most 38 digits, or as Utf8");
        }
        DataType::Timestamp(..) => return refuse("send it in UTC"),
        DataType::RunEndEncoded(..) => return refuse("send its values one by one"),
        DataType::Union(..) => return refuse("send it as a struct with one field for each kind"),
    })
}

fn nested(column: &str, fields: &Fields) -> Result<Fields, String> {
    let mut seen = HashSet::new();
    fields
        .iter()
        .map(|field| {
            let path = format!("{column}.{}", field.name());
            if !seen.insert(field.name().to_lowercase()) {
                return Err(format!("the source has the column {path:?} more than once"));
            }
            Ok(Field::new(
                field.name(),
                table_type(&path, field.data_type())?,
                true,
            ))
        })
        .collect()
}

fn map_type(column: &str, from: &DataType, entries: &Field) -> Result<DataType, String> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(format!(
            "column {column:?} has the type {from}, which is not a map of keys and values"
        ));
    };
    let [key, value] = fields.as_ref() else {
        return Err(format!(
            "column {column:?} has the type {from}, which is not a map of keys and values"
        ));
    };
    let key = table_type(&format!("{column}.key"), key.data_type())?;
    let value = table_type(&format!("{column}.value"), value.data_type())?;
    let entries = Fields::from(vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ]);
    let entries = Field::new("key_value", DataType::Struct(entries), false);
    Ok(DataType::Map(Arc::new(entries), false))
}

/// Whether a table takes two names for one: it ignores case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn is_utc(zone: &str) -> bool {
    ["utc", "etc/utc", "z", "+00:00", "-00:00", "+00", "+0000"].contains(&zone.to_lowercase().as_str())
}

/// Whether every value of `from`, a type that [`table_type`] gave, fits into a column of the type `to`.
///
/// Beside equal types: an integer into a larger integer, into a decimal with enough digits before the point,
/// or into a float that holds it exactly; `Float32` into `Float64`; a decimal into one with at least as many
/// digits before and after the point; lists, maps and structs by their parts.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, List, Map, Struct};
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
        | (Int16, Int32 | Int64 | Float32 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64) => true,
        (Int8 | Int16 | Int32 | Int64, Decimal128(precision, scale)) => {
            whole_digits(*precision, *scale) >= integer_digits(from)
        }
        (Decimal128(precision, scale), Decimal128(to_precision, to_scale)) => {
            to_scale >= scale && whole_digits(*to_precision, *to_scale) >= whole_digits(*precision, *scale)
        }
        (List(from), List(to)) => widens(from.data_type(), to.data_type()),
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            (Struct(from), Struct(to)) => {
                from.len() == to.len()
                    && from
                        .iter()
                        .zip(to)
                        .all(|(from, to)| widens(from.data_type(), to.data_type()))
            }
            _ => false,
        },
        (Struct(from), Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| {
                    same_name(from.name(), to.name()) && widens(from.data_type(), to.data_type())
                })
        }
        _ => from == to,
    }
}

/// The path of a field inside of a column that the source has and the table lacks.
pub(crate) fn missing_field(path: &str, from: &DataType, table: &DataType) -> Option<String> {
    match (from, table) {
        (DataType::Struct(from), DataType::Struct(table)) => from.iter().find_map(|field| {
            let path = format!("{path}.{}", field.name());
            match table.iter().find(|column| same_name(column.name(), field.name())) {
                Some(column) => missing_field(&path, field.data_type(), column.data_type()),
                None => Some(path),
            }
        }),
        (DataType::List(from), DataType::List(table)) => {
            missing_field(&format!("{path}.element"), from.data_type(), table.data_type())
        }
        _ => None,
    }
}

fn whole_digits(precision: u8, scale: i8) -> i16 {
    i16::from(precision) - i16::from(scale)
}

fn integer_digits(integer: &DataType) -> i16 {
    match integer {
        DataType::Int8 => 3,
        DataType::Int16 => 5,
        DataType::Int32 => 10,
        _ => 19,
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
