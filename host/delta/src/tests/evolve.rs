//! A source has columns that the table lacks.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use sandbar_pipeline::{Remedy, Sink, SinkError};
use serde_json::{Value, json};

use super::store::{Fault, TestStore};
use super::support::*;
use crate::{DeltaOptions, DeltaSink, DeltaStaged, OffsetStorage};

impl Lake {
    fn evolving(&self) -> DeltaOptions {
        self.options().with_evolve(true)
    }

    /// Every row as `id`, `name`, `likes`, in the order of the first; a column that is missing is no value.
    async fn seen(&self) -> Vec<(i32, Option<String>, Option<i64>)> {
        let mut seen = Vec::new();
        for rows in self.rows().await {
            let ids = rows.column_by_name("id").unwrap().as_primitive::<Int32Type>();
            let names = rows.column_by_name("name").unwrap().as_string::<i32>();
            let likes = rows
                .column_by_name("likes")
                .map(|l| l.as_primitive::<Int64Type>());
            for (row, name) in names.iter().enumerate() {
                let likes = likes.and_then(|likes| likes.iter().nth(row).flatten());
                seen.push((ids.value(row), name.map(str::to_owned), likes));
            }
        }
        seen.sort();
        seen
    }

    /// The columns that a version of the log gives the table, where it gives it any: name, type, nullable.
    fn columns_at(&self, version: u64) -> Option<Vec<(String, Value, bool)>> {
        let log = self.read_log(version);
        let metadata: Vec<_> = log.iter().filter_map(|action| action.get("metaData")).collect();
        assert!(metadata.len() < 2, "{log:?}");
        let schema: Value =
            serde_json::from_str(metadata.first()?["schemaString"].as_str().unwrap()).unwrap();
        let columns = schema["fields"].as_array().unwrap().iter();
        Some(
            columns
                .map(|c| {
                    let name = c["name"].as_str().unwrap().to_owned();
                    (name, c["type"].clone(), c["nullable"] == true)
                })
                .collect(),
        )
    }

    /// Somebody else gives the table columns more.
    fn alter(&self, version: u64, more: &[(&str, &str)]) {
        let mut metadata = foreign_table(&[], json!({}))[1].clone();
        let mut schema: Value =
            serde_json::from_str(metadata["metaData"]["schemaString"].as_str().unwrap()).unwrap();
        for (name, kind) in more {
            let column = json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
            schema["fields"].as_array_mut().unwrap().push(column);
        }
        metadata["metaData"]["schemaString"] = schema.to_string().into();
        self.write_log(version, &[metadata]);
    }
}

/// Comments with their likes, which the source promises for each.
fn liked() -> Schema {
    with(&[Field::new("likes", DataType::Int64, false)])
}

fn with(more: &[Field]) -> Schema {
    let fields: Vec<_> = comments()
        .fields()
        .iter()
        .map(|field| field.as_ref().clone())
        .chain(more.iter().cloned())
        .collect();
    Schema::new(fields)
}

/// The ten rows that belong to a batch, each with as many likes as its number.
fn liked_rows(number: u64) -> RecordBatch {
    let first = (number as i32 - 1) * 10;
    let likes = Int64Array::from_iter_values((first..first + 10).map(i64::from));
    let mut columns = ten_rows(first).columns().to_vec();
    columns.push(Arc::new(likes));
    RecordBatch::try_new(Arc::new(liked()), columns).unwrap()
}

async fn append_liked(sink: &mut DeltaSink, number: u64) -> Result<u64, SinkError> {
    let (staged, _) = stage(sink, liked_rows(number)).await;
    Ok(sink.commit(Some(staged), &batch(number)).await?.revision)
}

/// What rows of comments with and without likes are read as.
fn expected(batches: &[(u64, bool)]) -> Vec<(i32, Option<String>, Option<i64>)> {
    let rows = |(number, liked): &(u64, bool)| {
        let (first, liked) = ((*number as i32 - 1) * 10, *liked);
        (first..first + 10).map(move |id| (id, Some(format!("n{id}")), liked.then_some(i64::from(id))))
    };
    batches.iter().flat_map(rows).collect()
}

fn actions(log: &[Value], name: &str) -> usize {
    log.iter().filter(|action| action.get(name).is_some()).count()
}

#[tokio::test]
async fn new_columns_come_with_the_first_rows_in_one_commit() {
    for progress in [OffsetStorage::Table, OffsetStorage::Checkpoint] {
        let lake = Lake::new();
        let options = lake.evolving().with_progress(progress);
        let mut old = DeltaSink::open(options.clone(), &comments()).await.unwrap();
        append(&mut old, 1).await.unwrap();

        let mut new = DeltaSink::open(options.clone(), &liked()).await.unwrap();
        let last = new.last_committed().await.unwrap().unwrap();
        assert_eq!(last.batch, 1);
        let (staged, _) = stage(&mut new, liked_rows(2)).await;
        assert_eq!(
            lake.log_files().iter().filter(|f| f.ends_with(".json")).count(),
            1
        );
        assert_eq!(lake.seen().await, expected(&[(1, false)]));
        assert_eq!(new.commit(Some(staged), &batch(2)).await.unwrap().revision, 1);

        let log = lake.read_log(1);
        let carried = progress == OffsetStorage::Table;
        let counted = [
            "metaData",
            "add",
            "txn",
            "domainMetadata",
            "commitInfo",
            "protocol",
        ]
        .map(|name| actions(&log, name));
        let expected_counts = match carried {
            true => [1, 1, 1, 1, 1, 0],
            false => [1, 1, 2, 0, 1, 0],
        };
        assert_eq!(counted, expected_counts, "{log:?}");
        let kinds = |names: &[(&str, &str)]| {
            let columns = names.iter();
            Some(
                columns
                    .map(|(n, t)| (n.to_string(), json!(t), true))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            lake.columns_at(1),
            kinds(&[("id", "integer"), ("name", "string"), ("likes", "long")])
        );
        let id = |version| {
            let log = lake.read_log(version);
            log.iter().find_map(|a| a.get("metaData")).unwrap()["id"].clone()
        };
        assert_eq!(id(0), id(1), "it stays the table that it was");

        // The next micro-batches are plain appends, also of another process.
        append_liked(&mut new, 3).await.unwrap();
        new.close().await;
        let mut again = DeltaSink::open(options, &liked()).await.unwrap();
        assert_eq!(again.last_committed().await.unwrap().unwrap().batch, 3);
        append_liked(&mut again, 4).await.unwrap();
        for version in [2, 3] {
            let log = lake.read_log(version);
            assert_eq!(
                (actions(&log, "metaData"), actions(&log, "add")),
                (0, 1),
                "{log:?}"
            );
            let info = log.iter().find_map(|action| action.get("commitInfo")).unwrap();
            assert_eq!(info["isBlindAppend"], true);
        }
        let all = expected(&[(1, false), (2, true), (3, true), (4, true)]);
        assert_eq!(lake.seen().await, all);
    }
}

#[tokio::test]
async fn without_the_option_the_table_stays_as_it_is() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    let more = with(&[
        Field::new("likes", DataType::Int64, true),
        Field::new("body", DataType::Utf8, true),
    ]);
    let refused = |error: SinkError| {
        let text = error.to_string();
        assert!(text.contains("has no columns \"likes\", \"body\""), "{text}");
        assert!(text.contains(lake.url().as_str()), "{text}");
        assert_eq!(error.remedies(), [Remedy::AddColumns]);
        assert!(matches!(error, SinkError::LacksColumns { .. }), "{error:?}");
    };
    refused(DeltaSink::check(lake.options(), &more).await.unwrap_err());
    refused(DeltaSink::open(lake.options(), &more).await.err().unwrap());
    refused(sink.prepare(&Arc::new(more)).await.unwrap_err());
    // It goes on with the schema that it has.
    append(&mut sink, 2).await.unwrap();
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, false)]));
    assert_eq!(lake.columns_at(1), None);

    // A type that does not fit is what has to be seen to first.
    let other = Schema::new(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("likes", DataType::Int64, true),
    ]);
    let error = DeltaSink::check(lake.options(), &other).await.unwrap_err();
    assert!(error.to_string().contains("Utf8 in the source"), "{error}");
    assert_eq!(error.remedies(), []);
}

#[tokio::test]
async fn a_check_says_what_will_be_added_and_adds_nothing() {
    let lake = Lake::new();
    let check = async |schema: &Schema| DeltaSink::check(lake.evolving(), schema).await.unwrap();
    assert!(
        check(&liked()).await.added_columns.is_empty(),
        "a new table has them"
    );
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    assert!(check(&comments()).await.added_columns.is_empty());
    let found = check(&liked()).await;
    assert_eq!(
        (found.revision, found.added_columns),
        (Some(0), vec!["likes".to_owned()])
    );
    assert_eq!(lake.log_files(), ["00000000000000000000.json"]);
}

#[tokio::test]
async fn a_running_sink_goes_up_and_back() {
    let lake = Lake::new();
    let mut sink = DeltaSink::open(lake.evolving(), &comments()).await.unwrap();
    let (old, new): (SchemaRef, SchemaRef) = (Arc::new(comments()), Arc::new(liked()));
    append(&mut sink, 1).await.unwrap();
    // There and back before there were any rows: nothing happened.
    sink.prepare(&new).await.unwrap();
    sink.prepare(&old).await.unwrap();
    append(&mut sink, 2).await.unwrap();
    assert_eq!(lake.columns_at(1), None);

    sink.prepare(&new).await.unwrap();
    // A micro-batch without rows changes no schema.
    let _ = sink.commit(None, &batch(3)).await.unwrap();
    assert_eq!(lake.columns_at(2), None);
    append_liked(&mut sink, 4).await.unwrap();
    assert_eq!(lake.columns_at(3).unwrap().len(), 3);

    sink.prepare(&old).await.unwrap();
    append(&mut sink, 5).await.unwrap();
    sink.prepare(&new).await.unwrap();
    append_liked(&mut sink, 6).await.unwrap();
    assert_eq!((lake.columns_at(4), lake.columns_at(5)), (None, None));
    assert_eq!(
        lake.seen().await,
        expected(&[(1, false), (2, false), (4, true), (5, false), (6, true)])
    );
}

/// Two stages may be at work for the same state of the table.
#[tokio::test]
async fn columns_are_added_once() {
    for mapped in [false, true] {
        let lake = Lake::new();
        match mapped {
            true => lake.write_log(0, &mapped_table(&[])),
            false => lake.write_log(0, &foreign_table(&["domainMetadata"], json!({}))),
        }
        let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
        let (first, _) = stage(&mut sink, liked_rows(1)).await;
        let (second, _) = stage(&mut sink, liked_rows(2)).await;
        let _ = sink.commit(Some(first), &batch(1)).await.unwrap();
        let _ = sink.commit(Some(second), &batch(2)).await.unwrap();
        assert_eq!(lake.columns_at(1).unwrap().len(), 3);
        assert_eq!(lake.columns_at(2), None);
        assert_eq!(lake.seen().await, expected(&[(1, true), (2, true)]));
    }
}

#[tokio::test]
async fn only_new_columns_are_added() {
    let lake = Lake::new();
    let options = || lake.evolving();
    let address = |fields: &[&str]| {
        let fields: Fields = fields
            .iter()
            .map(|f| Field::new(*f, DataType::Utf8, true))
            .collect();
        DataType::Struct(fields)
    };
    let table = with(&[Field::new("address", address(&["city"]), true)]);
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..3));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(["a", "b", "c"]));
    let field = Arc::new(Field::new("city", DataType::Utf8, true));
    let addresses = StructArray::from(vec![(field, Arc::clone(&texts))]);
    let columns = vec![ids, Arc::clone(&texts), Arc::new(addresses) as ArrayRef];
    let rows = RecordBatch::try_new(Arc::new(table.clone()), columns).unwrap();
    let mut sink = DeltaSink::open(options(), &table).await.unwrap();
    let (staged, _) = stage(&mut sink, rows).await;
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();

    let long = Field::new("id", DataType::Int64, true);
    let refused = [
        (
            Schema::new(vec![long]),
            "Int64 in the source and Int32 in the table",
        ),
        (
            with(&[Field::new("address", DataType::Utf8, true)]),
            "not every value fits",
        ),
        (
            with(&[Field::new("address", address(&["city", "zip"]), true)]),
            "the source has the field \"address.zip\"",
        ),
        (
            with(&[
                Field::new("Likes", DataType::Int64, true),
                Field::new("likes", DataType::Int64, true),
            ]),
            "more than once",
        ),
        (
            with(&[Field::new("a;b", DataType::Int64, true)]),
            "can't add \"a;b\" to the table",
        ),
        (
            with(&[Field::new(
                "at",
                DataType::Timestamp(TimeUnit::Microsecond, None),
                true,
            )]),
            "timestampNtz",
        ),
        (
            with(&[Field::new("at", DataType::Float16, true)]),
            "send it as Float32",
        ),
    ];
    for (schema, text) in refused {
        let error = DeltaSink::check(options(), &schema).await.unwrap_err();
        assert!(matches!(error, SinkError::Schema(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        let prepared = sink.prepare(&Arc::new(schema)).await;
        assert!(prepared.unwrap_err().to_string().contains(text));
    }
    // A name in other letters is the same column.
    let spelled = Schema::new(vec![
        Field::new("ID", DataType::Int32, true),
        Field::new("Name", DataType::Utf8, true),
    ]);
    let found = DeltaSink::check(options(), &spelled).await.unwrap();
    assert!(found.added_columns.is_empty(), "{found:?}");
    assert_eq!(
        lake.log_files().iter().filter(|f| f.ends_with(".json")).count(),
        1
    );
}

#[tokio::test]
async fn a_new_column_may_have_parts() {
    let lake = Lake::new();
    append(&mut lake.open().await, 1).await.unwrap();
    let tag = DataType::Struct(vec![Field::new("tag", DataType::Utf8, false)].into());
    let schema = with(&[Field::new("tags", tag, false)]);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..10).map(|i| format!("t{i}"))));
    let tags = StructArray::from(vec![(Arc::new(Field::new("tag", DataType::Utf8, false)), names)]);
    let mut columns = ten_rows(10).columns().to_vec();
    columns.push(Arc::new(tags));
    let rows = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
    let mut sink = DeltaSink::open(lake.evolving(), &schema).await.unwrap();
    sink.last_committed().await.unwrap();
    let (staged, _) = stage(&mut sink, rows).await;
    let _ = sink.commit(Some(staged), &batch(2)).await.unwrap();
    let mut tags: Vec<_> = Vec::new();
    for rows in lake.rows().await {
        let column = rows.column_by_name("tags").unwrap().as_struct();
        let of = column.column(0).as_string::<i32>();
        tags.extend(of.iter().map(|tag| tag.map(str::to_owned)));
    }
    tags.sort();
    let expected: Vec<_> = (0..10).map(|i| Some(format!("t{i}"))).collect();
    assert_eq!(tags, [vec![None; 10], expected].concat());
}

#[tokio::test]
async fn a_time_of_staging_and_a_column_come_to_a_partitioned_table() {
    let lake = Lake::new();
    let options = lake.evolving().with_partition_by(["name".to_owned()]);
    let mut old = DeltaSink::open(options.clone(), &comments()).await.unwrap();
    append(&mut old, 1).await.unwrap();
    let stamped = options.clone().with_ingested_at("at");
    let found = DeltaSink::check(stamped.clone(), &liked()).await.unwrap();
    assert_eq!(found.added_columns, ["likes", "at"]);
    let mut new = DeltaSink::open(stamped, &liked()).await.unwrap();
    new.last_committed().await.unwrap();
    append_liked(&mut new, 2).await.unwrap();
    assert_eq!(lake.columns_at(1).unwrap().len(), 4);
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, true)]));
    let mut stamps: Vec<_> = Vec::new();
    for rows in lake.rows().await {
        let at = rows.column_by_name("at").unwrap();
        stamps.extend(at.as_primitive::<TimestampMicrosecondType>().iter());
    }
    stamps.sort();
    assert_eq!(stamps, [vec![None; 10], vec![Some(NOW); 10]].concat());

    // A new column is no partition column.
    let other = lake.evolving().with_partition_by(["likes".to_owned()]);
    let error = DeltaSink::check(other, &liked()).await.unwrap_err();
    assert!(error.to_string().contains("it is partitioned by"), "{error}");
}

/// Somebody changes the schema between the writing of rows with a new column and their commit.
#[tokio::test]
async fn a_change_by_somebody_else_in_between_is_seen() {
    let begin = async || {
        let lake = Lake::new();
        lake.write_log(0, &foreign_table(&["domainMetadata"], json!({})));
        append(&mut lake.open().await, 1).await.unwrap();
        let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
        sink.last_committed().await.unwrap();
        let (staged, _) = stage(&mut sink, liked_rows(2)).await;
        (lake, sink, staged)
    };
    let commit = async |sink: &mut DeltaSink, staged: DeltaStaged| {
        let receipt = sink.commit(Some(staged), &batch(2)).await;
        receipt.map(|receipt| receipt.revision)
    };

    // Rows of others alone.
    let (lake, mut sink, staged) = begin().await;
    lake.write_log(2, &foreign_commit());
    assert_eq!(commit(&mut sink, staged).await.unwrap(), 3);
    assert_eq!(lake.columns_at(3).unwrap().len(), 3);
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, true)]));

    // The same column: it is there.
    let (lake, mut sink, staged) = begin().await;
    lake.alter(2, &[("likes", "long")]);
    assert_eq!(commit(&mut sink, staged).await.unwrap(), 3);
    assert_eq!(lake.columns_at(3), None);
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, true)]));

    // Another column: the table has both.
    let (lake, mut sink, staged) = begin().await;
    lake.alter(2, &[("stars", "double")]);
    assert_eq!(commit(&mut sink, staged).await.unwrap(), 3);
    let names: Vec<_> = lake.columns_at(3).unwrap().into_iter().map(|c| c.0).collect();
    assert_eq!(names, ["id", "name", "stars", "likes"]);
    append_liked(&mut sink, 3).await.unwrap();
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, true), (3, true)]));

    // The same name for something else, or written otherwise. Nothing of ours is there, and the next start sees the
    // table as it is.
    for (column, text) in [
        (("likes", "string"), "now has the type string"),
        (("LIKES", "long"), "\"likes\" is now called \"LIKES\""),
    ] {
        let (lake, mut sink, staged) = begin().await;
        lake.alter(2, &[column]);
        let error = commit(&mut sink, staged).await.unwrap_err();
        assert!(matches!(error, SinkError::Schema(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(lake.ids().await, (0..10).collect::<Vec<_>>());
        let last = lake
            .log_files()
            .into_iter()
            .rfind(|f| f.ends_with(".json"))
            .unwrap();
        assert_eq!(last, "00000000000000000002.json");
    }

    // Another runner of the pipeline, with the same column.
    let (lake, mut sink, staged) = begin().await;
    let mut fast = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    fast.last_committed().await.unwrap();
    append_liked(&mut fast, 2).await.unwrap();
    let error = commit(&mut sink, staged).await.unwrap_err();
    assert!(matches!(error, SinkError::Superseded { batch: 2, .. }), "{error}");
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, true)]));
}

#[tokio::test]
async fn a_put_that_fails_adds_columns_with_the_rows_or_not_at_all() {
    for fault in [Fault::Lost, Fault::Unheard, Fault::Blind, Fault::FalseConflict] {
        let lake = Lake::new();
        append(&mut lake.open().await, 1).await.unwrap();
        let store = TestStore::new();
        let options = lake.options_on(store.store()).with_evolve(true);
        let mut sink = DeltaSink::open(options, &liked()).await.unwrap();
        sink.last_committed().await.unwrap();
        store.fail_next(fault);
        let outcome = append_liked(&mut sink, 2).await;
        store.restore_sight();
        let there = match (fault, outcome) {
            (Fault::Lost, Err(SinkError::Store { .. })) => false,
            (Fault::Unheard | Fault::FalseConflict, Ok(1))
            | (Fault::Blind, Err(SinkError::Unknown { .. })) => true,
            (fault, outcome) => panic!("{fault:?}: {outcome:?}"),
        };
        let columns = |lake: &Lake| lake.log_files().contains(&"00000000000000000001.json".to_owned());
        assert_eq!(columns(&lake), there, "{fault:?}");
        let rows = [(1, false), (2, true)];
        assert_eq!(
            lake.seen().await,
            expected(if there { &rows } else { &rows[..1] })
        );

        // A new process goes on from what is there.
        let mut again = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
        let last = again.last_committed().await.unwrap().unwrap().batch;
        assert_eq!(last, if there { 2 } else { 1 }, "{fault:?}");
        append_liked(&mut again, last + 1).await.unwrap();
        assert_eq!(lake.seen().await.len(), 10 * (last as usize + 1));
        assert_eq!(lake.columns_at(1).unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_process_that_dies_before_the_commit_leaves_the_table_as_it_was() {
    let lake = Lake::new();
    append(&mut lake.open().await, 1).await.unwrap();
    let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    sink.last_committed().await.unwrap();
    drop(stage(&mut sink, liked_rows(2)).await);
    drop(sink);
    assert_eq!(lake.seen().await, expected(&[(1, false)]));
    assert_eq!(lake.log_files(), ["00000000000000000000.json"]);
    // The older version of the connector finds its table.
    let mut old = lake.open().await;
    assert_eq!(old.last_committed().await.unwrap().unwrap().batch, 1);
    append(&mut old, 2).await.unwrap();
    assert_eq!(lake.seen().await, expected(&[(1, false), (2, false)]));
}

#[tokio::test]
async fn a_log_checkpoint_holds_the_new_columns() {
    let lake = Lake::new();
    let often = json!({"delta.checkpointInterval": "2"});
    lake.write_log(0, &foreign_table(&["domainMetadata"], often));
    let mut sink = DeltaSink::open(lake.evolving(), &comments()).await.unwrap();
    sink.last_committed().await.unwrap();
    append(&mut sink, 1).await.unwrap();
    sink.prepare(&Arc::new(liked())).await.unwrap();
    for number in 2..=4 {
        append_liked(&mut sink, number).await.unwrap();
        sink.close().await;
    }
    let folder = lake.url().to_file_path().unwrap().join("_delta_log");
    for version in 0..4 {
        std::fs::remove_file(folder.join(format!("{version:020}.json"))).unwrap();
    }
    let mut again = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    assert_eq!(
        again.last_committed().await.unwrap().unwrap().end,
        Some(offset(4))
    );
    append_liked(&mut again, 5).await.unwrap();
    assert_eq!(
        lake.seen().await,
        expected(&[(1, false), (2, true), (3, true), (4, true), (5, true)])
    );
}

/// A table whose columns have other names in files.
fn mapped_table(partition_by: &[&str]) -> Vec<Value> {
    let features = ["columnMapping", "domainMetadata"];
    let mode = json!({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"});
    let mut table = foreign_table(&features, mode);
    table[0]["protocol"]["readerFeatures"] = json!(["columnMapping"]);
    let column = |name: &str, kind: &str, id: u64| {
        let names =
            json!({"delta.columnMapping.id": id, "delta.columnMapping.physicalName": format!("c{id}")});
        json!({"name": name, "type": kind, "nullable": true, "metadata": names})
    };
    let columns = [column("id", "integer", 1), column("name", "string", 2)];
    let schema = json!({"type": "struct", "fields": columns});
    table[1]["metaData"]["schemaString"] = schema.to_string().into();
    table[1]["metaData"]["partitionColumns"] = json!(partition_by);
    table
}

#[tokio::test]
async fn names_in_files_are_those_that_the_log_gives() {
    for partition_by in [&[][..], &["name"]] {
        let lake = Lake::new();
        lake.write_log(0, &mapped_table(partition_by));
        append(&mut lake.open().await, 1).await.unwrap();
        let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
        sink.last_committed().await.unwrap();
        let (staged, _) = stage(&mut sink, liked_rows(2)).await;
        lake.write_log(2, &foreign_commit());
        assert_eq!(sink.commit(Some(staged), &batch(2)).await.unwrap().revision, 3);
        append_liked(&mut sink, 3).await.unwrap();
        assert_eq!(lake.seen().await, expected(&[(1, false), (2, true), (3, true)]));
        let log = lake.read_log(3);
        let metadata = log.iter().find_map(|action| action.get("metaData")).unwrap();
        assert_eq!(metadata["configuration"]["delta.columnMapping.maxColumnId"], "3");
        // Readers may go by the id or by the name: statistics have the names that are in the file.
        let schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        let name = &schema["fields"][2]["metadata"]["delta.columnMapping.physicalName"];
        let add = log.iter().find_map(|action| action.get("add")).unwrap();
        let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        assert!(
            stats["minValues"][name.as_str().unwrap()].is_i64(),
            "{name} {stats}"
        );
    }

    // Somebody else gives out the next id meanwhile: two columns would have it.
    let lake = Lake::new();
    lake.write_log(0, &mapped_table(&[]));
    let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    let (staged, _) = stage(&mut sink, liked_rows(1)).await;
    let mut metadata = mapped_table(&[])[1].clone();
    metadata["metaData"]["configuration"]["delta.columnMapping.maxColumnId"] = "3".into();
    lake.write_log(1, &[metadata]);
    let error = sink.commit(Some(staged), &batch(1)).await.unwrap_err();
    assert!(matches!(error, SinkError::Schema(_)), "{error:?}");
    assert!(error.to_string().contains("start the pipeline again"), "{error}");
    append_liked(&mut sink, 1).await.unwrap();
    assert_eq!(lake.seen().await, expected(&[(1, true)]));

    // Somebody else turns column mapping on: the new column would get another name than it has in the file.
    let lake = Lake::new();
    lake.write_log(0, &foreign_table(&["domainMetadata"], json!({})));
    let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    let (staged, _) = stage(&mut sink, liked_rows(1)).await;
    let mut upgrade = mapped_table(&[]);
    let names = upgrade[1]["metaData"]["schemaString"].as_str().unwrap();
    let names = names
        .replace(r#""c1""#, r#""id""#)
        .replace(r#""c2""#, r#""name""#);
    upgrade[1]["metaData"]["schemaString"] = names.into();
    lake.write_log(1, &upgrade[..2]);
    let error = sink.commit(Some(staged), &batch(1)).await.unwrap_err();
    assert!(
        error.to_string().contains("called in files has changed"),
        "{error}"
    );
    append_liked(&mut sink, 1).await.unwrap();
    assert_eq!(lake.seen().await, expected(&[(1, true)]));
}

#[tokio::test]
async fn tables_whose_features_stand_in_the_way_are_refused_in_words() {
    let lake = Lake::new();
    let metadata = json!({"CURRENT_DEFAULT": "7"});
    let mut table = foreign_table(&["allowColumnDefaults"], json!({}));
    let text = table[1]["metaData"]["schemaString"].as_str().unwrap();
    let text = text.replacen(r#""metadata":{}"#, &format!(r#""metadata":{metadata}"#), 1);
    table[1]["metaData"]["schemaString"] = text.into();
    lake.write_log(0, &table);
    let error = DeltaSink::check(lake.evolving(), &liked()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SinkError::Schema(_)), "{error:?}");
    for part in ["can't add \"likes\"", "allowColumnDefaults", "ALTER TABLE"] {
        assert!(text.contains(part), "{text}");
    }
    // Features that are no hindrance.
    let lake = Lake::new();
    let mut legacy = foreign_table(&[], json!({"delta.enableChangeDataFeed": "false"}));
    legacy[0] = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    lake.write_log(0, &legacy);
    let mut sink = DeltaSink::open(lake.evolving(), &liked()).await.unwrap();
    assert!(!sink.carries_offset());
    append_liked(&mut sink, 1).await.unwrap();
    let log = lake.read_log(1);
    assert_eq!((actions(&log, "metaData"), actions(&log, "protocol")), (1, 0));
    assert_eq!(lake.seen().await, expected(&[(1, true)]));
}
