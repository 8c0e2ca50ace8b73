//! The same in the moments that no check can close: between the look at the table and the write.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sandbar_harness::store::{FaultyStore, Process, Step};
use sandbar_pipeline::{Sink, SinkError};
use serde_json::json;

use super::changed::assert_changed;
use super::support::*;
use crate::{DeltaSink, OffsetStorage};

type Act = fn(&Path);

/// A store whose files something happens to just before a step.
fn meddled(
    mut wanted: impl FnMut(&Step) -> bool + Send + 'static,
    act: impl Fn() + Send + 'static,
) -> Arc<dyn ObjectStore> {
    let mut done = false;
    let process = Process::deciding(move |step| {
        if !done && wanted(step) {
            done = true;
            act();
        }
        None
    });
    Arc::new(FaultyStore::new(Arc::new(LocalFileSystem::new()), process))
}

/// Between the check and the put there is a moment that no check can close.
#[tokio::test]
async fn a_commit_that_meets_a_removal_on_its_way_is_taken_back() {
    let put = |step: &Step| step.name == "put _delta_log/00000000000000000002.json";
    let cases: [(&str, Act); 3] = [
        ("removed", |path| std::fs::remove_dir_all(path).unwrap()),
        // The put lands in a table whose versions it does not follow: nobody could read it.
        ("replaced", |path| {
            std::fs::remove_dir_all(path).unwrap();
            let log = path.join("_delta_log");
            std::fs::create_dir_all(&log).unwrap();
            let text: Vec<_> = foreign_table(&[], json!({}))
                .iter()
                .map(ToString::to_string)
                .collect();
            std::fs::write(log.join("00000000000000000000.json"), text.join("\n")).unwrap();
        }),
        ("cut back", |path| {
            std::fs::remove_file(path.join("_delta_log/00000000000000000001.json")).unwrap()
        }),
    ];
    for (what, act) in cases {
        let lake = Lake::new();
        let path = lake.path();
        let store = meddled(put, move || act(&path));
        let mut sink = DeltaSink::open(lake.options_on(store), &comments())
            .await
            .unwrap();
        sink.last_committed().await.unwrap();
        append(&mut sink, 1).await.unwrap();
        append(&mut sink, 2).await.unwrap();
        let outcome = append(&mut sink, 3).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, SinkError::TableChanged { .. }), "{what}: {error}");
        sink.close().await;
        let log = lake.log_files();
        let kept: &[&str] = match what {
            "removed" => &[],
            _ => &["00000000000000000000.json"],
        };
        assert_eq!(log, kept, "{what}");
        assert_eq!(lake.path().exists(), what != "removed");
        // Readers open what is there.
        let ids = if what == "cut back" { 10 } else { 0 };
        assert_eq!(lake.ids().await.len(), ids, "{what}");
    }
}

/// What is taken back is the entry that was put, not what has its name by now.
#[tokio::test]
async fn the_first_entry_of_a_table_in_the_place_of_a_new_one_stays() {
    let lake = Lake::new();
    let path = lake.path();
    let mut looks = 0;
    // Before the commit the data file is looked for, and after it again.
    let looked = move |step: &Step| {
        looks += usize::from(step.name == "head data file");
        looks == 2
    };
    let text: Vec<_> = foreign_table(&["domainMetadata"], json!({}))
        .iter()
        .map(ToString::to_string)
        .collect();
    let store = meddled(looked, move || {
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::create_dir_all(path.join("_delta_log")).unwrap();
        std::fs::write(path.join("_delta_log/00000000000000000000.json"), text.join("\n")).unwrap();
    });
    let mut sink = DeltaSink::open(lake.options_on(store), &comments())
        .await
        .unwrap();
    assert_changed(append(&mut sink, 1).await, &lake, "lost the data file");
    assert_eq!(lake.log_files(), ["00000000000000000000.json"]);
    assert!(lake.ids().await.is_empty(), "a reader opens it");
}

/// A checkpoint of the removed table in the new one would be taken for its state.
#[tokio::test]
async fn what_goes_on_beside_writes_nothing_into_another_table() {
    for kind in ["checkpoint.parquet", "_last_checkpoint"] {
        let lake = Lake::new();
        let path = lake.path();
        let wanted = move |step: &Step| step.name.starts_with("put ") && step.name.ends_with(kind);
        let store = meddled(wanted, move || {
            std::fs::remove_dir_all(&path).unwrap();
            std::fs::create_dir_all(path.join("_delta_log")).unwrap();
        });
        let every_second = json!({"delta.checkpointInterval": "2"});
        lake.write_log(0, &foreign_table(&["domainMetadata"], every_second));
        let mut sink = DeltaSink::open(lake.options_on(store), &comments())
            .await
            .unwrap();
        sink.last_committed().await.unwrap();
        append(&mut sink, 1).await.unwrap();
        append(&mut sink, 2).await.unwrap();
        sink.close().await;
        assert_eq!(lake.log_files(), [""; 0], "{kind}");
    }
}

/// The kernel reads protocol, schema and table id from a checksum file, whichever table it was written for.
#[tokio::test]
async fn a_table_in_the_place_of_ours_does_not_get_our_checksum() {
    let lake = Lake::new();
    drop(lake.written(OffsetStorage::Table, 1).await);
    let mut sink = lake.open().await;
    sink.last_committed().await.unwrap();
    let staged = stage(&mut sink, ten_rows(10)).await.0;
    lake.replace(1);
    let outcome = sink.commit(Some(staged), &batch(2)).await;
    assert_changed(outcome, &lake, "was replaced by another one (id t, not ");
    assert_eq!(lake.log_files(), ["00000000000000000000.json"]);
}
