//! The table is removed, replaced or cut back while a sink is at work on it.

use std::path::PathBuf;

use sandbar_pipeline::{Sink, SinkError, Stage, with_causes};
use serde_json::json;

use super::support::*;
use crate::{DeltaOptions, DeltaSink, OffsetStorage};

const PLACES: [OffsetStorage; 2] = [OffsetStorage::Table, OffsetStorage::Checkpoint];

impl Lake {
    pub fn path(&self) -> PathBuf {
        self.url().to_file_path().unwrap()
    }

    fn options_for(&self, progress: OffsetStorage) -> DeltaOptions {
        DeltaOptions {
            progress,
            ..self.options()
        }
    }

    /// A sink that has committed the first `batches`.
    pub async fn written(&self, progress: OffsetStorage, batches: u64) -> DeltaSink {
        let mut sink = DeltaSink::open(self.options_for(progress), &comments())
            .await
            .unwrap();
        assert_eq!(sink.last_committed().await.unwrap(), None);
        for number in 1..=batches {
            append(&mut sink, number).await.unwrap();
        }
        sink
    }

    /// Another table, of so many versions, in this one's place.
    pub fn replace(&self, versions: u64) {
        std::fs::remove_dir_all(self.path()).unwrap();
        self.write_log(0, &foreign_table(&["domainMetadata"], json!({})));
        for version in 1..versions {
            self.write_log(version, &foreign_commit());
        }
    }

    fn everything(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path.strip_prefix(self.path()).unwrap().to_owned()),
                }
            }
        }
        files.sort();
        files
    }
}

#[track_caller]
pub fn assert_changed<T: std::fmt::Debug>(outcome: Result<T, SinkError>, lake: &Lake, what: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, SinkError::TableChanged { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(lake.url().as_str()), "{message}");
    assert!(message.contains(what), "{message}");
    assert!(
        message.to_lowercase().contains("nothing was committed"),
        "{message}"
    );
}

/// What the kernel does without the check: it reads on from what it knows, and commits version 2 where nothing is.
#[tokio::test]
async fn a_removed_table_gets_neither_a_file_nor_a_folder() {
    for progress in PLACES {
        for staged_before in [false, true] {
            let lake = Lake::new();
            let mut sink = lake.written(progress, 2).await;
            let staged = match staged_before {
                true => Some(stage(&mut sink, ten_rows(20)).await.0),
                false => None,
            };
            std::fs::remove_dir_all(lake.path()).unwrap();
            match staged {
                Some(staged) => {
                    assert_changed(sink.commit(Some(staged), &batch(3)).await, &lake, "was removed")
                }
                None => {
                    assert_changed(sink.stage().await.map(drop), &lake, "was removed");
                    assert_changed(sink.commit(None, &batch(3)).await, &lake, "was removed");
                }
            }
            sink.close().await;
            assert!(!lake.path().exists(), "brought to life again");

            // Who asks takes the table as it is, and may create it anew.
            assert_eq!(sink.last_committed().await.unwrap(), None);
            assert_eq!(append(&mut sink, 1).await.unwrap(), 0);
            assert_eq!(lake.ids().await, (0..10).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn a_folder_that_goes_while_rows_are_written_stays_away() {
    let lake = Lake::new();
    let mut sink = lake.written(OffsetStorage::Table, 2).await;
    let mut stage = sink.stage().await.unwrap();
    stage.write(ten_rows(20)).await.unwrap();
    std::fs::remove_dir_all(lake.path()).unwrap();
    assert_changed(stage.finish().await.map(drop), &lake, "was removed");
    assert!(!lake.path().exists());
}

#[tokio::test]
async fn a_table_in_the_place_of_ours_stays_as_it_is() {
    for progress in PLACES {
        // Lower, as high as ours, higher.
        for versions in [1, 2, 4] {
            for staged_before in [false, true] {
                let lake = Lake::new();
                let mut sink = lake.written(progress, 2).await;
                let mut early = None;
                if staged_before {
                    early = Some(stage(&mut sink, ten_rows(20)).await.0);
                }
                lake.replace(versions);
                let before = lake.everything();
                let staged = match early {
                    Some(staged) => staged,
                    None => stage(&mut sink, ten_rows(20)).await.0,
                };
                let outcome = sink.commit(Some(staged), &batch(3)).await;
                assert_changed(outcome, &lake, "was replaced by another one (id t, not ");
                sink.close().await;
                assert_eq!(lake.everything(), before, "{progress:?}, {versions}");
                assert!(lake.ids().await.is_empty(), "a reader opens it");

                assert_eq!(sink.last_committed().await.unwrap(), None);
                assert_eq!(append(&mut sink, 1).await.unwrap(), versions);
                assert_eq!(lake.ids().await, (0..10).collect::<Vec<_>>());
            }
        }
    }
}

#[tokio::test]
async fn a_log_that_lost_its_newest_versions_is_not_built_on() {
    let lake = Lake::new();
    let mut sink = lake.written(OffsetStorage::Table, 3).await;
    let staged = stage(&mut sink, ten_rows(30)).await.0;
    std::fs::remove_file(lake.path().join("_delta_log/00000000000000000002.json")).unwrap();
    let outcome = sink.commit(Some(staged), &batch(4)).await;
    assert_changed(outcome, &lake, "was cut back to version 1");
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
    assert_eq!(sink.last_committed().await.unwrap().unwrap().batch, 2);
    append(&mut sink, 3).await.unwrap();
    assert_eq!(lake.ids().await, (0..30).collect::<Vec<_>>());
}

/// An older copy that others have written since: the number of versions does not tell.
#[tokio::test]
async fn an_older_copy_that_went_on_is_told_by_its_last_batch() {
    let lake = Lake::new();
    let mut sink = lake.written(OffsetStorage::Table, 3).await;
    let staged = stage(&mut sink, ten_rows(30)).await.0;
    lake.write_log(2, &foreign_commit());
    lake.write_log(3, &foreign_commit());
    let outcome = sink.commit(Some(staged), &batch(4)).await;
    assert_changed(outcome, &lake, "a new start goes on after batch 2");
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_that_lost_its_beginning_is_no_table() {
    let lake = Lake::new();
    drop(lake.written(OffsetStorage::Table, 3).await);
    // With a checksum file the kernel finds protocol and schema without it.
    let mut sink = lake.open().await;
    sink.last_committed().await.unwrap();
    append(&mut sink, 4).await.unwrap();
    assert!(
        lake.log_files().iter().any(|name| name.ends_with(".crc")),
        "{:?}",
        lake.log_files()
    );
    std::fs::remove_file(lake.path().join("_delta_log/00000000000000000000.json")).unwrap();
    std::fs::remove_file(lake.path().join("_delta_log/00000000000000000001.json")).unwrap();
    let error = DeltaSink::open(lake.options(), &comments()).await.err().unwrap();
    let message = with_causes(&error);
    assert!(message.contains("its log begins with version 2"), "{message}");
    // The sink that is at work notices it just after its next commit, and takes that back.
    let outcome = append(&mut sink, 5).await;
    assert_changed(outcome, &lake, "its log begins with version 2");
    let last = "00000000000000000003.json".to_owned();
    assert_eq!(
        lake.log_files()
            .into_iter()
            .filter(|name| name.ends_with(".json"))
            .max(),
        Some(last)
    );
}

#[tokio::test]
async fn a_log_cleanup_is_no_removal() {
    let lake = Lake::new();
    let every_second = json!({"delta.checkpointInterval": "2"});
    lake.write_log(0, &foreign_table(&["domainMetadata"], every_second));
    let mut sink = lake.open().await;
    sink.last_committed().await.unwrap();
    for number in 1..=4 {
        append(&mut sink, number).await.unwrap();
        sink.close().await;
    }
    let log = lake.path().join("_delta_log");
    for version in 0..4 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    for name in lake.log_files() {
        if name.starts_with("00000000000000000002.checkpoint") {
            std::fs::remove_file(log.join(name)).unwrap();
        }
    }
    for number in 5..=7 {
        append(&mut sink, number).await.unwrap();
        sink.close().await;
    }
    assert_eq!(lake.ids().await, (0..70).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_folder_that_was_away_and_is_back_goes_on() {
    let lake = Lake::new();
    let mut sink = lake.written(OffsetStorage::Table, 2).await;
    let away = lake.folder.path().join("away");
    std::fs::rename(lake.path(), &away).unwrap();
    assert_changed(sink.commit(None, &batch(3)).await, &lake, "was removed");
    std::fs::rename(&away, lake.path()).unwrap();
    append(&mut sink, 3).await.unwrap();

    // A copy has other files with the same in them.
    let copied = lake.everything();
    std::fs::rename(lake.path(), &away).unwrap();
    for file in copied {
        let to = lake.path().join(&file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(away.join(&file), to).unwrap();
    }
    append(&mut sink, 4).await.unwrap();
    append(&mut sink, 5).await.unwrap();
    assert_eq!(lake.ids().await, (0..50).collect::<Vec<_>>());
}

/// The same with rows that were written before: the copy has not got their files.
#[tokio::test]
async fn a_copy_without_the_data_files_of_the_batch_is_not_committed_to() {
    let lake = Lake::new();
    let mut sink = lake.written(OffsetStorage::Table, 2).await;
    let copied = lake.everything();
    let staged = stage(&mut sink, ten_rows(20)).await.0;
    let away = lake.folder.path().join("away");
    std::fs::rename(lake.path(), &away).unwrap();
    for file in copied {
        let to = lake.path().join(&file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(away.join(&file), to).unwrap();
    }
    let outcome = sink.commit(Some(staged), &batch(3)).await;
    assert_changed(outcome, &lake, "lost the data file");
    assert_eq!(lake.ids().await, (0..20).collect::<Vec<_>>());
    append(&mut sink, 3).await.unwrap();
    assert_eq!(lake.ids().await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_first_commit_creates_no_table_whose_rows_are_gone() {
    for progress in PLACES {
        let lake = Lake::new();
        let mut sink = lake.written(progress, 0).await;
        let staged = stage(&mut sink, ten_rows(0)).await.0;
        std::fs::remove_dir_all(lake.path()).unwrap();
        assert_changed(
            sink.commit(Some(staged), &batch(1)).await,
            &lake,
            "lost the data file",
        );
        assert!(!lake.path().exists(), "brought to life again");
        append(&mut sink, 1).await.unwrap();
        assert_eq!(lake.ids().await, (0..10).collect::<Vec<_>>());
    }
}
