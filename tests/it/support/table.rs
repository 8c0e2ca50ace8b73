use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

/// A comment, as the API serves it and the table holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Comment {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) body: String,
}

impl Comment {
    /// What `ScriptedApi` serves under this id.
    pub(crate) fn served(id: i32) -> Self {
        Self {
            id,
            name: format!("name {id}"),
            email: format!("user{id}@example.com"),
            body: format!("first line of {id}\nsecond line"),
        }
    }
}

/// A Delta table, read by hand: the JSON files of its log, and the data files that they name.
pub(crate) struct Table {
    folder: PathBuf,
    /// Keeps a folder that is gone with the table.
    _kept: Option<TempDir>,
    /// The actions of each version.
    pub(crate) versions: Vec<Vec<Value>>,
}

impl Table {
    /// Reads the log. A folder without one has no versions.
    pub(crate) fn read(folder: &Path) -> Self {
        let log = folder.join("_delta_log");
        let file = |version: usize| log.join(format!("{version:020}.json"));
        let versions = (0..).map(file).take_while(|file| file.exists());
        let actions = |file: PathBuf| {
            let text = std::fs::read_to_string(file).unwrap();
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        };
        Self {
            folder: folder.to_owned(),
            _kept: None,
            versions: versions.map(actions).collect(),
        }
    }

    /// Reads the log in a folder of its own.
    pub(crate) fn read_from(folder: TempDir) -> Self {
        let table = Self::read(folder.path());
        Self {
            _kept: Some(folder),
            ..table
        }
    }

    /// The newest version.
    pub(crate) fn version(&self) -> u64 {
        self.versions.len() as u64 - 1
    }

    /// The actions of a kind, with their versions.
    pub(crate) fn actions(&self, kind: &str) -> Vec<(u64, &Value)> {
        let numbered = self.versions.iter().enumerate();
        let all = numbered.flat_map(|(version, actions)| actions.iter().map(move |a| (version as u64, a)));
        all.filter_map(|(version, action)| Some((version, action.get(kind)?)))
            .collect()
    }

    /// What the commits say of the micro-batches of a pipeline.
    pub(crate) fn batches(&self, pipeline: &str) -> Vec<Value> {
        let infos = self.actions("commitInfo").into_iter();
        let texts = infos.filter_map(|(_, info)| info["sandbar"].as_str());
        let batches = texts.map(|text| serde_json::from_str::<Value>(text).unwrap());
        batches.filter(|batch| batch["pipeline"] == pipeline).collect()
    }

    /// The number of the last micro-batch, by the transaction identifier.
    pub(crate) fn last_batch(&self, pipeline: &str) -> Option<u64> {
        let app = format!("sandbar/{pipeline}");
        let txns = self.actions("txn");
        let mut of_pipeline = txns.iter().filter(|(_, txn)| txn["appId"] == app.as_str());
        of_pipeline
            .next_back()
            .map(|(_, txn)| txn["version"].as_u64().unwrap())
    }

    /// The end offset of the last micro-batch, by the domain metadata.
    pub(crate) fn end(&self, pipeline: &str) -> Option<Value> {
        let domain = format!("sandbar.{pipeline}");
        let all = self.actions("domainMetadata");
        let (_, last) = all
            .into_iter()
            .rfind(|(_, metadata)| metadata["domain"] == domain.as_str())?;
        let value: Value = serde_json::from_str(last["configuration"].as_str().unwrap()).unwrap();
        Some(value["end"].clone())
    }

    /// The features that a writer must know.
    pub(crate) fn writer_features(&self) -> Vec<String> {
        let protocols = self.actions("protocol");
        let features = protocols.last().unwrap().1["writerFeatures"].as_array();
        features
            .into_iter()
            .flatten()
            .map(|f| f.as_str().unwrap().to_owned())
            .collect()
    }

    /// The data files that the log names.
    pub(crate) fn data_files(&self) -> BTreeMap<String, &Value> {
        let mut files = BTreeMap::new();
        for action in self.versions.iter().flatten() {
            if let Some(add) = action.get("add") {
                files.insert(add["path"].as_str().unwrap().to_owned(), add);
            }
            if let Some(remove) = action.get("remove") {
                files.remove(remove["path"].as_str().unwrap());
            }
        }
        files
    }

    /// The rows as they lie in the files, one batch or more for each; columns of partitions are not there.
    pub(crate) fn record_batches(&self) -> Vec<(&Value, RecordBatch)> {
        let mut batches = vec![];
        for (path, add) in self.data_files() {
            let file = File::open(self.folder.join(unescaped(&path))).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .unwrap()
                .build()
                .unwrap();
            batches.extend(reader.map(|batch| (add, batch.unwrap())));
        }
        batches
    }

    /// All rows, in the order of their ids.
    pub(crate) fn rows(&self) -> Vec<Comment> {
        let mut rows = vec![];
        for (add, batch) in self.record_batches() {
            let text = |column: &str, row: usize| match batch.column_by_name(column) {
                Some(values) => values.as_string::<i32>().value(row).to_owned(),
                None => add["partitionValues"][column].as_str().unwrap().to_owned(),
            };
            let ids = batch.column_by_name("id").unwrap().as_primitive::<Int32Type>();
            rows.extend((0..batch.num_rows()).map(|row| Comment {
                id: ids.value(row),
                name: text("name", row),
                email: text("email", row),
                body: text("body", row),
            }));
        }
        rows.sort();
        rows
    }

    /// All ids, in order, as often as they are there.
    pub(crate) fn ids(&self) -> Vec<i32> {
        self.rows().into_iter().map(|row| row.id).collect()
    }

    /// Asserts that the pipeline `comments` wrote exactly the comments of these ids, each once and as served, in
    /// micro-batches that follow on one another without a gap.
    #[track_caller]
    pub(crate) fn assert_once(&self, ids: RangeInclusive<i32>) {
        self.assert_once_allowing(ids, false);
    }

    /// The same; a batch number may be left out where the offset log is ahead of the table.
    #[track_caller]
    pub(crate) fn assert_once_allowing(&self, ids: RangeInclusive<i32>, skipped_numbers: bool) {
        let served: Vec<_> = ids.clone().map(Comment::served).collect();
        let rows = self.rows();
        if rows != served {
            panic!(
                "the table has the ids {:?}, not {ids:?}, or other texts",
                self.ids()
            );
        }
        let mut batch_before = 0;
        let mut end_before = u64::try_from(*ids.start() - 1).unwrap();
        for batch in self.batches("comments") {
            let number = batch["batch"].as_u64().unwrap();
            let next = if skipped_numbers {
                number.max(batch_before + 1)
            } else {
                batch_before + 1
            };
            assert_eq!(number, next, "{batch}");
            let (start, end) = (current(&batch["start"]), current(&batch["end"]));
            assert_eq!(start, end_before, "{batch}");
            assert_eq!(batch["rows"], end - start, "{batch}");
            (batch_before, end_before) = (number, end);
        }
        assert_eq!(
            end_before,
            u64::try_from(*ids.end()).unwrap(),
            "the last batch ends there"
        );
        assert_eq!(self.last_batch("comments"), Some(batch_before));
        self.assert_statistics(rows.len());
    }

    #[track_caller]
    fn assert_statistics(&self, rows: usize) {
        let files = self.data_files();
        let statistics = files.values().map(|add| add["stats"].as_str().unwrap());
        let counted =
            statistics.map(|text| serde_json::from_str::<Value>(text).unwrap()["numRecords"].clone());
        assert_eq!(
            counted.map(|count| count.as_u64().unwrap()).sum::<u64>(),
            rows as u64
        );
    }
}

/// The number in an offset of the comments source.
pub(crate) fn current(offset: &Value) -> u64 {
    offset["current"]
        .as_u64()
        .unwrap_or_else(|| panic!("{offset} is no offset"))
}

/// Paths in the log are URL-encoded.
fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        text.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        text.push_str(rest);
    }
    text
}
