//! A sink of one's own: each micro-batch becomes one file of JSON lines, exactly once, however often the program dies.
//!
//! `cargo run --release --example own_sink -- pipeline.toml folder`

use std::io::{Error, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_json::LineDelimitedWriter;
use arrow_schema::SchemaRef;
use sandbar_pipeline::{
    BatchId, CommitReceipt, Committed, MicroBatch, Sink, SinkCheck, SinkError, SinkFactory, SinkState, Stage,
    WriteStats,
};
use sandbar_runtime::{NoopObserver, PipelineFile, RunSummary, Runtime, RuntimeError, StopSignal, Trigger};

/// Opens a folder that has the file `N.jsonl` for each micro-batch N.
struct JsonFiles {
    folder: PathBuf,
}

/// The folder. The first line of a file is its micro-batch, with the end offset: rows and progress are one file.
struct JsonSink {
    folder: PathBuf,
    /// The last micro-batch, as it was last read or committed.
    last: BatchId,
}

/// The rows of one micro-batch, in memory until they are committed.
struct JsonStage {
    out: LineDelimitedWriter<Vec<u8>>,
    stats: WriteStats,
}

impl SinkFactory for JsonFiles {
    type Sink = JsonSink;

    async fn open(&self, _pipeline: &str, _schema: &SchemaRef) -> Result<JsonSink, SinkError> {
        let folder = self.folder.clone();
        std::fs::create_dir_all(&folder).map_err(failed("can't create the folder"))?;
        Ok(JsonSink { folder, last: 0 })
    }

    async fn check(&self, _pipeline: &str, _schema: &SchemaRef) -> Result<SinkCheck, SinkError> {
        let (revision, carries_offset) = (None, true);
        Ok(SinkCheck {
            revision,
            carries_offset,
            added_columns: vec![],
        })
    }

    async fn state(&self, _pipeline: &str, _limit: usize) -> Result<Option<SinkState>, SinkError> {
        Ok(None)
    }

    async fn first_rows(&self, _limit: usize) -> Result<Option<Vec<RecordBatch>>, SinkError> {
        Ok(None)
    }
}

impl Sink for JsonSink {
    type Stage = JsonStage;

    fn carries_offset(&self) -> bool {
        true
    }

    async fn last_committed(&mut self) -> Result<Option<Committed>, SinkError> {
        let last = read_last(&self.folder).map_err(failed("can't read the folder"))?;
        self.last = last.as_ref().map_or(0, |last| last.batch);
        Ok(last.map(|last| Committed {
            batch: last.batch,
            end: Some(last.end),
            fingerprint: None,
            component: Some(last.component),
            source: last.source,
        }))
    }

    async fn prepare(&mut self, _schema: &SchemaRef) -> Result<(), SinkError> {
        Ok(())
    }

    async fn stage(&mut self) -> Result<JsonStage, SinkError> {
        Ok(JsonStage {
            out: LineDelimitedWriter::new(vec![]),
            stats: WriteStats::default(),
        })
    }

    async fn commit(
        &mut self,
        rows: Option<Vec<u8>>,
        batch: &MicroBatch,
    ) -> Result<CommitReceipt, SinkError> {
        let mut text = serde_json::to_vec(batch).map_err(|e| failed("no JSON")(e.into()))?;
        text.push(b'\n');
        text.extend(rows.unwrap_or_default());
        let path = |name: String| self.folder.join(name);
        let (part, whole) = (
            path(format!("{}.part", std::process::id())),
            path(format!("{}.jsonl", batch.batch)),
        );
        // A name is given once, to a file that is whole: whoever dies before that has committed nothing.
        let named = std::fs::write(&part, text)
            .and_then(|()| std::fs::File::open(&part)?.sync_all())
            .and_then(|()| std::fs::hard_link(&part, whole));
        let _ = std::fs::remove_file(&part);
        match named {
            Ok(()) if batch.batch == self.last + 1 => self.last = batch.batch,
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(failed("can't write the file")(e)),
            _ => {
                let (pipeline, batch) = (batch.pipeline.clone(), batch.batch);
                return Err(SinkError::Superseded { pipeline, batch });
            }
        }
        Ok(CommitReceipt {
            revision: batch.batch,
        })
    }
}

impl Stage for JsonStage {
    type Staged = Vec<u8>;

    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.stats.rows += rows.num_rows() as u64;
        let written = self.out.write(&rows);
        written.map_err(|e| SinkError::Schema(e.to_string()))
    }

    async fn finish(mut self) -> Result<(Vec<u8>, WriteStats), SinkError> {
        self.out.finish().map_err(|e| SinkError::Schema(e.to_string()))?;
        Ok((self.out.into_inner(), self.stats))
    }
}

fn failed(context: &'static str) -> impl Fn(Error) -> SinkError {
    move |source| SinkError::Store {
        context: context.into(),
        source: source.into(),
    }
}

/// The last micro-batch in a folder.
fn read_last(folder: &Path) -> IoResult<Option<MicroBatch>> {
    let number = |path: PathBuf| path.file_name()?.to_str()?.strip_suffix(".jsonl")?.parse().ok();
    let entries = std::fs::read_dir(folder)?.collect::<IoResult<Vec<_>>>()?;
    let last: Option<BatchId> = entries.into_iter().filter_map(|entry| number(entry.path())).max();
    let Some(last) = last else { return Ok(None) };
    let text = std::fs::read_to_string(folder.join(format!("{last}.jsonl")))?;
    let first = text.lines().next().unwrap_or_default();
    Ok(Some(serde_json::from_str(first)?))
}

/// Reads what a pipeline file describes into a folder, from where the last run ended.
async fn read_into(file: &PipelineFile, folder: PathBuf) -> Result<RunSummary, RuntimeError> {
    let runtime = Runtime::new()?;
    let pipeline = runtime.open_with(file, JsonFiles { folder }).await?;
    let (trigger, stop) = (Trigger::AvailableNow, StopSignal::never());
    pipeline.run(trigger, NoopObserver::shared(), stop).await
}

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let file = PipelineFile::load(&arguments.next().unwrap_or_else(|| "pipeline.toml".into()))?;
    let folder = arguments.next().unwrap_or_else(|| "rows".into());
    let summary = read_into(&file, folder).await?;
    println!("{} rows in {} files", summary.rows, summary.batches);
    Ok(())
}

#[cfg(test)]
mod tests {
    use sandbar_harness::ScriptedApi;

    use super::*;

    fn pipeline_of(api: &ScriptedApi, folder: &Path) -> PipelineFile {
        let origin = api.origin();
        let text = format!(
            "name = 'comments'\n[source]\ncomponent = './comments.wasm'\n\
             [source.options]\napi_url = '{origin}/comments'\nrows_per_batch = 10\n\
             [source.grants]\nhttp = ['{origin}']\n\
             [sink]\ntable = 'unused'\n[checkpoint]\nlocation = 'notes'\n"
        );
        PipelineFile::parse(&text, &folder.join("pipeline.toml")).unwrap()
    }

    fn ids(folder: &Path) -> Vec<u64> {
        let last = read_last(folder).unwrap().map_or(0, |last| last.batch);
        let files =
            (1..=last).map(|batch| std::fs::read_to_string(folder.join(format!("{batch}.jsonl"))).unwrap());
        let rows = files.flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
        rows.map(|row| {
            serde_json::from_str::<serde_json::Value>(&row).unwrap()["id"]
                .as_u64()
                .unwrap()
        })
        .collect()
    }

    #[tokio::test]
    async fn every_row_is_in_one_file_after_several_runs_and_a_crash_before_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("comments.wasm"), sandbar_components::COMMENTS).unwrap();
        let rows = folder.path().join("rows");
        let api = ScriptedApi::start(25);
        let file = pipeline_of(&api, folder.path());
        let first = read_into(&file, rows.clone()).await.unwrap();
        assert_eq!((first.rows, first.batches, first.revision), (25, 3, Some(3)));
        // Somebody died while a file was being written.
        std::fs::write(rows.join("1.part"), "{\"pipe").unwrap();
        api.add_rows(8);
        let second = read_into(&file, rows.clone()).await.unwrap();
        assert_eq!((second.rows, second.batches), (8, 1));
        assert_eq!(ids(&rows), (1..=33).collect::<Vec<_>>());
    }
}
