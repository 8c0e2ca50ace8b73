use std::sync::Arc;

use arrow_array::builder::{Date32Builder, Int32Builder, ListBuilder, MapBuilder};
use arrow_array::types::{Int8Type, TimestampMillisecondType};
use arrow_array::*;
use arrow_schema::Field;
use delta_kernel::arrow::buffer::{NullBuffer, OffsetBuffer};

use super::*;

const LAST_DAY: i32 = 2_932_896;
const LAST_TIME: i64 = 253_402_300_799_999_999;
const FIRST_DAY: i32 = -719_162;
const FIRST_TIME: i64 = -62_135_596_800_000_000;

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    let values = Decimal128Array::from(values);
    Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
}

fn structs(inner: ArrayRef, nulls: Option<Vec<bool>>) -> ArrayRef {
    let field = Field::new("n", inner.data_type().clone(), true);
    Arc::new(StructArray::new(
        vec![field].into(),
        vec![inner],
        nulls.map(NullBuffer::from),
    ))
}

fn lists(items: ArrayRef, lengths: Vec<usize>, nulls: Option<Vec<bool>>) -> ArrayRef {
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(field, offsets, items, nulls.map(NullBuffer::from)))
}

fn days(values: Vec<i32>) -> ArrayRef {
    Arc::new(Date32Array::from(values))
}

/// As rows of one column, behind 7 others.
fn checked(values: ArrayRef) -> Result<(), String> {
    check_rows(&RecordBatch::try_from_iter([("c", values)]).unwrap(), 7)
}

#[test]
fn the_range_of_dates_and_timestamps_is_that_of_the_calendar() {
    for (day, shown) in [(FIRST_DAY, "0001-01-01"), (LAST_DAY, "9999-12-31")] {
        assert_eq!(Date32Type::to_naive_date_opt(day).unwrap().to_string(), shown);
        assert!(DAYS.contains(&day));
    }
    for (time, shown) in [
        (FIRST_TIME, "0001-01-01 00:00:00"),
        (LAST_TIME, "9999-12-31 23:59:59.999999"),
    ] {
        let known = arrow_array::temporal_conversions::timestamp_us_to_datetime(time).unwrap();
        assert_eq!(known.to_string(), shown);
        assert!(MICROSECONDS.contains(&time));
    }
}

#[test]
fn what_a_table_holds_passes() {
    let mut map = MapBuilder::new(None, Date32Builder::new(), Int32Builder::new());
    map.keys().append_value(LAST_DAY);
    map.values().append_value(1);
    map.append(true).unwrap();
    let good: Vec<ArrayRef> = vec![
        days(vec![FIRST_DAY, 0, LAST_DAY]),
        Arc::new(TimestampMicrosecondArray::from(vec![FIRST_TIME, LAST_TIME])),
        Arc::new(TimestampMicrosecondArray::from(vec![FIRST_TIME, LAST_TIME]).with_timezone("UTC")),
        Arc::new(TimestampNanosecondArray::from(vec![i64::MIN, i64::MAX])),
        Arc::new(Date64Array::from(vec![i64::from(LAST_DAY) * 86_400_000])),
        decimals(vec![Some(99_999), Some(-99_999)], 5, 2),
        decimals(vec![Some(10_i128.pow(38) - 1)], 38, 0),
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, -0.0])),
        Arc::new(map.finish()),
        // What lies below a null is no value.
        Arc::new(Date32Array::new(
            vec![i32::MAX, 0].into(),
            Some(vec![false, true].into()),
        )),
        structs(days(vec![i32::MAX, 0]), Some(vec![false, true])),
        lists(
            days(vec![0, i32::MIN, 1]),
            vec![1, 1, 1],
            Some(vec![true, false, true]),
        ),
        lists(days(vec![i32::MAX, 0, i32::MAX]), vec![1, 1, 1], None).slice(1, 1),
        // No table has the type, which is said before there are rows.
        Arc::new(Time32SecondArray::from(vec![i32::MAX])),
    ];
    for values in good {
        let kind = values.data_type().clone();
        assert_eq!(checked(values), Ok(()), "{kind}");
    }
}

#[test]
fn the_first_value_that_does_not_fit_is_named_with_its_row_and_column() {
    let wild = i64::from(i32::MAX);
    let mut map = MapBuilder::new(None, Int32Builder::new(), Date32Builder::new());
    let mut keyed = MapBuilder::new(None, Date32Builder::new(), Int32Builder::new());
    for (day, row) in [(0, 1), (i32::MAX, 2)] {
        map.keys().append_value(row);
        map.values().append_value(day);
        keyed.keys().append_value(day);
        keyed.values().append_value(row);
    }
    map.append(true).unwrap();
    keyed.append(true).unwrap();
    let mut list = ListBuilder::new(ListBuilder::new(Date32Builder::new()));
    list.append_null();
    list.values().append_value([Some(0), None, Some(i32::MIN)]);
    list.append(true);
    let bad: Vec<(ArrayRef, &str)> = vec![
        (
            days(vec![0, i32::MAX, i32::MIN]),
            "\"c\", row 9: the date 2147483647 days",
        ),
        (days(vec![LAST_DAY + 1]), "\"c\", row 8: the date 2932897 days"),
        (
            days(vec![0, 0, FIRST_DAY - 1]),
            "\"c\", row 10: the date -719163 days",
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![None, Some(LAST_TIME + 1)]).with_timezone("UTC")),
            "\"c\", row 9: the timestamp 253402300800000000 microseconds",
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![FIRST_TIME - 1])),
            "\"c\", row 8: the timestamp -62135596800000001 microseconds",
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![0, 253_402_300_800_000])),
            "\"c\", row 9: the timestamp 253402300800000000 microseconds",
        ),
        (
            Arc::new(Date64Array::from(vec![0, 0, wild * 86_400_000])),
            "\"c\", row 10: the date 2147483647 days",
        ),
        // Conversions that overflow name their row too.
        (
            Arc::new(TimestampSecondArray::from(vec![0, 1, i64::MAX, i64::MAX])),
            "(row 10)",
        ),
        (Arc::new(Date64Array::from(vec![0, i64::MAX])), "(row 9)"),
        (
            decimals(vec![Some(99_999), None, Some(100_000)], 5, 2),
            "\"c\", row 10: the decimal 100000e-2, which has more than the 5 digits",
        ),
        (
            decimals(vec![Some(i128::MIN)], 38, 0),
            "\"c\", row 8: the decimal -1701411834604692317",
        ),
        (structs(days(vec![0, i32::MAX]), None), "\"c.n\", row 9: the date"),
        (
            lists(structs(days(vec![0, 1, i32::MAX]), None), vec![1, 2], None),
            "\"c.element.n\", row 9: the date",
        ),
        (
            Arc::new(list.finish()),
            "\"c.element.element\", row 9: the date -2147483648",
        ),
        (Arc::new(map.finish()), "\"c.value\", row 8: the date"),
        (Arc::new(keyed.finish()), "\"c.key\", row 8: the date"),
        (
            Arc::new(LargeListArray::from_iter_primitive::<
                TimestampMillisecondType,
                _,
                _,
            >([
                Some(vec![Some(0)]),
                Some(vec![None, Some(300_000_000_000_000)]),
            ])),
            "\"c.element\", row 9: the timestamp",
        ),
        (
            Arc::new(DictionaryArray::<Int8Type>::new(
                vec![0, 1, 0].into(),
                days(vec![0, i32::MAX]),
            )),
            "\"c\", row 9: the date",
        ),
    ];
    for (values, wanted) in bad {
        let kind = values.data_type().clone();
        let error = checked(values).unwrap_err();
        assert!(error.contains(wanted), "{kind}: {error}");
        assert!(error.starts_with("column \"c"), "{kind}: {error}");
    }
}

#[test]
fn a_partition_column_takes_what_comes_back() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some(" ")]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"a"[..]), None]));
    let days = days(vec![0]);
    for good in [texts, bytes, days] {
        assert_eq!(partition_values("p", Arc::clone(&good), 0), Ok(good));
    }
    let zeros: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), None, Some(-1.5)]));
    let positive = partition_values("p", zeros, 0).unwrap();
    let bits: Vec<_> = positive
        .as_primitive::<Float64Type>()
        .iter()
        .map(|zero| zero.map(f64::to_bits))
        .collect();
    assert_eq!(bits, [Some(0), Some(0), None, Some((-1.5_f64).to_bits())]);
    let narrow = partition_values("p", Arc::new(Float32Array::from(vec![-0.0])), 0).unwrap();
    assert_eq!(narrow.as_primitive::<Float32Type>().value(0).to_bits(), 0);
    let empty: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("")]));
    let no_bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"a"[..]), None, Some(b"")]));
    let no_text: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&b"a"[..]), None, Some(b"\xff")]));
    for (bad, what) in [(empty, "empty"), (no_bytes, "empty"), (no_text, "UTF-8")] {
        let error = partition_values("p", bad, 4).unwrap_err();
        assert!(
            error.starts_with("column \"p\", row 7: ") && error.contains(what),
            "{error}"
        );
    }
}
