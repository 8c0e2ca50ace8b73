use std::sync::Arc;
use std::time::Duration;

use crate::plan::{BatchPlan, plan};
use crate::read::{ReadOutcome, read_range, read_sequential};
use crate::retry::Backoff;
use crate::visited_offsets::{VisitedOffsets, goes_back};
use crate::{
    BatchId, BatchReport, CheckpointLocation, Clock, Offset, PipelineError, PipelineObserver, ReadLimit,
    RetryPolicy, Sink, Source, SourceError, StepDurations, StopSignal, Trigger,
};

/// What a pipeline is told besides its source and sink.
#[derive(Clone, Debug)]
pub struct PipelineOptions {
    /// Names the pipeline in the table.
    pub name: String,
    /// Names the table in the checkpoint location, spelled in one way only. See [`CheckpointOwner`](crate::CheckpointOwner).
    pub table: String,
    /// When to look for rows.
    pub trigger: Trigger,
    /// How much one micro-batch may take.
    pub limit: ReadLimit,
    /// Partitions read at once; at least 1.
    pub parallelism: usize,
    /// What to do when the remote is unavailable.
    pub retry: RetryPolicy,
}

/// What a run achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSummary {
    /// Micro-batches committed by this run.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// The last committed micro-batch of the pipeline, 0 for none.
    pub last_batch: BatchId,
    /// The table's version after this run's last commit, if it made one.
    pub table_version: Option<u64>,
    /// Where the next micro-batch starts.
    pub offset: Offset,
    /// Whether it ended because it was asked to stop.
    pub stopped: bool,
}

/// One source, one sink, and the protocol between them.
pub struct Pipeline<S, K> {
    pub(crate) source: Arc<S>,
    pub(crate) sink: K,
    pub(crate) checkpoint: CheckpointLocation,
    pub(crate) clock: Arc<dyn Clock>,
    observer: Arc<dyn PipelineObserver>,
    pub(crate) stop: StopSignal,
    pub(crate) options: PipelineOptions,
    /// Whether the checkpoint location says that it is this pipeline's, as far as this run knows.
    pub(crate) location_claimed: bool,
}

/// A committed position: everything up to `offset` is in the table.
pub(crate) struct Position {
    pub(crate) batch: BatchId,
    pub(crate) offset: Offset,
}

/// Why a piece of work ended early.
pub(crate) enum Interrupt {
    Stopped,
    Failed(PipelineError),
}

impl<E: Into<PipelineError>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<S: Source, K: Sink> Pipeline<S, K> {
    /// Puts the parts together. Nothing happens before [`Pipeline::run`].
    pub fn new(
        source: Arc<S>,
        sink: K,
        checkpoint: CheckpointLocation,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn PipelineObserver>,
        stop: StopSignal,
        options: PipelineOptions,
    ) -> Self {
        Self {
            source,
            sink,
            checkpoint,
            clock,
            observer,
            stop,
            options,
            location_claimed: false,
        }
    }

    /// The sink, for what it may still have to finish.
    pub fn into_sink(self) -> K {
        self.sink
    }

    /// Runs until the trigger is done, a stop is asked for, or something fails.
    ///
    /// What this process believed before does not count: every run asks the table where it stands.
    ///
    /// # Errors
    /// The first failure that retries could not help. The table then holds whole micro-batches only.
    pub async fn run(&mut self) -> Result<RunSummary, PipelineError> {
        let mut summary = RunSummary {
            batches: 0,
            rows: 0,
            last_batch: 0,
            table_version: None,
            offset: Offset::from(serde_json::Value::Null),
            stopped: false,
        };
        match self.run_trigger(&mut summary).await {
            Ok(()) => {}
            Err(Interrupt::Stopped) => summary.stopped = true,
            Err(Interrupt::Failed(e)) => return Err(e),
        }
        Ok(summary)
    }

    async fn run_trigger(&mut self, summary: &mut RunSummary) -> Result<(), Interrupt> {
        let stop = self.stop.clone();
        let mut position = tokio::select! {
            biased;
            () = stop.stopped() => return Err(Interrupt::Stopped),
            start = self.look_up_start() => {
                let start = start?;
                self.report_note(&start);
                Position {
                    batch: start.batch,
                    offset: start.offset,
                }
            }
        };
        if position.batch > 0 {
            // The last run may have died between its commit and telling the source.
            self.acknowledge(&position.offset).await?;
        }
        summary.last_batch = position.batch;
        summary.offset = position.offset.clone();
        self.observer.started(position.batch, &position.offset);
        let mut visited = VisitedOffsets::new(&position.offset);
        loop {
            let began = self.clock.elapsed();
            self.process_available(&mut position, &mut visited, summary)
                .await?;
            let Trigger::Interval(interval) = self.options.trigger else {
                return Ok(());
            };
            let took = self.clock.elapsed().saturating_sub(began);
            self.pause(interval.saturating_sub(took)).await?;
        }
    }

    /// Reads what is there: all of it, or one micro-batch if the trigger says once.
    async fn process_available(
        &mut self,
        position: &mut Position,
        visited: &mut VisitedOffsets,
        summary: &mut RunSummary,
    ) -> Result<(), Interrupt> {
        let once = self.options.trigger == Trigger::Once;
        let before = summary.batches;
        let up_to = match once {
            true => None,
            false => tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(Interrupt::Stopped),
                latest = self.find_latest(&position.offset) => latest?,
            },
        };
        loop {
            if up_to.as_ref() == Some(&position.offset) {
                self.observer.nothing_new(&position.offset);
                return Ok(());
            }
            let Some((report, acknowledged)) = self.micro_batch(position, up_to.as_ref(), visited).await?
            else {
                if summary.batches == before {
                    self.observer.nothing_new(&position.offset);
                }
                return Ok(());
            };
            summary.batches += 1;
            summary.rows += report.rows;
            summary.last_batch = report.batch;
            summary.table_version = Some(report.table_version);
            summary.offset = report.end.clone();
            position.batch = report.batch;
            position.offset = report.end.clone();
            self.observer.committed(&report);
            acknowledged?;
            if once || up_to.as_ref() == Some(&position.offset) {
                return Ok(());
            }
            if self.stop.is_stopped() {
                return Err(Interrupt::Stopped);
            }
        }
    }

    /// The end of what exists, pinned for one poll so that a growing remote can't make it endless.
    async fn find_latest(&self, start: &Offset) -> Result<Option<Offset>, Interrupt> {
        let mut backoff = Backoff::new(self.options.retry);
        loop {
            match self.source.latest_offset(start, None, ReadLimit::default()).await {
                Ok(latest) => return Ok(latest),
                Err(e) => self.pause_after(&mut backoff, e).await?,
            }
        }
    }

    /// Plans, reads, stages, commits and acknowledges. `None` when there is nothing to read.
    ///
    /// A batch whose acknowledgement failed is reported like any other: it is in the table.
    async fn micro_batch(
        &mut self,
        position: &Position,
        up_to: Option<&Offset>,
        visited: &mut VisitedOffsets,
    ) -> Result<Option<(BatchReport, Result<(), PipelineError>)>, Interrupt> {
        let began = self.clock.elapsed();
        let mut backoff = Backoff::new(self.options.retry);
        let (read, mut times) = loop {
            let stop = self.stop.clone();
            let attempt = tokio::select! {
                biased;
                () = stop.stopped() => return Err(Interrupt::Stopped),
                attempt = self.read(position, up_to, visited) => attempt,
            };
            match attempt {
                Ok(read) => break read,
                Err(PipelineError::Source(e)) => self.pause_after(&mut backoff, e).await?,
                Err(e) => return Err(e.into()),
            }
        };
        // From here on nothing is abandoned half way.
        let finishing = self.clock.elapsed();
        let rows = read.finish().await?;
        times.read += self.clock.elapsed().saturating_sub(finishing);
        times.encode = rows.summary.encode;
        if rows.end == position.offset {
            if rows.summary.rows > 0 {
                return Err(PipelineError::Stuck {
                    rows: rows.summary.rows,
                    offset: rows.end,
                }
                .into());
            }
            return Ok(None);
        }
        if !visited.insert(&rows.end) {
            return Err(goes_back(&position.offset, &rows.end).into());
        }
        let end = rows.end.clone();
        let mut report = self.commit(position, rows, up_to, times).await?;
        let committed = self.clock.elapsed();
        let acknowledged = self.acknowledge(&end).await;
        times = report.times;
        times.acknowledge = self.clock.elapsed().saturating_sub(committed);
        times.total = self.clock.elapsed().saturating_sub(began);
        report.times = times;
        Ok(Some((report, acknowledged)))
    }

    async fn read(
        &mut self,
        position: &Position,
        up_to: Option<&Offset>,
        visited: &VisitedOffsets,
    ) -> Result<(ReadOutcome<K>, StepDurations), PipelineError> {
        let start = &position.offset;
        let limit = self.options.limit;
        let began = self.clock.elapsed();
        let plan = plan(&*self.source, start, up_to, limit).await?;
        let planned = self.clock.elapsed();
        let observer = &*self.observer;
        let rows = match plan {
            BatchPlan::Nothing => ReadOutcome::nothing(start.clone()),
            BatchPlan::Range { end, partitions } => {
                let parallelism = self.options.parallelism;
                let (source, sink) = (&self.source, &mut self.sink);
                read_range(source, sink, end, partitions, parallelism, limit, observer).await?
            }
            BatchPlan::Sequential => {
                read_sequential(&self.source, &mut self.sink, start, limit, visited, observer).await?
            }
        };
        let times = StepDurations {
            plan: planned.saturating_sub(began),
            read: self.clock.elapsed().saturating_sub(planned),
            ..StepDurations::default()
        };
        Ok((rows, times))
    }

    pub(crate) async fn pause_after(
        &self,
        backoff: &mut Backoff,
        error: SourceError,
    ) -> Result<(), Interrupt> {
        let (pause, message) = backoff.pause_after(error)?;
        self.observer.retrying(backoff.failures(), pause, &message);
        self.pause(pause).await
    }

    async fn pause(&self, duration: Duration) -> Result<(), Interrupt> {
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(Interrupt::Stopped),
            () = self.clock.sleep(duration) => Ok(()),
        }
    }
}
