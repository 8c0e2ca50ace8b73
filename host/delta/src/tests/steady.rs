use std::collections::BTreeSet;

use sandbar_pipeline::Sink;

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
        sink.settle().await;
        let names: Vec<_> = requests
            .iter()
            .map(|request| request.split(['.']).next_back().unwrap().to_owned())
            .collect();
        if number % 100 != 1 {
            seen.insert((requests.len(), names));
        }
    }
    let put = |kind: &str| kind.to_owned();
    assert_eq!(
        seen,
        BTreeSet::from([(2, vec![put("put data file"), put("json")])])
    );
    assert_eq!(lake.ids().await.len(), 3000);
}

#[tokio::test]
async fn progress_outlives_the_log_entries() {
    let lake = Lake::new();
    let mut sink = lake.open().await;
    for number in 1..=104 {
        append(&mut sink, number).await.unwrap();
    }
    sink.settle().await;
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
