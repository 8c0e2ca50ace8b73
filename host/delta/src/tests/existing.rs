use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field, Schema};
use sandbar_pipeline::{Sink, SinkError};
use serde_json::json;

use super::support::*;
use crate::{DeltaSink, OffsetStorage};

#[tokio::test]
async fn a_table_for_delta_rs_lacks_the_feature() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.progress = OffsetStorage::Checkpoint;
    let mut sink = DeltaSink::open(options.clone(), &comments()).await.unwrap();
    assert!(!sink.carries_offset());
    append(&mut sink, 1).await.unwrap();
    append(&mut sink, 2).await.unwrap();
    assert!(!sink.carries_offset());
    let text = serde_json::to_string(&[lake.read_log(0), lake.read_log(1)]).unwrap();
    assert!(!text.contains("domainMetadata"), "{text}");
    let last = DeltaSink::open(options, &comments())
        .await
        .unwrap()
        .last_committed()
        .await
        .unwrap()
        .unwrap();
    assert_eq!((last.batch, last.end), (2, None));
}

#[tokio::test]
async fn an_existing_table_is_used_as_it_is() {
    let lake = Lake::new();
    lake.write_log(0, &foreign_table(&[], json!({})));
    let mut sink = lake.open().await;
    assert!(!sink.carries_offset());
    assert_eq!(append(&mut sink, 1).await.unwrap(), 1);
    assert_eq!(append(&mut sink, 2).await.unwrap(), 2);
    assert!(
        lake.log_files().contains(&"00000000000000000000.crc".to_owned()),
        "{:?}",
        lake.log_files()
    );
    assert_eq!(lake.ids().await.len(), 20);

    let other = Lake::new();
    other.write_log(0, &foreign_table(&["domainMetadata"], json!({})));
    let mut sink = other.open().await;
    assert!(sink.carries_offset());
    append(&mut sink, 1).await.unwrap();
    assert_eq!(
        other.open().await.last_committed().await.unwrap().unwrap().end,
        Some(offset(1))
    );
}

#[tokio::test]
async fn progress_survives_a_forgotten_transaction() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    // Somebody commits without looking at our domain metadata: the offset log has to know.
    lake.write_log(1, &[json!({"txn": {"appId": "sandbar/comments", "version": 2}})]);
    let last = sink.last_committed().await.unwrap().unwrap();
    assert_eq!((last.batch, last.end), (2, None));
}

/// A table whose columns have these default values.
fn with_defaults(columns: &[(&str, &str, &str)]) -> Vec<serde_json::Value> {
    let fields = columns.iter().map(|(name, kind, default)| {
        json!({"name": name, "type": kind, "nullable": true, "metadata": {"CURRENT_DEFAULT": default}})
    });
    let schema = json!({"type": "struct", "fields": fields.collect::<Vec<_>>()});
    let mut actions = foreign_table(&["allowColumnDefaults"], json!({}));
    actions[1]["metaData"]["schemaString"] = schema.to_string().into();
    actions
}

#[tokio::test]
async fn a_default_value_is_no_hindrance_where_the_source_has_the_column() {
    let lake = Lake::new();
    lake.write_log(
        0,
        &with_defaults(&[("id", "integer", "7"), ("name", "string", "'x'")]),
    );
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    assert_eq!(lake.ids().await.len(), 10);

    let lake = Lake::new();
    let columns = [
        ("id", "integer", "7"),
        ("name", "string", "'x'"),
        ("state", "string", "'new'"),
    ];
    lake.write_log(0, &with_defaults(&columns));
    let said = DeltaSink::check(lake.options(), &comments())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("\"state\"") && said.contains("DROP DEFAULT"),
        "{said}"
    );
}

#[tokio::test]
async fn a_table_of_a_catalog_is_refused_in_words_of_its_own() {
    let lake = Lake::new();
    let mut actions = foreign_table(
        &["catalogManaged", "inCommitTimestamp"],
        json!({"delta.enableInCommitTimestamps": "true"}),
    );
    actions[0]["protocol"]["readerFeatures"] = json!(["catalogManaged"]);
    actions.rotate_right(1);
    actions[0]["commitInfo"]["inCommitTimestamp"] = json!(1);
    lake.write_log(0, &actions);
    let said = DeltaSink::check(lake.options(), &comments())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("catalog manages its commits") && !said.contains("with_max"),
        "{said}"
    );
}

#[tokio::test]
async fn a_table_that_forgets_transactions_is_refused() {
    let lake = Lake::new();
    lake.write_log(
        0,
        &foreign_table(
            &[],
            json!({"delta.setTransactionRetentionDuration": "interval 7 days"}),
        ),
    );
    let error = DeltaSink::check(lake.options(), &comments()).await.unwrap_err();
    assert!(
        error.to_string().contains("setTransactionRetentionDuration"),
        "{error}"
    );
}

#[tokio::test]
async fn a_legacy_table_is_refused_for_what_it_has_or_for_its_version() {
    let check = async |version: i32, properties: serde_json::Value, metadata: serde_json::Value| {
        let lake = Lake::new();
        let mut table = foreign_table(&[], properties);
        table[0] = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": version}});
        let text = table[1]["metaData"]["schemaString"].as_str().unwrap();
        let text = text.replacen(r#""metadata":{}"#, &format!(r#""metadata":{metadata}"#), 1);
        table[1]["metaData"]["schemaString"] = text.into();
        lake.write_log(0, &table);
        DeltaSink::check(lake.options(), &comments())
            .await
            .map_err(|e| e.to_string())
    };
    let none = || json!({});
    for version in [1, 2] {
        assert!(check(version, none(), none()).await.is_ok(), "{version}");
    }
    for (version, knows) in [
        (3, "know CHECK constraints may"),
        (4, "know CHECK constraints and generated columns may"),
        (5, "know CHECK constraints and generated columns may"),
        (
            6,
            "know CHECK constraints and generated columns and identity columns may",
        ),
    ] {
        let error = check(version, none(), none()).await.unwrap_err();
        let says = format!("legacy writer version {version}, ");
        assert!(error.contains(&says) && error.contains(knows), "{error}");
        assert!(
            error.contains("the table has none; write to a new table"),
            "{error}"
        );
    }
    for (version, properties, metadata, has) in [
        (
            3,
            json!({"delta.constraints.id": "id > 0"}),
            none(),
            "it has CHECK constraints, ",
        ),
        (
            4,
            none(),
            json!({"delta.generationExpression": "1"}),
            "it has generated columns, ",
        ),
        (
            6,
            none(),
            json!({"delta.identity.start": 1}),
            "it has identity columns, ",
        ),
    ] {
        let error = check(version, properties, metadata).await.unwrap_err();
        assert!(
            error.contains(has) && error.contains("a table without them"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn checking_writes_nothing() {
    let lake = Lake::new();
    let found = DeltaSink::check(lake.options(), &comments()).await.unwrap();
    assert_eq!((found.revision, found.carries_offset), (None, true));
    assert_eq!(DeltaSink::inspect(&lake.options(), 5).await.unwrap(), None);
    assert!(!lake.url().to_file_path().unwrap().exists());

    lake.write_log(0, &foreign_table(&[], json!({})));
    let found = DeltaSink::check(lake.options(), &comments()).await.unwrap();
    assert_eq!((found.revision, found.carries_offset), (Some(0), false));
    let state = DeltaSink::inspect(&lake.options(), 5).await.unwrap().unwrap();
    assert_eq!((state.revision, state.last, state.commits.len()), (0, None, 0));
    assert_eq!(lake.log_files().len(), 1);

    let bad_name = Schema::new(vec![Field::new("a b;c", DataType::Int32, true)]);
    let error = DeltaSink::check(Lake::new().options(), &bad_name)
        .await
        .unwrap_err();
    assert!(matches!(error, SinkError::Schema(_)), "{error}");
}

#[tokio::test]
async fn a_source_must_fit_the_table() {
    let lake = Lake::new();
    let mut table = foreign_table(&[], json!({}));
    let text = table[1]["metaData"]["schemaString"].as_str().unwrap();
    table[1]["metaData"]["schemaString"] = text
        .replace(
            r#""nullable":true,"type":"integer""#,
            r#""nullable":false,"type":"integer""#,
        )
        .into();
    table[0]["protocol"]["writerFeatures"] = json!(["invariants"]);
    lake.write_log(0, &table);
    let columns = |columns: &[(&str, DataType)]| {
        Schema::new(
            columns
                .iter()
                .map(|(n, t)| Field::new(*n, t.clone(), true))
                .collect::<Vec<_>>(),
        )
    };
    let check = async |columns: Schema| {
        DeltaSink::check(lake.options(), &columns)
            .await
            .map_err(|e| e.to_string())
    };
    use DataType::*;
    assert!(
        check(columns(&[("ID", Int16), ("name", LargeUtf8)]))
            .await
            .is_ok()
    );
    assert!(
        check(columns(&[("id", UInt16)])).await.is_ok(),
        "name is filled with nulls"
    );
    for (schema, message) in [
        (columns(&[("id", Int32), ("body", Utf8)]), "no column \"body\""),
        (
            columns(&[("id", Int64)]),
            "Int64 in the source and Int32 in the table",
        ),
        (columns(&[("name", Utf8)]), "must not be null"),
    ] {
        let error = check(schema).await.unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    let mut sink = DeltaSink::open(lake.options(), &columns(&[("id", UInt8)]))
        .await
        .unwrap();
    let ids = arrow_array::UInt8Array::from_iter_values(0..=255);
    let rows = |ids: arrow_array::UInt8Array| {
        arrow_array::RecordBatch::try_new(
            std::sync::Arc::new(columns(&[("id", UInt8)])),
            vec![std::sync::Arc::new(ids)],
        )
        .unwrap()
    };
    let (staged, _) = stage(&mut sink, rows(ids)).await;
    let _ = sink.commit(Some(staged), &batch(1)).await.unwrap();
    assert_eq!(lake.ids().await, (0..256).collect::<Vec<_>>());
    assert_eq!(
        lake.rows().await[0]
            .column(1)
            .as_string::<i32>()
            .iter()
            .flatten()
            .count(),
        0
    );

    let mut stage = sink.stage().await.unwrap();
    let sent = sandbar_pipeline::Stage::write(&mut stage, rows(vec![None, Some(1)].into())).await;
    let error = match sent {
        Ok(()) => sandbar_pipeline::Stage::finish(stage).await.unwrap_err(),
        Err(e) => e,
    };
    assert!(
        matches!(error, SinkError::Schema(_)) && error.to_string().contains("id"),
        "{error}"
    );
}

#[tokio::test]
async fn a_schema_change_in_between_is_seen() {
    let lake = Lake::new();
    lake.write_log(0, &foreign_table(&["domainMetadata"], json!({})));
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();

    // A new column that may be null: the files fit.
    let (staged, _) = stage(&mut sink, ten_rows(10)).await;
    let mut metadata = foreign_table(&[], json!({}))[1].clone();
    let text = metadata["metaData"]["schemaString"].as_str().unwrap().to_owned();
    metadata["metaData"]["schemaString"] = text
        .replace(
            r#""fields":["#,
            r#""fields":[{"name":"extra","type":"date","nullable":true,"metadata":{}},"#,
        )
        .into();
    lake.write_log(2, &[metadata.clone()]);
    assert_eq!(sink.commit(Some(staged), &batch(2)).await.unwrap().revision, 3);

    // A column that changed its type: they don't.
    let (staged, _) = stage(&mut sink, ten_rows(20)).await;
    metadata["metaData"]["schemaString"] = text.replace("integer", "long").into();
    lake.write_log(4, &[metadata]);
    let error = sink.commit(Some(staged), &batch(3)).await.unwrap_err();
    assert!(matches!(error, SinkError::Schema(_)), "{error}");
    assert!(error.to_string().contains("start the pipeline again"), "{error}");

    // From now on rows are widened.
    append(&mut sink, 3).await.unwrap();
    assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 3);
}
