use arrow_schema::IntervalUnit;

use super::*;

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, true)))
}

fn utc(unit: TimeUnit, zone: &str) -> DataType {
    DataType::Timestamp(unit, Some(zone.into()))
}

#[test]
fn every_type_has_a_rule() {
    use DataType::*;
    let same = [
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        Float32,
        Float64,
        Date32,
        Utf8,
        Binary,
        Decimal128(38, 10),
    ];
    let changed = [
        (UInt8, Int16),
        (UInt16, Int32),
        (UInt32, Int64),
        (UInt64, Decimal128(20, 0)),
        (Decimal32(5, 2), Decimal128(5, 2)),
        (Decimal64(18, 0), Decimal128(18, 0)),
        (Date64, Date32),
        (LargeUtf8, Utf8),
        (Utf8View, Utf8),
        (LargeBinary, Binary),
        (BinaryView, Binary),
        (FixedSizeBinary(16), Binary),
        (Dictionary(Box::new(Int32), Box::new(LargeUtf8)), Utf8),
        (
            Timestamp(TimeUnit::Nanosecond, None),
            Timestamp(TimeUnit::Microsecond, None),
        ),
        (utc(TimeUnit::Second, "UTC"), utc(TimeUnit::Microsecond, "UTC")),
        (
            utc(TimeUnit::Microsecond, "+00:00"),
            utc(TimeUnit::Microsecond, "UTC"),
        ),
        (LargeList(Arc::new(Field::new("item", UInt8, false))), list(Int16)),
        (
            FixedSizeList(Arc::new(Field::new("item", Utf8View, true)), 2),
            list(Utf8),
        ),
    ];
    for (from, to) in same.into_iter().map(|t| (t.clone(), t)).chain(changed) {
        assert_eq!(table_type("c", &from).as_ref(), Ok(&to), "{from}");
        let table = new_table(&Schema::new(vec![Field::new("c", from.clone(), false)]), None);
        assert!(table.unwrap().field("c").unwrap().is_nullable(), "{from}");
    }
}

#[test]
fn refusals_name_the_column_and_the_remedy() {
    use DataType::*;
    let refused = [
        (Null, "give it a type"),
        (Float16, "Float32"),
        (Time64(TimeUnit::Nanosecond), "Int64 or Utf8"),
        (Duration(TimeUnit::Second), "Int64"),
        (Interval(IntervalUnit::DayTime), "Int64"),
        (Decimal256(40, 0), "38 digits"),
        (Decimal128(5, -2), "scale"),
        (utc(TimeUnit::Microsecond, "Europe/Berlin"), "in UTC"),
        (list(utc(TimeUnit::Microsecond, "+01:00")), "in UTC"),
        (Struct(Fields::empty()), "at least one field"),
    ];
    for (from, remedy) in refused {
        let message = table_type("when", &from).unwrap_err();
        assert!(message.starts_with("column \"when"), "{message}");
        assert!(message.contains(remedy), "{message}");
    }
}

#[test]
fn names_must_differ() {
    let columns = |names: &[&str]| {
        Schema::new(
            names
                .iter()
                .map(|n| Field::new(*n, DataType::Int32, true))
                .collect::<Vec<_>>(),
        )
    };
    assert!(check_names(&columns(&["a", "b"]), Some("c")).is_ok());
    assert!(
        check_names(&columns(&[]), None)
            .unwrap_err()
            .contains("no columns")
    );
    assert!(
        check_names(&columns(&["id", "ID"]), None)
            .unwrap_err()
            .contains("more than once")
    );
    assert!(
        check_names(&columns(&["id"]), Some("Id"))
            .unwrap_err()
            .contains("choose another name")
    );
}

#[test]
fn widening_loses_nothing() {
    use DataType::*;
    let struct_of = |name: &str, t: DataType| Struct(vec![Field::new(name, t, true)].into());
    let fits = [
        (Int32, Int32),
        (Int8, Int64),
        (Int32, Float64),
        (Float32, Float64),
        (Int64, Decimal128(21, 2)),
        (Decimal128(10, 2), Decimal128(12, 4)),
        (list(Int16), list(Int32)),
        (struct_of("a", Int8), struct_of("A", Int16)),
    ];
    let refused = [
        (Int64, Int32),
        (Int64, Float64),
        (Int32, Float32),
        (Float64, Float32),
        (Int64, Decimal128(20, 2)),
        (Decimal128(10, 2), Decimal128(11, 4)),
        (Int32, Utf8),
        (Date32, Timestamp(TimeUnit::Microsecond, None)),
        (
            Timestamp(TimeUnit::Microsecond, None),
            utc(TimeUnit::Microsecond, "UTC"),
        ),
        (struct_of("a", Int8), struct_of("b", Int8)),
        (list(Int64), Int64),
    ];
    for (from, to) in fits {
        assert!(widens(&from, &to), "{from} into {to}");
    }
    for (from, to) in refused {
        assert!(!widens(&from, &to), "{from} into {to}");
    }
}
