use sandbar_pipeline::{Committed, Sink, SinkError, with_causes};

use super::store::{Fault, TestStore};
use super::support::*;
use crate::{DeltaSink, OffsetStorage};

#[tokio::test]
async fn a_missing_table_is_created_with_its_first_rows() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    assert_eq!(sink.last_committed().await.unwrap(), None);
    assert!(sink.carries_offset());
    assert!(
        !lake.url().to_file_path().unwrap().exists(),
        "opening writes nothing"
    );

    assert_eq!(append(&mut sink, 1).await.unwrap(), 0);
    assert_eq!(append(&mut sink, 2).await.unwrap(), 1);
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());

    let log = lake.read_log(1);
    let find = |name: &str| log.iter().find_map(|action| action.get(name)).unwrap().clone();
    assert_eq!(
        (&find("txn")["appId"], &find("txn")["version"]),
        (&"sandbar/comments".into(), &2.into())
    );
    assert_eq!(find("domainMetadata")["domain"], "sandbar.comments");
    assert_eq!(find("commitInfo")["operation"], "STREAMING UPDATE");
    assert_eq!(find("commitInfo")["isBlindAppend"], true);
    let note: serde_json::Value =
        serde_json::from_str(find("commitInfo")["sandbar"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&note["batch"], &note["end"]["current"], &note["rows"]),
        (&2.into(), &20.into(), &10.into())
    );
    assert!(
        find("add")["stats"]
            .as_str()
            .unwrap()
            .contains(r#""minValues":{"id":10,"name":"n10"}"#)
    );
}

#[tokio::test]
async fn a_start_finds_the_last_batch_and_its_end() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    append(&mut sink, 2).await.unwrap();

    let mut again = lake.open().await;
    let last = Committed {
        batch: 2,
        end: Some(offset(2)),
        fingerprint: None,
        component: Some(component()),
        source: Some(source()),
    };
    assert_eq!(again.last_committed().await.unwrap(), Some(last));
    append(&mut again, 3).await.unwrap();
    assert_eq!(lake.ids().await.len(), 30);

    let state = DeltaSink::inspect(&lake.options(), 2).await.unwrap().unwrap();
    assert_eq!(state.revision, 2);
    assert_eq!(state.last.unwrap().batch, 3);
    assert_eq!(
        state
            .commits
            .iter()
            .map(|c| (c.revision, c.batch.batch))
            .collect::<Vec<_>>(),
        [(2, 3), (1, 2)]
    );
}

#[tokio::test]
async fn where_the_offset_lies_elsewhere_the_table_tells_its_fingerprint() {
    let lake = Lake::new();
    let mut options = lake.options();
    options.progress = OffsetStorage::Checkpoint;
    let mut sink = DeltaSink::open(options.clone(), &comments()).await.unwrap();
    append(&mut sink, 1).await.unwrap();
    append(&mut sink, 2).await.unwrap();
    let last = Committed {
        batch: 2,
        end: None,
        fingerprint: Some(offset(2).fingerprint()),
        component: None,
        source: None,
    };
    let mut again = DeltaSink::open(options, &comments()).await.unwrap();
    assert_eq!(again.last_committed().await.unwrap(), Some(last));
}

#[tokio::test]
async fn the_slower_of_two_runners_is_told() {
    let lake = Lake::new();
    let mut fast = lake.open().await;
    let mut slow = lake.open().await;
    // Both believe that the table is missing, and have written files.
    let (staged, _) = stage(&mut slow, ten_rows(0)).await;
    append(&mut fast, 1).await.unwrap();
    let error = slow.commit(Some(staged), &batch(1)).await.unwrap_err();
    assert!(matches!(error, SinkError::Superseded { batch: 1, .. }), "{error}");

    // Now the table exists for both.
    let (staged, _) = stage(&mut slow, ten_rows(10)).await;
    append(&mut fast, 2).await.unwrap();
    append(&mut fast, 3).await.unwrap();
    let error = slow.commit(Some(staged), &batch(2)).await.unwrap_err();
    assert!(matches!(error, SinkError::Superseded { batch: 3, .. }), "{error}");
    assert_eq!(lake.ids().await, (0..30).collect::<Vec<_>>());
}

/// The table's own record of the end is never older than its `txn`, whatever mode the last commit was made in: with an
/// expired `txn` an older one would be taken for the last.
#[tokio::test]
async fn a_table_that_can_carry_the_offset_does_so_even_where_the_offset_log_is_asked_for() {
    let lake = Lake::new();
    append(&mut lake.open().await, 1).await.unwrap();
    let mut options = lake.options();
    options.progress = OffsetStorage::Checkpoint;
    let mut logged = DeltaSink::open(options, &comments()).await.unwrap();
    assert!(!logged.carries_offset());
    append(&mut logged, 2).await.unwrap();
    let last = logged.last_committed().await.unwrap().unwrap();
    assert_eq!((last.batch, last.end), (2, Some(offset(2))));
}

/// Taking up a log checkpoint reads on in the log: what another runner did is then no conflict any more, and only
/// the comparison with the last batch keeps it apart.
#[tokio::test]
async fn another_runners_commit_that_a_log_checkpoint_brought_along_is_noticed() {
    // The log checkpoint must still be at work when the third batch comes, which a busy machine may prevent.
    for _ in 0..50 {
        let lake = Lake::new();
        let every_second = serde_json::json!({"delta.checkpointInterval": "2"});
        lake.write_log(0, &foreign_table(&["domainMetadata"], every_second));
        let mut slow = lake.open().await;
        for number in 1..=3 {
            append(&mut slow, number).await.unwrap();
        }
        append(&mut lake.open().await, 4).await.unwrap();
        slow.close().await;
        if slow.table_version() != Some(4) {
            continue;
        }
        let error = append(&mut slow, 4).await.unwrap_err();
        assert!(matches!(error, SinkError::Superseded { batch: 4, .. }), "{error}");
        assert_eq!(lake.ids().await, (0..40).collect::<Vec<_>>());
        return;
    }
    panic!("no log checkpoint was taken up late");
}

#[tokio::test]
async fn two_pipelines_may_create_one_table() {
    let lake = Lake::new();
    let mut sinks = Vec::new();
    for pipeline in ["a", "b", "c"] {
        let mut options = lake.options();
        options.pipeline = pipeline.to_owned();
        sinks.push((pipeline, DeltaSink::open(options, &comments()).await.unwrap()));
    }
    let tasks: Vec<_> = sinks
        .into_iter()
        .map(|(pipeline, mut sink)| {
            tokio::spawn(async move {
                for number in 1..=10 {
                    let (staged, _) = stage(&mut sink, ten_rows(0)).await;
                    let mut batch = batch(number);
                    batch.pipeline = pipeline.to_owned();
                    let _ = sink.commit(Some(staged), &batch).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(lake.ids().await.len(), 300);
    assert_eq!(
        lake.log_files()
            .iter()
            .filter(|name| name.ends_with(".json"))
            .count(),
        30
    );
}

#[tokio::test]
async fn a_commit_of_somebody_else_in_between_is_no_obstacle() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    append(&mut sink, 1).await.unwrap();
    let (staged, _) = stage(&mut sink, ten_rows(10)).await;
    lake.write_log(1, &foreign_commit());
    assert_eq!(sink.commit(Some(staged), &batch(2)).await.unwrap().revision, 2);
    assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 2);
    assert_eq!(lake.ids().await.len(), 20);
}

#[tokio::test]
async fn an_error_does_not_hide_a_commit() {
    for first in [1, 2] {
        let lake = Lake::new();
        let store = TestStore::new();
        let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
            .await
            .unwrap();
        if first == 2 {
            append(&mut sink, 1).await.unwrap();
        }
        store.fail_next(Fault::Unheard);
        assert_eq!(append(&mut sink, first).await.unwrap(), first - 1);
        append(&mut sink, first + 1).await.unwrap();
        assert_eq!(lake.ids().await, (0..10 * (first as i32 + 1)).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_failed_commit_leaves_nothing_and_can_be_tried_again() {
    for first in [1, 2] {
        let lake = Lake::new();
        let store = TestStore::new();
        let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
            .await
            .unwrap();
        if first == 2 {
            append(&mut sink, 1).await.unwrap();
        }
        store.fail_next(Fault::Lost);
        let error = append(&mut sink, first).await.unwrap_err();
        assert!(matches!(error, SinkError::Store { .. }), "{error}");
        assert!(
            with_causes(&error).contains("the store is unavailable"),
            "{error:?}"
        );
        assert_eq!(lake.ids().await.len(), 10 * (first as usize - 1));
        assert_eq!(
            sink.last_committed().await.unwrap().map_or(0, |last| last.batch),
            first - 1
        );
        append(&mut sink, first).await.unwrap();
        assert_eq!(lake.ids().await.len(), 10 * first as usize);
    }
}

#[tokio::test]
async fn a_conflict_that_is_none_is_tried_again() {
    let lake = Lake::new();
    let store = TestStore::new();
    let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
        .await
        .unwrap();
    for number in 1..=2 {
        store.fail_next(Fault::FalseConflict);
        append(&mut sink, number).await.unwrap();
    }
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_outcome_that_nobody_can_see_is_unknown() {
    let lake = Lake::new();
    let store = TestStore::new();
    let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
        .await
        .unwrap();
    append(&mut sink, 1).await.unwrap();
    store.fail_next(Fault::Blind);
    let error = append(&mut sink, 2).await.unwrap_err();
    assert!(matches!(error, SinkError::Unknown { batch: 2, .. }), "{error}");

    store.restore_sight();
    assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 2);
    append(&mut sink, 3).await.unwrap();
    assert_eq!(lake.ids().await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_given_up_that_lands_later_is_not_taken_for_another_runner() {
    let lake = Lake::new();
    let store = TestStore::new();
    let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
        .await
        .unwrap();
    append(&mut sink, 1).await.unwrap();
    append(&mut sink, 2).await.unwrap();
    // The log entry of batch 2 comes late: hidden until the next commit.
    let entry = lake.read_log(1);
    let file = lake
        .url()
        .to_file_path()
        .unwrap()
        .join("_delta_log/00000000000000000001.json");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        DeltaSink::inspect(&lake.options(), 1)
            .await
            .unwrap()
            .unwrap()
            .revision,
        0
    );
    let (staged, _) = {
        // A sink that goes on from version 0, with the id of the one that committed.
        let mut again = DeltaSink::open(lake.options_on(store.store()), &comments())
            .await
            .unwrap();
        again.take_identity(&sink);
        let staged = stage(&mut again, ten_rows(10)).await;
        sink = again;
        staged
    };
    lake.write_log(1, &entry);
    let error = sink.commit(Some(staged), &batch(2)).await.unwrap_err();
    assert!(matches!(error, SinkError::Unknown { batch: 2, .. }), "{error}");
    assert_eq!(sink.last_committed().await.unwrap().unwrap().end, Some(offset(2)));
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_without_rows_moves_the_offset() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    let mut first = batch(1);
    first.rows = 0;
    assert_eq!(sink.commit(None, &first).await.unwrap().revision, 0);
    append(&mut sink, 2).await.unwrap();
    let mut third = batch(3);
    third.end = offset(99);
    assert_eq!(sink.commit(None, &third).await.unwrap().revision, 2);
    assert_eq!(
        lake.open().await.last_committed().await.unwrap().unwrap().end,
        Some(offset(99))
    );
    assert_eq!(lake.ids().await, (10..20).collect::<Vec<_>>());
    assert!(lake.read_log(2).iter().all(|action| action.get("add").is_none()));
}

/// The offset log gives each number out once; one whose runner died before its commit is never used.
#[tokio::test]
async fn a_number_may_be_left_out_but_two_runners_after_one_batch_never_both_get_in() {
    let lake = Lake::new();
    append(&mut lake.open().await, 1).await.unwrap();
    let (mut first, mut second) = (lake.open().await, lake.open().await);
    for sink in [&mut first, &mut second] {
        assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 1);
    }
    let (staged, _) = stage(&mut first, ten_rows(10)).await;
    let receipt = first.commit(Some(staged), &batch(3)).await.unwrap();
    assert_eq!(receipt.revision, 1);
    let (staged, _) = stage(&mut second, ten_rows(10)).await;
    let error = second.commit(Some(staged), &batch(4)).await.unwrap_err();
    assert!(matches!(error, SinkError::Superseded { .. }), "{error}");
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_table_that_lost_batches_is_not_built_on() {
    let lake = Lake::new();
    append(&mut lake.open().await, 1).await.unwrap();
    // Never asked: so it takes for granted that batch 2 is there.
    let mut sink = lake.open().await;
    let (staged, _) = stage(&mut sink, ten_rows(10)).await;
    let error = sink.commit(Some(staged), &batch(3)).await.unwrap_err();
    assert!(matches!(error, SinkError::TableChanged { .. }), "{error}");
    assert_eq!(lake.ids().await.len(), 10);
}
