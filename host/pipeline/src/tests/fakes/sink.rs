use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::SchemaRef;

use super::process::{Begun, Point, Process};
use super::script::{Script, Shared, lock, yield_once};
use super::source::schema as schema_of_rows;
use crate::{BatchId, CommitReceipt, Committed, MicroBatch, Rollback, Sink, SinkError, Stage, WriteStats};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SinkCall {
    LastCommitted,
    Stage,
    Write,
    Finish,
    Commit,
}

/// A table in memory. Every micro-batch in it is one version, counted from 0.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) batches: Vec<Landed>,
    pub(crate) script: Script<SinkCall, SinkError>,
    /// Stages ever begun.
    pub(crate) stages: usize,
    /// Counts the tables that were at this place.
    pub(crate) id: u64,
    /// How often it was turned back.
    pub(crate) turns: u64,
    /// The micro-batches whose rows the last turn took.
    pub(crate) turned: Vec<MicroBatch>,
    /// Rows that a stage does not write, by its own count.
    pub(crate) lost_rows: u64,
}

pub(crate) struct Landed {
    pub(crate) batch: MicroBatch,
    /// The rows' ids as they were written.
    pub(crate) ids: Vec<i64>,
}

/// One runner's way into the table.
pub(crate) struct FakeSink {
    pub(crate) table: Shared<Table>,
    pub(crate) journal: Shared<Vec<String>>,
    pub(crate) process: Process,
    pub(crate) carries_offset: bool,
    /// The last batch, the table and its turns as this sink knows them.
    pub(crate) known: Option<(BatchId, u64, u64)>,
}

pub(crate) struct FakeStage {
    table: Shared<Table>,
    process: Process,
    ids: Vec<i64>,
}

impl Table {
    pub(crate) fn last_batch(&self) -> BatchId {
        self.last().map_or(0, |last| last.batch)
    }

    /// What its transaction and its metadata name: a turn does not take it.
    fn last(&self) -> Option<&MicroBatch> {
        let landed = self.batches.last().map(|landed| &landed.batch);
        let turned = self.turned.last();
        landed.into_iter().chain(turned).max_by_key(|last| last.batch)
    }

    /// Nothing is left of it, or another table is in its place.
    pub(crate) fn remove(&mut self) {
        self.batches.clear();
        self.turned.clear();
        self.id += 1;
    }

    /// Another writer's RESTORE takes the rows of all micro-batches but the first `kept`.
    pub(crate) fn turn_back(&mut self, kept: usize) {
        if self.batches.len() > kept {
            let taken = self.batches.drain(kept..);
            self.turned = taken.map(|landed| landed.batch).collect();
            self.turns += 1;
        }
    }

    fn rolled_back(&self) -> Option<SinkError> {
        let (first, last) = (self.turned.first()?, self.turned.last()?);
        let decided = self
            .batches
            .last()
            .is_some_and(|landed| landed.batch.batch > last.batch);
        (!decided).then(|| {
            SinkError::RolledBack(Box::new(Rollback {
                table: "fake".into(),
                operation: "RESTORE".into(),
                version: 0,
                first: first.batch,
                last: last.batch,
                start: first.start.clone(),
                end: last.end.clone(),
            }))
        })
    }
}

impl Sink for FakeSink {
    type Stage = FakeStage;

    fn carries_offset(&self) -> bool {
        self.carries_offset
    }

    async fn last_committed(&mut self) -> Result<Option<Committed>, SinkError> {
        lock(&self.journal).push("LastCommitted".into());
        let begun = begin(
            &self.table,
            &self.process,
            SinkCall::LastCommitted,
            Point::LastCommitted,
        )
        .await?;
        let (number, last) = {
            let table = lock(&self.table);
            let last = table.last().map(|batch| Committed {
                batch: batch.batch,
                end: self.carries_offset.then(|| batch.end.clone()),
                fingerprint: (!self.carries_offset).then(|| batch.end.fingerprint()),
                component: self.carries_offset.then(|| batch.component.clone()),
                source: batch.source.clone().filter(|_| self.carries_offset),
            });
            ((table.last_batch(), table.id, table.turns), last)
        };
        begun.end().await?;
        self.known = Some(number);
        Ok(last)
    }

    async fn verify(&mut self) -> Result<(), SinkError> {
        let begun = self.process.begin(Point::Verify).await?;
        let turned = lock(&self.table).rolled_back();
        begun.end().await?;
        turned.map_or(Ok(()), Err)
    }

    async fn prepare(&mut self, schema: &SchemaRef) -> Result<(), SinkError> {
        let begun = self.process.begin(Point::Prepare).await?;
        let refused = *schema != schema_of_rows();
        begun.end().await?;
        match refused {
            true => Err(SinkError::Schema(format!("the table can't take {schema}"))),
            false => Ok(()),
        }
    }

    async fn stage(&mut self) -> Result<FakeStage, SinkError> {
        lock(&self.journal).push("Stage".into());
        let begun = begin(&self.table, &self.process, SinkCall::Stage, Point::Stage).await?;
        lock(&self.table).stages += 1;
        begun.end().await?;
        Ok(FakeStage {
            table: self.table.clone(),
            process: self.process.clone(),
            ids: Vec::new(),
        })
    }

    async fn commit(
        &mut self,
        staged: Option<Vec<i64>>,
        batch: &MicroBatch,
    ) -> Result<CommitReceipt, SinkError> {
        lock(&self.journal).push(format!("Commit {}", batch.batch));
        let step = lock(&self.table).script.take(SinkCall::Commit);
        let after = step.begin().await?;
        let begun = self.process.begin(Point::Commit).await?;
        let known = self.known.take().expect("last_committed comes first");
        let version = {
            let mut table = lock(&self.table);
            let (known, id, turns) = known;
            if table.id != id {
                return Err(SinkError::TableChanged {
                    table: "fake".into(),
                    what: "was removed".into(),
                });
            }
            if table.turns != turns {
                return Err(table.rolled_back().expect("nothing was committed since"));
            }
            let last = table.last_batch();
            if last != known {
                return Err(SinkError::Superseded {
                    pipeline: batch.pipeline.clone(),
                    batch: last,
                });
            }
            assert!(batch.batch > last, "numbers only grow");
            table.batches.push(Landed {
                batch: batch.clone(),
                ids: staged.unwrap_or_default(),
            });
            table.batches.len() as u64 - 1
        };
        begun.end().await?;
        // Who dies here never hears that it was committed.
        yield_once().await;
        if let Some(e) = after {
            return Err(e);
        }
        self.known = Some((batch.batch, known.1, known.2));
        Ok(CommitReceipt { revision: version })
    }
}

impl Stage for FakeStage {
    type Staged = Vec<i64>;

    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        let begun = begin(&self.table, &self.process, SinkCall::Write, Point::Write).await?;
        let ids = rows.column(0).as_primitive::<Int64Type>();
        self.ids.extend_from_slice(ids.values());
        Ok(begun.end().await?)
    }

    async fn finish(self) -> Result<(Vec<i64>, WriteStats), SinkError> {
        let begun = begin(&self.table, &self.process, SinkCall::Finish, Point::Finish).await?;
        begun.end().await?;
        let lost = lock(&self.table).lost_rows;
        let summary = WriteStats {
            rows: self.ids.len() as u64 - lost,
            files: 1,
            bytes: 8 * self.ids.len() as u64,
            ..WriteStats::default()
        };
        Ok((self.ids, summary))
    }
}

pub(crate) fn store_error() -> SinkError {
    SinkError::Store {
        context: "PUT of a commit".into(),
        source: "refused".into(),
    }
}

pub(crate) fn unknown(batch: BatchId) -> SinkError {
    SinkError::Unknown {
        batch,
        source: "the connection broke".into(),
    }
}

pub(crate) fn superseded(batch: BatchId) -> SinkError {
    SinkError::Superseded {
        pipeline: "comments".into(),
        batch,
    }
}

async fn begin(
    table: &Shared<Table>,
    process: &Process,
    call: SinkCall,
    point: Point,
) -> Result<Begun, SinkError> {
    let step = lock(table).script.take(call);
    step.begin().await?.map_or(Ok(()), Err)?;
    Ok(process.begin(point).await?)
}
