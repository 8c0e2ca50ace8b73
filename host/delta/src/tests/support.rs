use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Int32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use delta_kernel::engine::arrow_data::ArrowEngineData;
use object_store::ObjectStore;
use sandbar_pipeline::{
    Clock, ComponentId, MicroBatch, Offset, Sink, SinkError, Stage, SystemClock, WriteStats,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::engine::Table;
use crate::{DeltaOptions, DeltaSink, DeltaStaged};

/// Microseconds since 1970 at which all tests happen.
pub const NOW: i64 = 1_700_000_000_123_456;

/// Real waiting at a fixed time of day.
#[derive(Debug, Default)]
struct StoppedClock(SystemClock);

impl Clock for StoppedClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(NOW as u64)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.sleep(duration)
    }
}

pub struct Lake {
    pub folder: TempDir,
}

impl Lake {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub fn url(&self) -> Url {
        let path = self.folder.path().canonicalize().unwrap().join("a table");
        Url::from_directory_path(path).unwrap()
    }

    pub fn options(&self) -> DeltaOptions {
        DeltaOptions::new(self.url(), "comments", Arc::new(StoppedClock::default()))
    }

    pub fn options_on(&self, store: Arc<dyn ObjectStore>) -> DeltaOptions {
        DeltaOptions {
            store: Some(store),
            ..self.options()
        }
    }

    pub async fn open(&self) -> DeltaSink {
        DeltaSink::open(self.options(), &comments()).await.unwrap()
    }

    /// Writes one version of the log by hand.
    pub fn write_log(&self, version: u64, actions: &[Value]) {
        let folder = self.url().to_file_path().unwrap().join("_delta_log");
        std::fs::create_dir_all(&folder).unwrap();
        let text: Vec<_> = actions.iter().map(Value::to_string).collect();
        std::fs::write(folder.join(format!("{version:020}.json")), text.join("\n")).unwrap();
    }

    /// The actions of one version.
    pub fn read_log(&self, version: u64) -> Vec<Value> {
        let folder = self.url().to_file_path().unwrap().join("_delta_log");
        let text = std::fs::read_to_string(folder.join(format!("{version:020}.json"))).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub fn log_files(&self) -> Vec<String> {
        let folder = self.url().to_file_path().unwrap().join("_delta_log");
        let Ok(files) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut names: Vec<_> = files
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Every row of the table, as the kernel reads it.
    pub async fn rows(&self) -> Vec<RecordBatch> {
        let table = Table::new(&self.options()).unwrap();
        let Some(snapshot) = table.load(None).await.unwrap() else {
            return Vec::new();
        };
        let read = move |table: &Table| {
            let scan = snapshot.scan_builder().build().unwrap();
            let batches = scan
                .execute(Arc::clone(&table.engine) as Arc<dyn delta_kernel::Engine>)
                .unwrap();
            batches
                .map(|rows| {
                    ArrowEngineData::try_from_engine_data(rows.unwrap())
                        .unwrap()
                        .record_batch()
                        .clone()
                })
                .collect()
        };
        table.run(read).await.unwrap()
    }

    /// The first column of every row, sorted.
    pub async fn ids(&self) -> Vec<i32> {
        let rows = self.rows().await;
        let mut ids: Vec<_> = rows
            .iter()
            .flat_map(|rows| rows.column(0).as_primitive::<Int32Type>().values().to_vec())
            .collect();
        ids.sort_unstable();
        ids
    }
}

/// The actions of a table of comments that others made.
pub fn foreign_table(features: &[&str], configuration: Value) -> Vec<Value> {
    let schema = json!({"type": "struct", "fields": [
        {"name": "id", "type": "integer", "nullable": true, "metadata": {}},
        {"name": "name", "type": "string", "nullable": true, "metadata": {}},
    ]});
    vec![
        json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [], "writerFeatures": features}}),
        json!({"metaData": {"id": "t", "format": {"provider": "parquet", "options": {}}, "schemaString": schema.to_string(),
            "partitionColumns": [], "configuration": configuration, "createdTime": 0}}),
        json!({"commitInfo": {"timestamp": 0, "operation": "CREATE TABLE"}}),
    ]
}

/// A commit of somebody else that brings nothing.
pub fn foreign_commit() -> Vec<Value> {
    vec![json!({"commitInfo": {"timestamp": 1, "operation": "WRITE", "isBlindAppend": true}})]
}

pub fn comments() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Int32, false),
        Field::new("name", DataType::Utf8, true),
    ])
}

pub fn ten_rows(first: i32) -> RecordBatch {
    let ids = Int32Array::from_iter_values(first..first + 10);
    let names = StringArray::from_iter_values((first..first + 10).map(|i| format!("n{i}")));
    RecordBatch::try_new(Arc::new(comments()), vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

pub fn batch(number: u64) -> MicroBatch {
    MicroBatch {
        pipeline: "comments".to_owned(),
        batch: number,
        start: offset(number - 1),
        end: offset(number),
        rows: 10,
        component: component(),
        source: Some(source()),
        swap: None,
    }
}

pub fn offset(number: u64) -> Offset {
    Offset::from(json!({ "current": number * 10 }))
}

pub fn source() -> sandbar_pipeline::SourceIdentity {
    sandbar_pipeline::SourceIdentity {
        stream: "comments".to_owned(),
        options: [("api_url".to_owned(), Some("0123456789abcdef".to_owned()))].into(),
    }
}

pub fn component() -> ComponentId {
    ComponentId {
        name: "comments".to_owned(),
        version: "0.1.0".to_owned(),
        digest: "sha256:00".to_owned(),
    }
}

pub async fn stage(sink: &mut DeltaSink, rows: RecordBatch) -> (DeltaStaged, WriteStats) {
    let mut stage = sink.stage().await.unwrap();
    stage.write(rows).await.unwrap();
    stage.finish().await.unwrap()
}

/// Stages and commits the ten rows that belong to a batch, and tells the table's version.
pub async fn append(sink: &mut DeltaSink, number: u64) -> Result<u64, SinkError> {
    let first = (number as i32 - 1) * 10;
    let (staged, _) = stage(sink, ten_rows(first)).await;
    let receipt = sink.commit(Some(staged), &batch(number)).await?;
    Ok(receipt.revision)
}
