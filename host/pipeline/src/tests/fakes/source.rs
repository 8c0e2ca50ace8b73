use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::{Value, json};

use super::process::{Begun, Point, Process};
use super::script::{PATIENCE, Script, Shared, lock};
use crate::{
    Batch, Batches, CheckpointError, CheckpointLocation, ComponentId, Offset, Partition, ReadLimit, Source,
    SourceError, SourceUsage,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    InitialOffset,
    LatestOffset,
    Partitions,
    Read,
    ReadFrom,
    Next,
    Acknowledge,
}

/// The rows 1, 2, 3, ... at the far end, and what is scripted and seen of the calls that reach for them.
pub(crate) struct Remote {
    pub(crate) rows: u64,
    /// Rows in one record batch.
    pub(crate) page: u64,
    /// Parts that a range is split into.
    pub(crate) parts: u64,
    pub(crate) script: Script<Call, SourceError>,
    /// Answers that replace the honest ones.
    pub(crate) latest: VecDeque<Option<Offset>>,
    pub(crate) partitions: VecDeque<Vec<Partition>>,
    pub(crate) batches: VecDeque<Option<Batch>>,
    /// Record batches without rows and without end come instead, at once. The number of those so far.
    pub(crate) babble: Option<usize>,
    /// The arguments of every `latest_offset`.
    pub(crate) asked: Vec<(Offset, Option<Offset>, ReadLimit)>,
    pub(crate) acknowledged: Vec<Offset>,
    /// Readings under way, and the most there ever were.
    pub(crate) open: usize,
    pub(crate) most_open: usize,
    /// Record batches handed out.
    pub(crate) produced: usize,
}

/// Rows numbered from 1. Bounded, it knows where a range ends; sequential, it has only a cursor.
pub(crate) struct FakeSource {
    pub(crate) remote: Shared<Remote>,
    pub(crate) journal: Shared<Vec<String>>,
    pub(crate) process: Process,
    pub(crate) checkpoint: CheckpointLocation,
    pub(crate) sequential: bool,
    pub(crate) component: ComponentId,
    pub(crate) schema: SchemaRef,
    /// What tells its rows apart.
    pub(crate) key: Vec<String>,
    /// Calls until it traps, in every one from then on; `None` for one that never does.
    pub(crate) calls_left: Option<Shared<usize>>,
}

pub(crate) struct FakeBatches {
    remote: Shared<Remote>,
    process: Process,
    reached: u64,
    end: u64,
    sequential: bool,
    calls_left: Option<Shared<usize>>,
}

/// The trap of a version whose calls are used up.
fn use_up(calls_left: Option<&Shared<usize>>) -> Result<(), SourceError> {
    let Some(calls_left) = calls_left else {
        return Ok(());
    };
    let mut left = lock(calls_left);
    match left.checked_sub(1) {
        Some(fewer) => *left = fewer,
        None => return Err(SourceError::Sandbox("trap: this version is broken".into())),
    }
    Ok(())
}

pub(crate) fn component() -> ComponentId {
    ComponentId {
        name: "fake".into(),
        version: "0.1.0".into(),
        digest: "sha256:00".into(),
    }
}

/// The rows in (start, end].
pub(crate) fn rows(start: u64, end: u64) -> RecordBatch {
    let ids: Int64Array = (start + 1..=end).map(|id| id as i64).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(ids)]).unwrap()
}

/// A part that holds the rows in (start, end].
pub(crate) fn part(start: u64, end: u64) -> Partition {
    Value::from(vec![start, end]).into()
}

pub(crate) fn offset(sequential: bool, rows: u64) -> Offset {
    match sequential {
        true => json!({"cursor": format!("after-{rows}")}).into(),
        false => json!({"current": rows}).into(),
    }
}

/// How many rows lie before an offset.
pub(crate) fn position(offset: &Offset) -> u64 {
    let value = offset.value();
    match value["cursor"].as_str() {
        Some(cursor) => cursor.trim_start_matches("after-").parse().unwrap(),
        None => value["current"].as_u64().unwrap(),
    }
}

impl Remote {
    pub(crate) fn new(rows: u64) -> Self {
        Self {
            rows,
            page: 4,
            parts: 2,
            script: Script::default(),
            latest: VecDeque::new(),
            partitions: VecDeque::new(),
            batches: VecDeque::new(),
            babble: None,
            asked: Vec::new(),
            acknowledged: Vec::new(),
            open: 0,
            most_open: 0,
            produced: 0,
        }
    }
}

impl FakeSource {
    async fn begin(&self, call: Call, point: Point, shown: &str) -> Result<Begun, SourceError> {
        let calls = {
            let mut journal = lock(&self.journal);
            journal.push(format!("{call:?}{shown}"));
            journal.len()
        };
        assert!(calls < PATIENCE, "the run has no end");
        use_up(self.calls_left.as_ref())?;
        let step = lock(&self.remote).script.take(call);
        step.begin().await?.map_or(Ok(()), Err)?;
        Ok(self.process.begin(point).await?)
    }

    fn open(&self, start: u64, end: u64) -> FakeBatches {
        let mut remote = lock(&self.remote);
        remote.open += 1;
        remote.most_open = remote.most_open.max(remote.open);
        FakeBatches {
            remote: self.remote.clone(),
            process: self.process.clone(),
            reached: start,
            end,
            sequential: self.sequential,
            calls_left: self.calls_left.clone(),
        }
    }
}

impl Source for FakeSource {
    type Batches = FakeBatches;

    fn component(&self) -> &ComponentId {
        &self.component
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn key(&self, _sequential: bool) -> &[String] {
        &self.key
    }

    async fn initial_offset(&self) -> Result<Offset, SourceError> {
        let begun = self.begin(Call::InitialOffset, Point::InitialOffset, "").await?;
        let note = self.checkpoint.load_note().await.map_err(internal)?;
        begun.end().await?;
        Ok(note.map_or_else(|| offset(self.sequential, 0), Offset::from))
    }

    async fn latest_offset(
        &self,
        start: &Offset,
        up_to: Option<&Offset>,
        limit: ReadLimit,
    ) -> Result<Option<Offset>, SourceError> {
        let look = up_to.is_none() && limit == ReadLimit::default();
        let point = if look { Point::Look } else { Point::Plan };
        let begun = self.begin(Call::LatestOffset, point, "").await?;
        let latest = {
            let mut remote = lock(&self.remote);
            remote.asked.push((start.clone(), up_to.cloned(), limit));
            let known = up_to.map_or(remote.rows, position);
            let allowed = position(start).saturating_add(limit.max_rows.unwrap_or(u64::MAX));
            let honest = offset(false, known.min(allowed).max(position(start)));
            let reply = remote.latest.pop_front();
            reply.unwrap_or((!self.sequential).then_some(honest))
        };
        begun.end().await?;
        Ok(latest)
    }

    async fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>, SourceError> {
        let (first, last) = (position(start), position(end));
        let shown = format!(" {first}..{last}");
        let begun = self.begin(Call::Partitions, Point::Partitions, &shown).await?;
        let partitions = {
            let mut remote = lock(&self.remote);
            let parts = remote.parts;
            let cut = |part: u64| first + (last - first) * part / parts;
            let honest = || {
                let part = |part| self::part(cut(part), cut(part + 1));
                (0..parts).map(part).collect()
            };
            remote.partitions.pop_front().unwrap_or_else(honest)
        };
        begun.end().await?;
        Ok(partitions)
    }

    async fn read(&self, partition: &Partition) -> Result<FakeBatches, SourceError> {
        let shown = format!(" {partition}");
        let begun = self.begin(Call::Read, Point::Read, &shown).await?;
        let bound = |index: usize| partition.value()[index].as_u64().unwrap();
        let batches = self.open(bound(0), bound(1));
        begun.end().await?;
        Ok(batches)
    }

    async fn read_from(&self, start: &Offset, _limit: ReadLimit) -> Result<FakeBatches, SourceError> {
        let shown = format!(" {}", position(start));
        let begun = self.begin(Call::ReadFrom, Point::Read, &shown).await?;
        let batches = self.open(position(start), u64::MAX);
        begun.end().await?;
        Ok(batches)
    }

    async fn commit(&self, end: &Offset) -> Result<(), SourceError> {
        lock(&self.journal).push(format!("Acknowledge {}", position(end)));
        use_up(self.calls_left.as_ref())?;
        let step = lock(&self.remote).script.take(Call::Acknowledge);
        let after = step.begin().await?;
        let begun = self.process.begin(Point::Acknowledge).await?;
        lock(&self.remote).acknowledged.push(end.clone());
        let saved = self.checkpoint.save_note(&end.to_string()).await;
        saved.map_err(internal)?;
        begun.end().await?;
        after.map_or(Ok(()), Err)
    }
}

impl Batches for FakeBatches {
    async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        if let Some(count) = &mut lock(&self.remote).babble {
            *count += 1;
            assert!(*count < PATIENCE, "nobody can stop this");
            return Ok(Some(Batch {
                rows: Vec::new(),
                end: Some(offset(self.sequential, 0)),
                usage: SourceUsage::default(),
            }));
        }
        use_up(self.calls_left.as_ref())?;
        let step = lock(&self.remote).script.take(Call::Next);
        step.begin().await?.map_or(Ok(()), Err)?;
        let begun = self.process.begin(Point::Next).await?;
        let batch = self.take();
        begun.end().await?;
        Ok(batch)
    }
}

impl FakeBatches {
    fn take(&mut self) -> Option<Batch> {
        let mut remote = lock(&self.remote);
        if let Some(reply) = remote.batches.pop_front() {
            return reply;
        }
        let start = self.reached;
        let end = self.end.min(remote.rows).min(start + remote.page);
        if end <= start {
            return None;
        }
        remote.produced += 1;
        self.reached = end;
        Some(Batch {
            rows: vec![rows(start, end)],
            end: self.sequential.then(|| offset(true, end)),
            usage: SourceUsage {
                requests: 1,
                ..SourceUsage::default()
            },
        })
    }
}

impl Drop for FakeBatches {
    fn drop(&mut self) {
        lock(&self.remote).open -= 1;
    }
}

fn internal(error: CheckpointError) -> SourceError {
    SourceError::Internal(error.to_string())
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
}
