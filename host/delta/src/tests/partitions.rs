use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use sandbar_pipeline::{Sink, Stage};

use super::support::*;
use crate::DeltaSink;

fn events() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("kind", DataType::Utf8, true),
    ])
}

fn rows(kinds: &[Option<&str>]) -> RecordBatch {
    let ids = Int32Array::from_iter_values(0..kinds.len() as i32);
    RecordBatch::try_new(
        Arc::new(events()),
        vec![Arc::new(ids), Arc::new(StringArray::from(kinds.to_vec()))],
    )
    .unwrap()
}

#[tokio::test]
async fn rows_go_into_folders_by_value() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.partition_by = vec!["KIND".to_owned()];
    let mut sink = DeltaSink::open(options, &events()).await.unwrap();
    let kinds = [Some("a b/ä%"), None, Some("plain"), Some("a b/ä%")];
    let (staged, summary) = stage(&mut sink, rows(&kinds)).await;
    assert_eq!((summary.rows, summary.files), (4, 3));
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();

    let mut found = BTreeMap::new();
    for rows in lake.rows().await {
        let kinds = rows.column_by_name("kind").unwrap().as_string::<i32>();
        let ids = rows.column_by_name("id").unwrap().as_primitive::<Int32Type>();
        for (id, kind) in ids.values().iter().zip(kinds) {
            found.insert(*id, kind.map(str::to_owned));
        }
    }
    let wanted = (0..).zip(kinds.map(|kind| kind.map(str::to_owned))).collect();
    assert_eq!(found, wanted);

    let mut options = lake.options();
    options.partition_by = vec!["id".to_owned()];
    let error = DeltaSink::check(options, &events()).await.unwrap_err();
    assert!(error.to_string().contains("partitioned by"), "{error}");
    assert!(DeltaSink::check(lake.options(), &events()).await.is_ok());
}

/// Written into another folder, its rows were there for some readers, and for polars they had no value.
#[tokio::test]
async fn a_value_that_is_too_long_for_a_folder_is_refused_before_anything_is_written() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.partition_by = vec!["kind".to_owned()];
    let mut sink = DeltaSink::open(options, &events()).await.unwrap();
    // A slash takes three bytes in a folder's name, an umlaut two.
    let long = ["x".repeat(251), "y".repeat(3000), "/".repeat(90), "ä".repeat(126)];
    for value in &long {
        let mut stage = sink.stage().await.unwrap();
        let written = stage.write(rows(&[Some("short"), Some(value)])).await;
        let finished = match written {
            Ok(()) => stage.finish().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = finished.expect_err(value).to_string();
        assert!(error.contains("in `kind`: its folder's name takes"), "{error}");
        assert!(
            error.contains("stores take 255; partition a new table"),
            "{error}"
        );
    }
    let longest = "x".repeat(250);
    let (staged, summary) = stage(&mut sink, rows(&[Some(&longest)])).await;
    assert_eq!((summary.rows, summary.files), (1, 1));
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();
    let found = lake.rows().await;
    let kinds = found[0].column_by_name("kind").unwrap().as_string::<i32>();
    assert_eq!(kinds.iter().collect::<Vec<_>>(), [Some(longest.as_str())]);
}

#[tokio::test]
async fn many_partitions_keep_few_files_open() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.partition_by = vec!["kind".to_owned()];
    let mut sink = DeltaSink::open(options, &events()).await.unwrap();
    let kinds: Vec<String> = (0..5000).map(|i| format!("k{}", i % 40)).collect();
    let kinds: Vec<_> = kinds.iter().map(|kind| Some(kind.as_str())).collect();
    let (staged, summary) = stage(&mut sink, rows(&kinds)).await;
    assert_eq!((summary.rows, summary.files), (5000, 40));
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();
    assert_eq!(
        lake.rows().await.iter().map(RecordBatch::num_rows).sum::<usize>(),
        5000
    );
}

#[tokio::test]
async fn a_bad_partitioning_is_refused() {
    for (columns, message) in [
        (vec!["day"], "no column of the source"),
        (vec!["id", "kind"], "at least one"),
    ] {
        let mut options = Lake::new().options();
        options.partition_by = columns.into_iter().map(str::to_owned).collect();
        let error = DeltaSink::check(options, &events())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn rows_are_stamped_with_the_time_of_staging() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.ingested_at = Some("current_ts".to_owned());
    let mut sink = DeltaSink::open(options.clone(), &comments()).await.unwrap();
    append(&mut sink, 1).await.unwrap();
    let rows = lake.rows().await;
    let stamps = rows[0].column_by_name("current_ts").unwrap();
    assert_eq!(
        stamps.data_type(),
        &DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()))
    );
    assert_eq!(
        stamps.as_primitive::<TimestampMicrosecondType>().values(),
        &[NOW; 10]
    );

    let mut again = DeltaSink::open(options.clone(), &comments()).await.unwrap();
    append(&mut again, 2).await.unwrap();
    options.ingested_at = Some("name".to_owned());
    let error = DeltaSink::check(options.clone(), &comments())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("choose another name"), "{error}");
    options.ingested_at = Some("seen_at".to_owned());
    let error = DeltaSink::check(options, &comments())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no column \"seen_at\""), "{error}");
}
