//! Another writer turns the table back: RESTORE keeps the `txn` and takes the rows.

use sandbar_pipeline::{Offset, Remedy, Sink, SinkError};
use serde_json::{Value, json};

use super::store::TestStore;
use super::support::*;
use crate::{DeltaOptions, DeltaSink, OffsetStorage};

impl Lake {
    /// The data files that a version added.
    fn added(&self, version: u64) -> Vec<String> {
        let log = self.read_log(version);
        let adds = log.iter().filter_map(|action| action.get("add"));
        adds.map(|add| add["path"].as_str().unwrap().to_owned()).collect()
    }

    /// Takes out what these versions added, in the name of an operation.
    fn take_out(&self, at: u64, versions: &[u64], operation: &str, parameters: Value) {
        self.change(at, versions, &[], operation, parameters);
    }

    fn change(&self, at: u64, out: &[u64], back: &[u64], operation: &str, parameters: Value) {
        let info = json!({"commitInfo": {"timestamp": 0, "operation": operation, "operationParameters": parameters}});
        let mut actions = vec![info];
        for path in out.iter().flat_map(|version| self.added(*version)) {
            let remove = json!({"path": path, "dataChange": true, "deletionTimestamp": 0});
            actions.push(json!({ "remove": remove }));
        }
        for version in back {
            let log = self.read_log(*version);
            actions.extend(log.into_iter().filter(|action| action.get("add").is_some()));
        }
        self.write_log(at, &actions);
    }

    async fn four_batches(&self, progress: OffsetStorage) -> DeltaSink {
        let options = DeltaOptions {
            progress,
            ..self.options()
        };
        let mut sink = DeltaSink::open(options, &comments()).await.unwrap();
        sink.last_committed().await.unwrap();
        for number in 1..=4 {
            append(&mut sink, number).await.unwrap();
        }
        sink
    }
}

#[track_caller]
fn assert_rolled_back(outcome: Result<(), SinkError>, batches: (u64, u64), at: u64) {
    let error = outcome.unwrap_err();
    let SinkError::RolledBack(back) = &error else {
        panic!("{error}");
    };
    assert_eq!((back.first, back.last, back.version), (batches.0, batches.1, at));
    assert_eq!(
        (&back.start, &back.end),
        (&offset(batches.0 - 1), &offset(batches.1))
    );
    let batches_named = format!("batches {} to {}", batches.0, batches.1);
    assert!(error.to_string().contains(&batches_named), "{error}");
    let ways = error.remedies().into_iter().map(|remedy| match remedy {
        Remedy::ResetOffset { to, .. } => to.unwrap(),
        other => panic!("{other:?}"),
    });
    let ways: Vec<_> = ways.collect();
    assert_eq!(ways, [offset(batches.0 - 1), offset(batches.1)]);
}

/// A micro-batch without rows that sets the offset: what `sandbar reset` commits.
async fn reset(sink: &mut DeltaSink, to: Offset) {
    let last = sink.last_committed().await.unwrap().unwrap();
    let mut set = batch(last.batch + 1);
    (set.end, set.rows) = (to, 0);
    let _ = sink.commit(None, &set).await.unwrap();
}

#[tokio::test]
async fn rows_that_a_restore_took_are_told_until_someone_decides() {
    for progress in [OffsetStorage::Table, OffsetStorage::Checkpoint] {
        // Where it went back to may be said as a number, as text, or not at all.
        for to in [
            json!({"version": 1}),
            json!({"version": "1", "timestamp": null}),
            json!({"timestamp": "2026-11-26"}),
        ] {
            let lake = Lake::new();
            let mut sink = lake.four_batches(progress).await;
            let (staged, _) = stage(&mut sink, ten_rows(40)).await;
            lake.take_out(4, &[2, 3], "RESTORE", to);
            // While it is at work.
            let outcome = sink.commit(Some(staged), &batch(5)).await;
            assert_rolled_back(outcome.map(drop), (3, 4), 4);
            assert_eq!(
                lake.log_files()
                    .iter()
                    .filter(|name| name.ends_with(".json"))
                    .count(),
                5
            );

            // And at each start.
            for _ in 0..2 {
                sink = DeltaSink::open(lake.options(), &comments()).await.unwrap();
                assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 4);
                assert_rolled_back(sink.verify().await, (3, 4), 4);
            }
            let state = DeltaSink::inspect(&lake.options(), 1).await.unwrap().unwrap();
            assert!(state.rolled_back.unwrap().to_string().contains("batches 3 to 4"));
            let refused = DeltaSink::check(lake.options(), &comments()).await.unwrap_err();
            assert!(matches!(refused, SinkError::RolledBack(_)), "{refused}");

            // Until it is told where to go on.
            reset(&mut sink, offset(2)).await;
            sink.last_committed().await.unwrap();
            sink.verify().await.unwrap();
            for (number, first) in [(6, 20), (7, 30)] {
                let (staged, _) = stage(&mut sink, ten_rows(first)).await;
                let _ = sink.commit(Some(staged), &batch(number)).await.unwrap();
            }
            assert_eq!(lake.ids().await, (0..40).collect::<Vec<_>>());
            let state = DeltaSink::inspect(&lake.options(), 1).await.unwrap().unwrap();
            assert_eq!(state.rolled_back, None);
        }
    }
}

#[tokio::test]
async fn rows_that_came_back_are_not_missed() {
    let lake = Lake::new();
    drop(lake.four_batches(OffsetStorage::Table).await);
    for by_version in [true, false] {
        let to = |version: u64| match by_version {
            true => json!({ "version": version }),
            false => json!({}),
        };
        lake.change(4, &[2, 3], &[], "RESTORE", to(1));
        lake.change(5, &[], &[2, 3], "RESTORE", to(3));
        let mut sink = lake.open().await;
        sink.last_committed().await.unwrap();
        sink.verify().await.unwrap();

        // A RESTORE to a version that a RESTORE made goes as far as that one.
        lake.change(6, &[2, 3], &[], "RESTORE", to(4));
        let mut sink = lake.open().await;
        sink.last_committed().await.unwrap();
        assert_rolled_back(sink.verify().await, (3, 4), 6);
        for version in 4..=6 {
            std::fs::remove_file(
                lake.url()
                    .to_file_path()
                    .unwrap()
                    .join(format!("_delta_log/{version:020}.json")),
            )
            .unwrap();
        }
    }
}

/// Compaction gives the rows other files: where the RESTORE went to tells what their names can't.
#[tokio::test]
async fn rows_in_compacted_files_are_missed_too() {
    let lake = Lake::new();
    drop(lake.four_batches(OffsetStorage::Table).await);
    let mut compacted = vec![json!({"commitInfo": {"timestamp": 0, "operation": "OPTIMIZE"}})];
    for path in [2, 3].into_iter().flat_map(|version| lake.added(version)) {
        compacted.push(json!({"remove": {"path": path, "dataChange": false, "deletionTimestamp": 0}}));
    }
    lake.write_log(4, &compacted);
    lake.write_log(5, &[
        json!({"commitInfo": {"timestamp": 0, "operation": "RESTORE", "operationParameters": {"version": 1}}}),
        json!({"remove": {"path": "compacted.parquet", "dataChange": true, "deletionTimestamp": 0}}),
    ]);
    let mut sink = lake.open().await;
    sink.last_committed().await.unwrap();
    assert_rolled_back(sink.verify().await, (3, 4), 5);
}

#[tokio::test]
async fn rows_that_the_owner_deletes_are_the_owners_affair() {
    for operation in ["DELETE", "UPDATE", "MERGE", "WRITE", "TRUNCATE"] {
        let lake = Lake::new();
        let mut sink = lake.four_batches(OffsetStorage::Table).await;
        lake.take_out(4, &[1, 2], operation, json!({}));
        append(&mut sink, 5).await.unwrap();
        lake.take_out(6, &[0], operation, json!({}));
        let mut sink = lake.open().await;
        sink.last_committed().await.unwrap();
        sink.verify().await.unwrap();
        append(&mut sink, 6).await.unwrap();
        assert_eq!(lake.ids().await, (30..60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_table_that_is_created_over_ours_in_the_same_log_is_noticed() {
    let replace = "CREATE OR REPLACE TABLE AS SELECT";
    // Some writers keep the table's id, others do not.
    let lake = Lake::new();
    let mut sink = lake.four_batches(OffsetStorage::Table).await;
    lake.take_out(4, &[0, 1, 2, 3], replace, json!({}));
    assert_rolled_back(append(&mut sink, 5).await.map(drop), (1, 4), 4);

    let lake = Lake::new();
    let mut sink = lake.four_batches(OffsetStorage::Table).await;
    lake.take_out(4, &[0, 1, 2, 3], replace, json!({}));
    let mut log = lake.read_log(4);
    log.push(foreign_table(&[], json!({}))[1].clone());
    lake.write_log(4, &log);
    let error = append(&mut sink, 5).await.unwrap_err();
    assert!(matches!(error, SinkError::TableChanged { .. }), "{error}");
    let mut sink = lake.open().await;
    sink.last_committed().await.unwrap();
    assert_rolled_back(sink.verify().await, (1, 4), 4);
}

/// Asking costs one file where nobody else writes, however many batches there are.
#[tokio::test]
async fn a_start_reads_one_entry_of_the_log_for_it() {
    let lake = Lake::new();
    drop(lake.four_batches(OffsetStorage::Table).await);
    let store = TestStore::new();
    let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
        .await
        .unwrap();
    sink.last_committed().await.unwrap();
    store.take_requests();
    sink.verify().await.unwrap();
    assert_eq!(
        store.take_requests(),
        ["get _delta_log/00000000000000000003.json"]
    );
}
