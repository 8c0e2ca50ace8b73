//! Rows as JSON become the same arrays as rows that are built as Arrow, over all types and values.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate};
use proptest::collection::vec;
use proptest::prelude::*;
use sandbar_rows::{Decoder, RowLimits, Selection};

/// A value, neither JSON nor Arrow.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Boolean(bool),
    /// Of integers, decimals, days and times.
    Number(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Elements, or fields in their order.
    Many(Vec<Value>),
    Map(Vec<(String, Value)>),
}

const UTC: &str = "UTC";

fn scalar() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int8),
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::UInt8),
        Just(DataType::UInt16),
        Just(DataType::UInt32),
        Just(DataType::UInt64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        (1..=38_u8, 0..=38_i8)
            .prop_map(|(precision, scale)| { DataType::Decimal128(precision, scale.min(precision as i8)) }),
        Just(DataType::Date32),
        (unit(), any::<bool>()).prop_map(|(unit, utc)| DataType::Timestamp(unit, utc.then(|| UTC.into()))),
        Just(DataType::Utf8),
        Just(DataType::LargeUtf8),
        Just(DataType::Binary),
        Just(DataType::LargeBinary),
    ]
}

fn unit() -> impl Strategy<Value = TimeUnit> {
    prop_oneof![
        Just(TimeUnit::Second),
        Just(TimeUnit::Millisecond),
        Just(TimeUnit::Microsecond),
        Just(TimeUnit::Nanosecond),
    ]
}

fn data_type() -> impl Strategy<Value = DataType> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (inner.clone(), any::<bool>()).prop_map(|(inner, nullable)| {
                DataType::List(Arc::new(Field::new("element", inner, nullable)))
            }),
            inner
                .clone()
                .prop_map(|inner| DataType::LargeList(Arc::new(Field::new("item", inner, true)))),
            vec((inner.clone(), any::<bool>()), 1..4).prop_map(|fields| DataType::Struct(named(fields))),
            inner.prop_map(|inner| {
                let pair = vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", inner, true),
                ];
                DataType::Map(
                    Arc::new(Field::new("entries", DataType::Struct(pair.into()), false)),
                    false,
                )
            }),
        ]
    })
}

/// Fields with names that JSON has to escape.
fn named(fields: Vec<(DataType, bool)>) -> Fields {
    let name = |index| format!("f\"{index}\\\u{e4}");
    let fields = fields.into_iter().enumerate();
    fields
        .map(|(index, (data_type, nullable))| Field::new(name(index), data_type, nullable))
        .collect()
}

fn value_of(data_type: &DataType, is_nullable: bool) -> BoxedStrategy<Value> {
    let value = match data_type {
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::Int8 => any::<i8>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::Int16 => any::<i16>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::Int32 => any::<i32>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::Int64 => any::<i64>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::UInt8 => any::<u8>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::UInt16 => any::<u16>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::UInt32 => any::<u32>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::UInt64 => any::<u64>().prop_map(|n| Value::Number(n.into())).boxed(),
        DataType::Float32 => any::<f32>().prop_map(|n| Value::Float(n.into())).boxed(),
        DataType::Float64 => any::<f64>().prop_map(Value::Float).boxed(),
        DataType::Decimal128(precision, _) => {
            let bound = 10_i128.pow(u32::from(*precision));
            (1 - bound..bound).prop_map(Value::Number).boxed()
        }
        DataType::Date32 => (-700_000..2_900_000_i128).prop_map(Value::Number).boxed(),
        // What all units hold: nanoseconds from 1678 to 2262.
        DataType::Timestamp(unit, _) => {
            let per_second = per_second(*unit);
            (-9_200_000_000 * per_second..9_200_000_000 * per_second)
                .prop_map(Value::Number)
                .boxed()
        }
        DataType::Utf8 | DataType::LargeUtf8 => any::<String>().prop_map(Value::Text).boxed(),
        DataType::Binary | DataType::LargeBinary => vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed(),
        DataType::List(field) | DataType::LargeList(field) => {
            vec(value_of(field.data_type(), field.is_nullable()), 0..4)
                .prop_map(Value::Many)
                .boxed()
        }
        DataType::Struct(fields) => {
            let values: Vec<_> = fields
                .iter()
                .map(|field| value_of(field.data_type(), field.is_nullable()))
                .collect();
            values.prop_map(Value::Many).boxed()
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!()
            };
            let entry = (any::<String>(), value_of(pair[1].data_type(), true));
            let distinct = |mut entries: Vec<(String, Value)>| {
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                entries.dedup_by(|one, other| one.0 == other.0);
                Value::Map(entries)
            };
            vec(entry, 0..4).prop_map(distinct).boxed()
        }
        other => panic!("{other}"),
    };
    match is_nullable {
        true => prop_oneof![1 => Just(Value::Null), 4 => value].boxed(),
        false => value,
    }
}

fn per_second(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A schema, and rows of it.
fn table() -> impl Strategy<Value = (Fields, Vec<Value>)> {
    vec((data_type(), any::<bool>()), 1..4).prop_flat_map(|fields| {
        let fields = named(fields);
        let row = value_of(&DataType::Struct(fields.clone()), false);
        (Just(fields), vec(row, 0..5))
    })
}

fn json(data_type: &DataType, value: &Value) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    match (data_type, value) {
        (_, Value::Null) => "null".into(),
        (_, Value::Boolean(value)) => value.to_string(),
        (DataType::Decimal128(_, scale), Value::Number(value)) => decimal(*value, *scale),
        (DataType::Date32, Value::Number(days)) => {
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            quoted(&(epoch + chrono::TimeDelta::days(*days as i64)).to_string())
        }
        (DataType::Timestamp(unit, zone), Value::Number(value)) => {
            let nanos = value * (1_000_000_000 / per_second(*unit));
            let second = nanos.div_euclid(1_000_000_000);
            let time =
                DateTime::from_timestamp(second as i64, nanos.rem_euclid(1_000_000_000) as u32).unwrap();
            // Another zone is the same time.
            let shifted = time.with_timezone(&chrono::FixedOffset::east_opt(5_400).unwrap());
            quoted(&match zone {
                Some(_) => shifted.to_rfc3339(),
                None => format!("{:?}", time.naive_utc()),
            })
        }
        (_, Value::Number(value)) => value.to_string(),
        (DataType::Float32, Value::Float(value)) => (*value as f32).to_string(),
        (_, Value::Float(value)) => value.to_string(),
        (_, Value::Text(text)) => quoted(text),
        (_, Value::Bytes(bytes)) => quoted(&STANDARD.encode(bytes)),
        (DataType::Struct(fields), Value::Many(values)) => {
            let members = fields
                .iter()
                .zip(values)
                .filter(|(_, value)| !matches!(value, Value::Null));
            let members: Vec<_> = members
                .map(|(field, value)| {
                    format!("{} :\t{}", quoted(field.name()), json(field.data_type(), value))
                })
                .rev()
                .collect();
            format!("{{{}}}", members.join(","))
        }
        (DataType::List(field) | DataType::LargeList(field), Value::Many(values)) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| json(field.data_type(), value))
                .collect();
            format!("[ {} ]", values.join(" , "))
        }
        (DataType::Map(entries, _), Value::Map(values)) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!()
            };
            let members: Vec<_> = values
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), json(pair[1].data_type(), value)))
                .collect();
            format!("{{{}}}", members.join(",\n"))
        }
        (data_type, value) => panic!("{data_type}: {value:?}"),
    }
}

fn decimal(value: i128, scale: i8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let scale = scale as usize;
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Number(value) => Some(*value),
        _ => None,
    }
}

fn arrow(data_type: &DataType, values: &[Value]) -> ArrayRef {
    macro_rules! integers {
        ($array:ty) => {
            Arc::new(<$array>::from_iter(
                values
                    .iter()
                    .map(|value| number(value).map(|n| n.try_into().unwrap())),
            ))
        };
    }
    let float = |value: &Value| match value {
        Value::Float(value) => Some(*value),
        _ => None,
    };
    let text = |value: &Value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let bytes = |value: &Value| match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let nulls: NullBuffer = values.iter().map(|value| !matches!(value, Value::Null)).collect();
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    let elements = || -> (Vec<usize>, Vec<Value>) {
        let many = |value: &Value| match value {
            Value::Many(values) => values.clone(),
            _ => vec![],
        };
        let all: Vec<_> = values.iter().map(many).collect();
        (all.iter().map(Vec::len).collect(), all.concat())
    };
    match data_type {
        DataType::Boolean => {
            let boolean = |value: &Value| match value {
                Value::Boolean(value) => Some(*value),
                _ => None,
            };
            Arc::new(BooleanArray::from_iter(values.iter().map(boolean)))
        }
        DataType::Int8 => integers!(Int8Array),
        DataType::Int16 => integers!(Int16Array),
        DataType::Int32 => integers!(Int32Array),
        DataType::Int64 => integers!(Int64Array),
        DataType::UInt8 => integers!(UInt8Array),
        DataType::UInt16 => integers!(UInt16Array),
        DataType::UInt32 => integers!(UInt32Array),
        DataType::UInt64 => integers!(UInt64Array),
        DataType::Date32 => integers!(Date32Array),
        DataType::Float32 => {
            let floats = values.iter().map(|value| float(value).map(|value| value as f32));
            Arc::new(PrimitiveArray::<Float32Type>::from_iter(floats))
        }
        DataType::Float64 => Arc::new(PrimitiveArray::<Float64Type>::from_iter(values.iter().map(float))),
        DataType::Decimal128(precision, scale) => {
            let values = Decimal128Array::from_iter(values.iter().map(number));
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Timestamp(unit, zone) => match unit {
            TimeUnit::Second => times::<types::TimestampSecondType>(values, zone),
            TimeUnit::Millisecond => times::<types::TimestampMillisecondType>(values, zone),
            TimeUnit::Microsecond => times::<types::TimestampMicrosecondType>(values, zone),
            TimeUnit::Nanosecond => times::<types::TimestampNanosecondType>(values, zone),
        },
        DataType::Utf8 => Arc::new(StringArray::from_iter(values.iter().map(text))),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter(values.iter().map(text))),
        DataType::Binary => Arc::new(BinaryArray::from_iter(values.iter().map(bytes))),
        DataType::LargeBinary => Arc::new(LargeBinaryArray::from_iter(values.iter().map(bytes))),
        DataType::List(field) => {
            let (lengths, elements) = elements();
            let elements = arrow(field.data_type(), &elements);
            Arc::new(ListArray::new(
                field.clone(),
                OffsetBuffer::from_lengths(lengths),
                elements,
                nulls,
            ))
        }
        DataType::LargeList(field) => {
            let (lengths, elements) = elements();
            let elements = arrow(field.data_type(), &elements);
            Arc::new(LargeListArray::new(
                field.clone(),
                OffsetBuffer::from_lengths(lengths),
                elements,
                nulls,
            ))
        }
        DataType::Struct(fields) => {
            let column = |index: usize| -> Vec<Value> {
                let field = |value: &Value| match value {
                    Value::Many(values) => values[index].clone(),
                    _ => Value::Null,
                };
                values.iter().map(field).collect()
            };
            let columns = fields.iter().enumerate();
            let columns = columns
                .map(|(index, field)| arrow(field.data_type(), &column(index)))
                .collect();
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!()
            };
            let all: Vec<_> = values
                .iter()
                .map(|value| match value {
                    Value::Map(entries) => entries.clone(),
                    _ => vec![],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(all.iter().map(Vec::len));
            let (keys, values): (Vec<_>, Vec<_>) = all.concat().into_iter().unzip();
            let keys = Arc::new(StringArray::from(keys)) as ArrayRef;
            let columns = vec![keys, arrow(pair[1].data_type(), &values)];
            let pairs = StructArray::new(pair.clone(), columns, None);
            Arc::new(MapArray::new(entries.clone(), offsets, pairs, nulls, false))
        }
        other => panic!("{other}"),
    }
}

fn times<T: types::ArrowTimestampType>(values: &[Value], zone: &Option<Arc<str>>) -> ArrayRef {
    let times = values
        .iter()
        .map(|value| number(value).map(|n| n.try_into().unwrap()));
    let times: PrimitiveArray<T> = times.collect();
    Arc::new(times.with_timezone_opt(zone.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn rows_as_json_are_the_rows_that_arrow_has((fields, rows) in table()) {
        let row = DataType::Struct(fields.clone());
        let built = arrow(&row, &rows);
        let built = built.as_any().downcast_ref::<StructArray>().unwrap();
        let schema = Arc::new(Schema::new(fields));
        let decoder = Decoder::new(schema, Selection::default()).unwrap();
        let lines: Vec<_> = rows.iter().map(|value| json(&row, value)).collect();
        for text in [lines.join("\n"), format!(" [{}] ", lines.join(","))] {
            let read = decoder.decode(text.as_bytes(), RowLimits::new(1_000, 1 << 20)).unwrap();
            prop_assert_eq!(read.num_rows(), rows.len());
            for (read, built) in read.columns().iter().zip(built.columns()) {
                prop_assert_eq!(read, built, "{}", text);
            }
        }
    }

    #[test]
    fn no_text_makes_the_decoder_panic_or_take_more_than_it_may(
        (fields, rows) in table(),
        edits in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let row = DataType::Struct(fields.clone());
        let lines: Vec<_> = rows.iter().map(|value| json(&row, value)).collect();
        let mut text = lines.join("\n").into_bytes();
        for (at, byte) in edits {
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = byte;
            }
        }
        text.truncate(cut.index(text.len() + 1));
        let decoder = Decoder::new(Arc::new(Schema::new(fields)), Selection::default()).unwrap();
        match decoder.decode(&text, RowLimits::new(3, 200)) {
            Ok(rows) => prop_assert!(rows.num_rows() <= 3),
            Err(error) => prop_assert!(!error.to_string().contains("make sense"), "{}", error),
        }
    }
}
