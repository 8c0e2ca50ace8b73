use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use sandbar_pipeline::{Sink, Stage, WriteStats};

use super::support::*;
use crate::DeltaSink;

/// A table of so many columns beside the one that it is partitioned by.
fn wide(columns: usize) -> Schema {
    let numbers = (0..columns).map(|i| Field::new(format!("c{i}"), DataType::Int64, true));
    let kind = Field::new("kind", DataType::Utf8, true);
    Schema::new(numbers.chain([kind]).collect::<Vec<_>>())
}

/// Rows from `first` on, in turn for each of so many partitions. All columns of numbers lie in the same bytes.
fn rows(schema: &Schema, first: usize, count: usize, partitions: usize) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (first..first + count).map(|i| i as i64),
    ));
    let kinds = (first..first + count).map(|i| format!("k{}", i % partitions));
    let mut columns = vec![numbers; schema.fields().len() - 1];
    columns.push(Arc::new(StringArray::from_iter_values(kinds)));
    RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap()
}

/// Commits rows in batches of these sizes, reads them back, and tells how they were staged.
async fn append(columns: usize, partitions: usize, batches: &[usize]) -> WriteStats {
    let lake = Lake::new();
    let schema = wide(columns);
    let mut options = lake.options();
    options.partition_by = vec!["kind".to_owned()];
    let mut sink = DeltaSink::open(options, &schema).await.unwrap();
    let mut stage = sink.stage().await.unwrap();
    let mut first = 0;
    for count in batches {
        stage
            .write(rows(&schema, first, *count, partitions))
            .await
            .unwrap();
        first += count;
    }
    let (staged, summary) = stage.finish().await.unwrap();
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();
    let mut found = BTreeSet::new();
    for rows in lake.rows().await {
        let column = |name| rows.column_by_name(name).unwrap();
        let last = format!("c{}", columns - 1);
        let kinds = column("kind").as_string::<i32>().iter();
        let numbers = column(&last).as_primitive::<Int64Type>().values().iter();
        for (number, kind) in numbers.zip(kinds) {
            assert_eq!(kind, Some(format!("k{}", *number as usize % partitions).as_str()));
            assert!(found.insert(*number), "row {number} came twice");
        }
    }
    assert_eq!(found.len(), first);
    summary
}

#[tokio::test]
async fn rows_that_alternate_between_many_partitions_make_one_file_for_each() {
    let summary = append(2, 100, &[1_000; 12]).await;
    assert_eq!((summary.rows, summary.files), (12_000, 100));
}

#[tokio::test]
async fn few_partitions_do_not_wait_for_more_rows() {
    let summary = append(2, 10, &[3_000; 4]).await;
    assert_eq!((summary.rows, summary.files), (12_000, 10));
}

#[tokio::test]
async fn thousands_of_columns_in_many_partitions_come_to_an_end() {
    // A row or two for each partition, in batches that go into many.
    let summary = append(2_000, 20, &[18, 18]).await;
    assert_eq!((summary.rows, summary.files), (36, 20));
}
