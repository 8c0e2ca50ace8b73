use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, StringBuilder, UInt16Builder};
use arrow_array::types::Int8Type;
use arrow_array::*;
use arrow_schema::{DataType, Field, Schema};
use sandbar_pipeline::{Sink, SinkError, Stage};

use super::support::*;
use crate::DeltaSink;

/// Arrays of every kind, and what a reader of the table must see.
fn columns() -> Vec<(ArrayRef, ArrayRef)> {
    let same = |array: ArrayRef| (Arc::clone(&array), array);
    let utc = |values: Vec<i64>| TimestampMicrosecondArray::from(values).with_timezone("UTC");
    let names = || StringArray::from(vec![Some("x"), None]);
    let mut list = ListBuilder::new(UInt16Builder::new());
    list.append_value([Some(1), None]);
    list.append_null();
    let mut map = MapBuilder::new(None, StringBuilder::new(), UInt16Builder::new());
    map.keys().append_value("k");
    map.values().append_value(7);
    map.append(true).unwrap();
    map.append(true).unwrap();
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::UInt8, false)),
        Arc::new(UInt8Array::from(vec![1, 255])) as ArrayRef,
    )]);
    vec![
        same(Arc::new(BooleanArray::from(vec![Some(true), None]))),
        same(Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        same(Arc::new(Float64Array::from(vec![f64::NAN, -0.0]))),
        same(Arc::new(Date32Array::from(vec![-1, 20_000]))),
        same(Arc::new(utc(vec![-1, NOW]))),
        same(Arc::new(TimestampMicrosecondArray::from(vec![-1, NOW]))),
        same(Arc::new(BinaryArray::from(vec![&b"\0"[..], b""]))),
        (
            Arc::new(UInt64Array::from(vec![0, u64::MAX])),
            Arc::new(
                Decimal128Array::from(vec![0, i128::from(u64::MAX)])
                    .with_precision_and_scale(20, 0)
                    .unwrap(),
            ),
        ),
        (
            Arc::new(UInt32Array::from(vec![0, u32::MAX])),
            Arc::new(Int64Array::from(vec![0, i64::from(u32::MAX)])),
        ),
        (
            Arc::new(LargeStringArray::from(vec![Some("x"), None])),
            Arc::new(names()),
        ),
        (
            Arc::new(StringViewArray::from(vec![Some("x"), None])),
            Arc::new(names()),
        ),
        (
            Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("x"), None])),
            Arc::new(names()),
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![1_999, 2_000]).with_timezone("+00:00")),
            Arc::new(utc(vec![1, 2])),
        ),
        (Arc::new(list.finish()), {
            let mut list = ListBuilder::new(builder::Int32Builder::new());
            list.append_value([Some(1), None]);
            list.append_null();
            Arc::new(list.finish())
        }),
        (Arc::new(map.finish()), {
            let mut map = MapBuilder::new(None, StringBuilder::new(), builder::Int32Builder::new());
            map.keys().append_value("k");
            map.values().append_value(7);
            map.append(true).unwrap();
            map.append(true).unwrap();
            Arc::new(map.finish())
        }),
        (
            Arc::new(inner),
            Arc::new(StructArray::from(vec![(
                Arc::new(Field::new("n", DataType::Int16, true)),
                Arc::new(Int16Array::from(vec![1, 255])) as ArrayRef,
            )])),
        ),
    ]
}

#[tokio::test]
async fn every_type_comes_back() {
    let lake = Lake::new();
    let columns = columns();
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(i, (array, _))| Field::new(format!("c{i}"), array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(
        schema.clone(),
        columns.iter().map(|(array, _)| array.clone()).collect(),
    )
    .unwrap();
    let mut sink = DeltaSink::open(lake.options(), &schema).await.unwrap();
    for number in 1..=2 {
        let (staged, _) = stage(&mut sink, rows.clone()).await;
        let _ = sink.commit(Some(staged), &batch(number)).await.unwrap();
    }
    for found in lake.rows().await {
        for (i, (sent, wanted)) in columns.iter().enumerate() {
            let show = |array: &ArrayRef| {
                let batch = RecordBatch::try_from_iter([("c", array.clone())]).unwrap();
                arrow_cast::pretty::pretty_format_batches(&[batch])
                    .unwrap()
                    .to_string()
            };
            assert_eq!(show(found.column(i)), show(wanted), "{}", sent.data_type());
        }
    }
}

#[tokio::test]
async fn rows_of_another_schema_are_refused() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    let mut stage = sink.stage().await.unwrap();
    let other =
        RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let error = stage.write(other).await.unwrap_err();
    assert!(matches!(error, SinkError::Schema(_)), "{error}");
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_an_error_and_never_a_null() {
    let lake = Lake::new();
    let schema = Schema::new(vec![Field::new(
        "t",
        DataType::Timestamp(arrow_schema::TimeUnit::Second, None),
        true,
    )]);
    let mut sink = DeltaSink::open(lake.options(), &schema).await.unwrap();
    let mut stage = sink.stage().await.unwrap();
    let rows = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(TimestampSecondArray::from(vec![i64::MAX]))],
    );
    stage.write(rows.unwrap()).await.unwrap();
    let error = stage.finish().await.unwrap_err();
    assert!(error.to_string().contains("column \"t\""), "{error}");
    assert_eq!(lake.rows().await.len(), 0);
}
