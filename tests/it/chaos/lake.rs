use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sandbar_delta::OffsetStorage;
use serde_json::{Value, json};

use super::source::{position, schema};

const LOG: &str = "t/_delta_log";

/// A table in memory, read and written by hand.
pub(super) struct Lake {
    pub(super) store: Arc<InMemory>,
    /// Log entries that a cleanup removed, by version.
    removed: Mutex<BTreeMap<u64, Vec<Value>>>,
}

/// One micro-batch as a commit has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) batch: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) component: String,
}

impl Lake {
    pub(super) fn new() -> Self {
        Self {
            store: Arc::default(),
            removed: Mutex::default(),
        }
    }

    /// Creates the table as another tool would, with a log checkpoint at every second version.
    pub(super) async fn create(&self, progress: OffsetStorage) {
        let features: &[&str] = match progress {
            OffsetStorage::Table => &["domainMetadata"],
            OffsetStorage::Checkpoint => &[],
        };
        let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
        let schema = json!({"type": "struct", "fields": fields}).to_string();
        let actions = [
            json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [],
                "writerFeatures": features}}),
            json!({"metaData": {"id": "t", "format": {"provider": "parquet", "options": {}},
                "schemaString": schema, "partitionColumns": [],
                "configuration": {"delta.checkpointInterval": "2"}, "createdTime": 0}}),
        ];
        assert!(self.put_version(0, &actions).await);
    }

    /// Appends a row as another writer would, after whatever is the last version now.
    pub(super) async fn append_foreign(&self, id: i64) {
        assert!(id < 0, "to tell it from the pipeline's");
        let rows = RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(vec![id]))]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let bytes = writer.into_inner().unwrap();
        let add = json!({"add": {"path": format!("foreign{id}.parquet"), "partitionValues": {}, "size": bytes.len(),
            "modificationTime": 0, "dataChange": true, "stats": "{\"numRecords\":1}"}});
        let info = json!({"commitInfo": {"timestamp": 0, "operation": "WRITE", "isBlindAppend": true}});
        self.store
            .put(&Path::from(format!("t/foreign{id}.parquet")), bytes.into())
            .await
            .unwrap();
        let actions = [info, add];
        let mut version = self.versions().await.len() as u64;
        while !self.put_version(version, &actions).await {
            version += 1;
        }
    }

    /// Removes the log entries below the newest log checkpoint, as a log cleanup does. Tells how many these were.
    pub(super) async fn clean_log(&self) -> usize {
        let files = self.log_files().await;
        let number = |name: &str| name.split('.').next().and_then(|n| n.parse::<u64>().ok());
        let checkpoints = files.iter().filter(|name| name.contains(".checkpoint."));
        let Some(newest) = checkpoints.filter_map(|name| number(name)).max() else {
            return 0;
        };
        let mut count = 0;
        for name in files.iter().filter(|name| name.ends_with(".json")) {
            let Some(version) = number(name).filter(|version| *version < newest) else {
                continue;
            };
            let actions = self.actions(version).await.unwrap();
            self.removed.lock().unwrap().insert(version, actions);
            self.store
                .delete(&Path::from(format!("{LOG}/{name}")))
                .await
                .unwrap();
            count += 1;
        }
        count
    }

    /// The micro-batches in the table, in order.
    ///
    /// Fails unless each commit holds just the rows that it says, follows the one before, and carries the same
    /// number and offset in all places that tell them, and each foreign row is there.
    pub(super) async fn batches(&self, progress: OffsetStorage, foreign: &[i64]) -> Vec<Landed> {
        let mut landed: Vec<Landed> = Vec::new();
        let mut strangers = Vec::new();
        let versions = self.versions().await;
        let creations = versions.iter().flatten().filter(|a| a.get("metaData").is_some());
        assert_eq!(creations.count(), usize::from(!versions.is_empty()), "one table");
        for (version, actions) in versions.iter().enumerate() {
            let find = |kind: &str| actions.iter().find_map(|action| action.get(kind));
            let mut ids = Vec::new();
            for add in actions.iter().filter_map(|action| action.get("add")) {
                ids.extend(self.ids(add["path"].as_str().unwrap()).await);
            }
            let note = find("commitInfo").and_then(|info| info["sandbar"].as_str());
            let Some(note) = note else {
                strangers.extend(ids);
                continue;
            };
            let note: Value = serde_json::from_str(note).unwrap();
            let batch = Landed {
                batch: note["batch"].as_u64().unwrap(),
                start: position(&note["start"]),
                end: position(&note["end"]),
                component: note["component"]["version"].as_str().unwrap().to_owned(),
            };
            let (last, reached) = landed.last().map_or((0, 0), |last| (last.batch, last.end));
            let gapless = progress == OffsetStorage::Checkpoint || batch.batch == last + 1;
            assert!(batch.batch > last && gapless, "{version}: {batch:?} after {last}");
            assert_eq!(batch.start, reached, "{version}: {batch:?}");
            ids.sort_unstable();
            let expected: Vec<_> = (batch.start as i64 + 1..=batch.end as i64).collect();
            assert_eq!(ids, expected, "{version}: {batch:?}");
            let txn = find("txn").unwrap();
            assert_eq!(
                (&txn["appId"], &txn["version"]),
                (&"sandbar/numbers".into(), &batch.batch.into())
            );
            if progress == OffsetStorage::Table {
                let text = find("domainMetadata").unwrap()["configuration"].as_str().unwrap();
                let progress: Value = serde_json::from_str(text).unwrap();
                assert_eq!(
                    (&progress["batch"], &progress["end"]),
                    (&note["batch"], &note["end"])
                );
            }
            landed.push(batch);
        }
        strangers.sort_unstable();
        let mut expected = foreign.to_vec();
        expected.sort_unstable();
        assert_eq!(strangers, expected, "rows of other writers");
        landed
    }

    /// The actions of each version, in order and without a gap.
    pub(super) async fn versions(&self) -> Vec<Vec<Value>> {
        let mut versions = Vec::new();
        loop {
            let version = versions.len() as u64;
            let removed = self.removed.lock().unwrap().get(&version).cloned();
            let actions = match removed {
                Some(actions) => Some(actions),
                None => self.actions(version).await,
            };
            match actions {
                Some(actions) => versions.push(actions),
                None => break,
            }
        }
        let listed = self.log_files().await;
        let newest = listed.iter().filter(|name| name.ends_with(".json")).max();
        let last = format!("{:020}.json", versions.len().saturating_sub(1));
        assert!(
            newest.is_none_or(|newest| *newest == last),
            "a gap before {newest:?}"
        );
        versions
    }

    async fn actions(&self, version: u64) -> Option<Vec<Value>> {
        let path = Path::from(format!("{LOG}/{version:020}.json"));
        let bytes = match self.store.get(&path).await {
            Ok(found) => found.bytes().await.unwrap(),
            Err(_) => return None,
        };
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        Some(lines.map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    pub(super) async fn ids(&self, path: &str) -> Vec<i64> {
        let found = self.store.get(&Path::from(format!("t/{path}"))).await.unwrap();
        let bytes = found.bytes().await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let batches = reader.build().unwrap();
        batches
            .flat_map(|rows| {
                rows.unwrap()
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec()
            })
            .collect()
    }

    async fn log_files(&self) -> Vec<String> {
        let files: Vec<_> = self
            .store
            .list(Some(&Path::from(LOG)))
            .try_collect()
            .await
            .unwrap();
        let names = files.iter().filter_map(|file| file.location.filename());
        names.map(str::to_owned).collect()
    }

    /// `false` when that version is there.
    async fn put_version(&self, version: u64, actions: &[Value]) -> bool {
        let text: Vec<_> = actions.iter().map(Value::to_string).collect();
        let path = Path::from(format!("{LOG}/{version:020}.json"));
        let put = self
            .store
            .put_opts(&path, text.join("\n").into(), PutMode::Create.into())
            .await;
        match put {
            Ok(_) => true,
            Err(object_store::Error::AlreadyExists { .. }) => false,
            Err(e) => panic!("{e}"),
        }
    }
}
