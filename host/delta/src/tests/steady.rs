use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Int32Array, RecordBatch, StringArray};
use sandbar_pipeline::{Sink, Stage};

use super::store::TestStore;
use super::support::*;
use crate::DeltaSink;

#[tokio::test]
async fn a_commit_costs_the_same_however_old_the_table_is() {
    let lake = Lake::new();
    let store = TestStore::new();
    let mut sink = DeltaSink::open(lake.options_on(store.store()), &comments())
        .await
        .unwrap();
    let mut seen = BTreeSet::new();
    for number in 1..=300 {
        store.take_requests();
        append(&mut sink, number).await.unwrap();
        let requests = store.take_requests();
        // The log checkpoint is written beside; its requests are not the commit's.
        sink.close().await;
        let names: Vec<_> = requests
            .iter()
            .map(|request| request.split(['.']).next_back().unwrap().to_owned())
            .collect();
        if number % 100 != 1 {
            seen.insert((requests.len(), names));
        }
    }
    // The newest entry is asked for, the next one written; then it and the oldest one are asked for.
    let requests = ["put data file", "json", "json", "json", "json"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from([(5, requests.to_vec())]));
    assert_eq!(lake.ids().await.len(), 3000);
}

#[tokio::test]
async fn progress_outlives_the_log_entries() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    for number in 1..=104 {
        append(&mut sink, number).await.unwrap();
    }
    sink.close().await;
    drop(sink);
    let files = lake.log_files();
    assert!(
        files.contains(&"00000000000000000100.checkpoint.parquet".to_owned()),
        "{files:?}"
    );
    let folder = lake.url().to_file_path().unwrap().join("_delta_log");
    for version in 0..100 {
        std::fs::remove_file(folder.join(format!("{version:020}.json"))).unwrap();
    }

    let mut again = lake.open().await;
    let last = again.last_committed().await.unwrap().unwrap();
    assert_eq!((last.batch, last.end), (104, Some(offset(104))));
    append(&mut again, 105).await.unwrap();
    assert_eq!(lake.ids().await.len(), 1050);
    let state = DeltaSink::inspect(&lake.options(), 50).await.unwrap().unwrap();
    assert_eq!(state.commits.len(), 5, "as far as the log goes");
}

/// A stop in the middle of a large micro-batch must not leave half a file behind when the program ends.
#[tokio::test]
async fn a_sink_that_has_settled_left_nothing_of_a_dropped_stage() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    let mut stage = sink.stage().await.unwrap();
    let files = || std::fs::read_dir(lake.url().to_file_path().unwrap()).map_or(0, |files| files.count());
    let mut batches = 0;
    while files() == 0 {
        stage.write(long_rows(batches)).await.unwrap();
        batches += 1;
        assert!(batches < 100, "a large file is sent off in parts");
    }
    drop(stage);
    sink.close().await;
    assert_eq!(files(), 0);
}

/// Rows of some megabytes that hardly compress.
fn long_rows(seed: u64) -> RecordBatch {
    let mut state = seed;
    let mut text = || {
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:08x}", state >> 32)
        });
        words.take(128).collect::<String>()
    };
    let ids = Int32Array::from_iter_values(0..4096);
    let names = StringArray::from_iter_values((0..4096).map(|_| text()));
    RecordBatch::try_new(Arc::new(comments()), vec![Arc::new(ids), Arc::new(names)]).unwrap()
}
