use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use sandbar_harness::store::{Answer, Effect, Fault, Process, StepKind};
use sandbar_pipeline::{
    Batch, Batches, CheckpointLocation, ComponentId, Offset, Partition, ReadLimit, Source, SourceError,
    SourceUsage,
};
use serde_json::{Value, json};

/// Rows that one record batch holds at most.
const PAGE: u64 = 3;

/// The numbers from 1 on, as a source whose every call is a step of a process.
pub(super) struct Numbers {
    /// How many there are; it may grow.
    pub(super) rows: Arc<AtomicU64>,
    pub(super) process: Arc<Process>,
    pub(super) checkpoint: CheckpointLocation,
    /// Whether it learns the end of a range only by reading.
    pub(super) sequential: bool,
    pub(super) component: ComponentId,
}

pub(super) struct NumberBatches {
    rows: Arc<AtomicU64>,
    process: Arc<Process>,
    reached: u64,
    end: u64,
    sequential: bool,
}

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
}

pub(super) fn offset(rows: u64) -> Offset {
    json!({ "current": rows }).into()
}

/// How many rows lie before an offset.
pub(super) fn position(offset: &Value) -> u64 {
    offset["current"].as_u64().unwrap()
}

pub(super) fn component(version: &str) -> ComponentId {
    ComponentId {
        name: "numbers".into(),
        version: version.into(),
        digest: format!("sha256:{version}"),
    }
}

/// Makes a call with the fault that its step has.
async fn call<T>(
    process: &Process,
    name: &str,
    effect: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    let Some(Fault { effect: done, answer }) = process.begin(StepKind::Call, name).await else {
        return effect.await;
    };
    if done == Effect::After {
        drop(effect.await);
    }
    Err(match answer {
        Answer::Timeout => SourceError::Unavailable {
            message: format!("{name}: nobody answers"),
            retry_after: None,
        },
        Answer::Error | Answer::Conflict => SourceError::Internal(format!("{name} failed")),
        Answer::Crash => {
            process.kill();
            SourceError::Internal("the process is gone".into())
        }
    })
}

impl Numbers {
    fn open(&self, start: u64, end: u64) -> NumberBatches {
        NumberBatches {
            rows: self.rows.clone(),
            process: self.process.clone(),
            reached: start,
            end,
            sequential: self.sequential,
        }
    }
}

impl Source for Numbers {
    type Batches = NumberBatches;

    fn component(&self) -> &ComponentId {
        &self.component
    }

    fn schema(&self) -> SchemaRef {
        schema()
    }

    async fn initial_offset(&self) -> Result<Offset, SourceError> {
        call(&self.process, "initial-offset", async {
            let note = self.checkpoint.load_note().await;
            let note = note.map_err(|e| SourceError::Internal(e.to_string()))?;
            Ok(note.map_or_else(|| offset(0), Offset::from))
        })
        .await
    }

    async fn latest_offset(
        &self,
        start: &Offset,
        up_to: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<Option<Offset>, SourceError> {
        call(&self.process, "latest-offset", async {
            if self.sequential {
                return Ok(None);
            }
            let start = position(&start.value());
            let known = up_to.map_or(self.rows.load(Ordering::SeqCst), |up_to| position(&up_to.value()));
            let allowed = start.saturating_add(limit.max_rows.unwrap_or(u64::MAX));
            Ok(Some(offset(known.min(allowed).max(start))))
        })
        .await
    }

    async fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>, SourceError> {
        let (start, end) = (position(&start.value()), position(&end.value()));
        call(&self.process, "partitions", async {
            let middle = start + (end - start) / 2;
            let parts = [(start, middle), (middle, end)].into_iter();
            let parts = parts.filter(|(start, end)| start < end);
            Ok(parts
                .map(|(start, end)| Partition::from(json!([start, end])))
                .collect())
        })
        .await
    }

    async fn read(&self, partition: &Partition) -> Result<NumberBatches, SourceError> {
        let bound = |index: usize| partition.value()[index].as_u64().unwrap();
        let (start, end) = (bound(0), bound(1));
        call(&self.process, "read", async { Ok(self.open(start, end)) }).await
    }

    async fn read_from(&self, start: &Offset, limit: ReadLimit) -> Result<NumberBatches, SourceError> {
        let start = position(&start.value());
        let end = start.saturating_add(limit.max_rows.unwrap_or(u64::MAX));
        call(&self.process, "read-from", async { Ok(self.open(start, end)) }).await
    }

    async fn commit(&self, end: &Offset) -> Result<(), SourceError> {
        call(&self.process, "commit", async {
            let saved = self.checkpoint.save_note(&end.to_string()).await;
            saved.map_err(|e| SourceError::Internal(e.to_string()))
        })
        .await
    }
}

impl Batches for NumberBatches {
    async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        let (start, all) = (self.reached, self.rows.load(Ordering::SeqCst));
        let end = self.end.min(all).min(start + PAGE);
        let process = self.process.clone();
        let batch = call(&process, "next", async {
            if end <= start {
                return Ok(None);
            }
            let ids = Int64Array::from_iter_values(start as i64 + 1..=end as i64);
            let rows = RecordBatch::try_new(schema(), vec![Arc::new(ids)]).unwrap();
            Ok(Some(Batch {
                rows: vec![rows],
                end: self.sequential.then(|| offset(end)),
                usage: SourceUsage::default(),
            }))
        })
        .await?;
        self.reached = self.reached.max(end);
        Ok(batch)
    }
}
