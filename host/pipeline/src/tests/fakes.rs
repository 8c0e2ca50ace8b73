//! A remote, a table and a clock in memory, and the [`World`] that puts pipelines between them.

mod clock;
mod files;
mod process;
mod script;
mod sink;
mod source;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use crate::{
    CheckpointLocation, ComponentId, Offset, Pipeline, PipelineError, PipelineOptions, Probation, ReadLimit,
    RetryPolicy, RunSummary, SinkError, SourceError, StopSignal, Stopper, Trigger,
};

pub(crate) use clock::{Event, FakeClock, RecordingProgress};
pub(crate) use files::Files;
pub(crate) use process::{At, Effect, Fault, Point, Process, Status};
pub(crate) use script::{Gate, Step, settle};
pub(crate) use sink::{FakeSink, Landed, SinkCall, Table, store_error, superseded, unknown};
pub(crate) use source::{Call, FakeSource, Remote, component, part, position, rows, schema};

use script::{Shared, lock, shared};

/// One runner and all that lies around it.
pub(crate) struct World {
    pub(crate) checkpoint: CheckpointLocation,
    /// What lies in the checkpoint location, where calls to it are points of the process.
    pub(crate) files: Option<Files>,
    pub(crate) process: Process,
    pub(crate) component: ComponentId,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) progress: Arc<RecordingProgress>,
    pub(crate) stopper: Arc<Stopper>,
    pub(crate) options: PipelineOptions,
    pub(crate) sequential: bool,
    pub(crate) carries_offset: bool,
    /// What tells the source\'s rows apart.
    pub(crate) key: Vec<String>,
    stop: StopSignal,
    remote: Shared<Remote>,
    table: Shared<Table>,
    journal: Shared<Vec<String>>,
}

impl World {
    /// A bounded source of so many rows, a table that carries the offset, ten rows in a micro-batch.
    pub(crate) fn new(rows: u64) -> Self {
        let (stopper, stop) = Stopper::new();
        Self {
            checkpoint: CheckpointLocation::memory(),
            files: None,
            process: Process::default(),
            component: component(),
            clock: Arc::default(),
            progress: Arc::default(),
            stopper: Arc::new(stopper),
            options: PipelineOptions {
                name: "comments".into(),
                table: "fake:comments".into(),
                trigger: Trigger::AvailableNow,
                limit: ReadLimit {
                    max_rows: Some(10),
                    max_bytes: None,
                },
                parallelism: 2,
                retry: RetryPolicy {
                    attempts: 3,
                    base: Duration::from_millis(100),
                    max: Duration::from_secs(10),
                    jitter: None,
                },
                probation: Probation::default(),
            },
            sequential: false,
            carries_offset: true,
            key: vec![],
            stop,
            remote: shared(Remote::new(rows)),
            table: shared(Table::default()),
            journal: shared(Vec::new()),
        }
    }

    /// The same with a source that has only a cursor. Its pages divide the limit.
    pub(crate) fn sequential(rows: u64) -> Self {
        Self::of(true, true, rows)
    }

    /// Both sources, with the offset in the table and in the log.
    pub(crate) fn every(rows: u64) -> impl Iterator<Item = Self> {
        [(false, true), (true, true), (false, false), (true, false)]
            .into_iter()
            .map(move |(sequential, carries_offset)| Self::of(sequential, carries_offset, rows))
    }

    pub(crate) fn of(sequential: bool, carries_offset: bool, rows: u64) -> Self {
        let world = Self {
            sequential,
            carries_offset,
            ..Self::new(rows)
        };
        if sequential {
            world.remote().page = 5;
        }
        world
    }

    /// Another runner at the same remote, table and checkpoint location.
    pub(crate) fn beside(&self) -> Self {
        Self {
            checkpoint: self.checkpoint.clone(),
            files: self.files.clone(),
            component: self.component.clone(),
            options: self.options.clone(),
            sequential: self.sequential,
            carries_offset: self.carries_offset,
            remote: self.remote.clone(),
            table: self.table.clone(),
            ..Self::new(0)
        }
    }

    /// The same where the checkpoint location's calls count too, and its files can be lost.
    pub(crate) fn with_files(self, files: Files) -> Self {
        Self {
            checkpoint: files.location(),
            files: Some(files),
            ..self
        }
    }

    pub(crate) fn pipeline(&self) -> Pipeline<FakeSource, FakeSink> {
        let checkpoint = match &self.files {
            Some(files) => files.location_of(&self.process),
            None => self.checkpoint.clone(),
        };
        let stopper = self.stopper.clone();
        self.process.on_stop(move || stopper.stop());
        let source = self.source(&checkpoint);
        let sink = FakeSink {
            table: self.table.clone(),
            journal: self.journal.clone(),
            process: self.process.clone(),
            carries_offset: self.carries_offset,
            known: None,
        };
        Pipeline::new(
            Arc::new(source),
            sink,
            checkpoint,
            self.clock.clone(),
            self.options.clone(),
        )
        .with_observer(self.progress.clone())
        .with_stop(self.stop.clone())
    }

    /// A source of this world's component.
    pub(crate) fn source(&self, checkpoint: &CheckpointLocation) -> FakeSource {
        FakeSource {
            remote: self.remote.clone(),
            journal: self.journal.clone(),
            process: self.process.clone(),
            checkpoint: checkpoint.clone(),
            sequential: self.sequential,
            component: self.component.clone(),
            key: self.key.clone(),
            schema: schema(),
            calls_left: None,
        }
    }

    /// One process: it knows nothing of those before.
    pub(crate) async fn run(&self) -> Result<RunSummary, PipelineError> {
        self.pipeline().run().await
    }

    pub(crate) fn remote(&self) -> MutexGuard<'_, Remote> {
        lock(&self.remote)
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    pub(crate) fn shared_table(&self) -> Arc<std::sync::Mutex<Table>> {
        self.table.clone()
    }

    pub(crate) fn at_call(&self, call: Call, steps: impl IntoIterator<Item = Step<SourceError>>) {
        self.remote().script.add(call, steps);
    }

    pub(crate) fn at_sink(&self, call: SinkCall, steps: impl IntoIterator<Item = Step<SinkError>>) {
        self.table().script.add(call, steps);
    }

    /// A step that changes the remote when its turn comes.
    pub(crate) fn change<E>(&self, change: impl FnOnce(&mut Remote) + Send + 'static) -> Step<E> {
        let remote = self.remote.clone();
        Step::Do(Box::new(move || change(&mut lock(&remote))))
    }

    /// A step that asks this runner to stop.
    pub(crate) fn stop<E>(&self) -> Step<E> {
        let stopper = self.stopper.clone();
        Step::Do(Box::new(move || stopper.stop()))
    }

    pub(crate) fn offset(&self, rows: u64) -> Offset {
        source::offset(self.sequential, rows)
    }

    /// All calls so far, in their order; those of record batches left out.
    pub(crate) fn journal(&self) -> Vec<String> {
        lock(&self.journal).clone()
    }

    /// For a test of many runs.
    pub(crate) fn forget_journal(&self) {
        lock(&self.journal).clear();
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.journal()
            .iter()
            .filter(|entry| entry.starts_with(call))
            .count()
    }

    /// Number, start and end of each micro-batch in the table.
    pub(crate) fn batches(&self) -> Vec<(u64, u64, u64)> {
        let table = self.table();
        let shown = |b: &crate::MicroBatch| (b.batch, position(&b.start), position(&b.end));
        table.batches.iter().map(|landed| shown(&landed.batch)).collect()
    }

    /// Every row's id, in the order of the table.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.table()
            .batches
            .iter()
            .flat_map(|landed| landed.ids.clone())
            .collect()
    }

    /// The table holds the rows up to `end` once each, every micro-batch exactly its own.
    pub(crate) fn assert_exactly_once(&self, end: u64) {
        let table = self.table();
        let (mut last, mut reached) = (0, 0);
        for landed in &table.batches {
            let batch = &landed.batch;
            assert!(batch.batch > last, "{batch:?} after {last}");
            assert!(
                !self.carries_offset || batch.batch == last + 1,
                "{batch:?} after {last}"
            );
            assert_eq!(position(&batch.start), reached, "{batch:?}");
            let mut ids = landed.ids.clone();
            ids.sort_unstable();
            let expected: Vec<_> = (reached as i64 + 1..=position(&batch.end) as i64).collect();
            assert_eq!(ids, expected, "{batch:?}");
            assert_eq!(batch.rows, ids.len() as u64, "{batch:?}");
            (last, reached) = (batch.batch, position(&batch.end));
        }
        assert_eq!(reached, end, "the last end");
    }
}

pub(crate) fn unavailable() -> SourceError {
    SourceError::Unavailable {
        message: "GET /comments: 503".into(),
        retry_after: None,
    }
}

/// One error of each kind that must not be tried again.
pub(crate) fn lasting_errors() -> Vec<SourceError> {
    vec![
        SourceError::InvalidOptions("page: 0".into()),
        SourceError::Unauthorized("GET /comments: 401".into()),
        SourceError::Malformed("GET /comments: <html>".into()),
        SourceError::OffsetLost("cursor expired".into()),
        SourceError::Internal("index out of bounds".into()),
        SourceError::Sandbox("trap: unreachable".into()),
    ]
}

pub(crate) fn times<E>(count: usize, step: impl Fn() -> Step<E>) -> Vec<Step<E>> {
    (0..count).map(|_| step()).collect()
}
