use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sandbar_delta::{DeltaOptions, DeltaSink, OffsetStorage};
use sandbar_harness::store::{FaultyStore, Process};
use sandbar_pipeline::{
    BatchReport, CheckpointLocation, Clock, Pipeline, PipelineError, PipelineOptions, ReadLimit, RetryPolicy,
    RunSummary,
};
use url::Url;

use super::lake::{Lake, Landed};
use super::source::{Numbers, component, offset, schema};

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// Whether the source learns the end of a range only by reading.
    pub(super) sequential: bool,
    pub(super) progress: OffsetStorage,
    /// Whether the table is there beforehand, with log checkpoints at every second version.
    pub(super) existing: bool,
    /// Rows at the start, five to a micro-batch.
    pub(super) rows: u64,
}

/// A table, a checkpoint location and a remote, which outlive every process.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) lake: Lake,
    /// Ids that another writer appended.
    pub(super) foreign: Mutex<Vec<i64>>,
    pub(super) rows: Arc<AtomicU64>,
    notes: Mutex<Arc<InMemory>>,
    copy: Mutex<Option<InMemory>>,
}

impl Setup {
    /// Every kind of source, place of progress, table, and one or three micro-batches.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..16).map(|number: u32| {
            let bit = |place: u32| number >> place & 1 == 1;
            Self {
                sequential: bit(0),
                progress: match bit(1) {
                    false => OffsetStorage::Table,
                    true => OffsetStorage::Checkpoint,
                },
                existing: bit(2),
                rows: if bit(3) { 13 } else { 4 },
            }
        })
    }

    pub(super) fn logged(&self) -> bool {
        self.progress == OffsetStorage::Checkpoint
    }
}

impl World {
    pub(super) async fn new(setup: Setup) -> Self {
        let world = Self {
            setup,
            lake: Lake::new(),
            foreign: Mutex::default(),
            rows: Arc::new(AtomicU64::new(setup.rows)),
            notes: Mutex::default(),
            copy: Mutex::default(),
        };
        if setup.existing {
            world.lake.create(setup.progress).await;
        }
        world
    }

    /// One process from its start to its end, reading what is there.
    pub(super) async fn run(
        &self,
        process: &Arc<Process>,
        version: &str,
    ) -> Result<RunSummary, PipelineError> {
        let mut pipeline = self.pipeline(process, version).await?;
        let outcome = pipeline.run().await;
        pipeline.close().await;
        outcome
    }

    /// A process in which nothing goes wrong, which must end well.
    #[track_caller]
    pub(super) fn healthy_run(&self) -> impl Future<Output = RunSummary> {
        let at = std::panic::Location::caller();
        async move {
            let run = self.run(&Process::healthy(), "0.1.0").await;
            run.unwrap_or_else(|e| panic!("{at}: {:?}: {e}", self.setup))
        }
    }

    pub(super) async fn reset(&self, to: u64) -> BatchReport {
        let mut pipeline = self.pipeline(&Process::healthy(), "0.1.0").await.unwrap();
        pipeline.reset(offset(to)).await.unwrap()
    }

    pub(super) async fn pipeline(
        &self,
        process: &Arc<Process>,
        version: &str,
    ) -> Result<Pipeline<Numbers, DeltaSink>, PipelineError> {
        let clock: Arc<dyn Clock> = Arc::new(SwiftClock::default());
        let notes = self.notes();
        let checkpoint = CheckpointLocation::new(
            Arc::new(FaultyStore::new(notes, process.clone())),
            Path::default(),
            "memory://notes",
        );
        let url = Url::parse("memory:///t").unwrap();
        let mut options = DeltaOptions::new(url, "numbers", clock.clone());
        options.store = Some(Arc::new(FaultyStore::new(
            self.lake.store.clone(),
            process.clone(),
        )));
        options.progress = self.setup.progress;
        let sink = DeltaSink::open(options, &schema()).await?;
        let source = Numbers {
            rows: self.rows.clone(),
            process: process.clone(),
            checkpoint: checkpoint.clone(),
            sequential: self.setup.sequential,
            component: component(version),
        };
        let limit = ReadLimit {
            max_rows: Some(5),
            max_bytes: None,
        };
        let retry = RetryPolicy::new(3).with_pauses(Duration::from_millis(1), Duration::from_secs(1));
        let options = PipelineOptions::new("numbers", "memory:///t")
            .with_limit(limit)
            .with_retry(retry);
        Ok(Pipeline::new(Arc::new(source), sink, checkpoint, clock, options))
    }

    /// The micro-batches in the table, after every check that [`Lake::batches`] makes.
    pub(super) async fn batches(&self) -> Vec<Landed> {
        let foreign = self.foreign.lock().unwrap().clone();
        self.lake.batches(self.setup.progress, &foreign).await
    }

    /// Every row is in the table once, and a run is told to start behind them.
    pub(super) async fn assert_complete(&self, summary: &RunSummary) -> Vec<Landed> {
        let rows = self.rows.load(Ordering::SeqCst);
        let batches = self.batches().await;
        assert_eq!(batches.last().map_or(0, |last| last.end), rows);
        assert_eq!(summary.offset, Some(offset(rows)));
        batches
    }

    pub(super) async fn append_foreign(&self, id: i64) {
        self.lake.append_foreign(id).await;
        self.foreign.lock().unwrap().push(id);
    }

    /// The checkpoint location is emptied.
    pub(super) fn lose_location(&self) {
        *self.notes.lock().unwrap() = Arc::default();
    }

    /// Keeps a copy of the checkpoint location as it is.
    pub(super) fn copy_location(&self) {
        *self.copy.lock().unwrap() = Some(self.notes().fork());
    }

    /// The copy takes the location's place, however old it is; `false` if there is none.
    pub(super) fn restore_location(&self) -> bool {
        let copy = self.copy.lock().unwrap().as_ref().map(InMemory::fork);
        copy.map(|copy| *self.notes.lock().unwrap() = Arc::new(copy))
            .is_some()
    }

    /// All that is in the checkpoint location is deleted, under a run that uses it.
    pub(super) async fn delete_location(&self) {
        let files: Vec<_> = self.notes().list(None).try_collect().await.unwrap();
        for file in files {
            self.notes().delete(&file.location).await.unwrap();
        }
    }

    /// Entries of the offset log from this number on are gone.
    pub(super) async fn lose_entries_from(&self, batch: u64) {
        for entry in self.entries().await.into_iter().filter(|entry| *entry >= batch) {
            let path = Path::from(format!("offsets/{entry}"));
            self.notes().delete(&path).await.unwrap();
        }
    }

    /// Somebody claimed the two numbers after those that are there, and never committed.
    pub(super) async fn claim_ahead(&self) {
        let last = self.batches().await.last().map_or(0, |last| last.batch);
        let newest = self.entries().await.into_iter().max().unwrap_or(0).max(last);
        for batch in [newest + 1, newest + 2] {
            let text = format!(
                r#"{{"batch":{batch},"start":{{"current":0}},"end":{{"current":999}},"component":{{"name":"n","version":"1","digest":"d"}},"rows":999}}"#
            );
            let path = Path::from(format!("offsets/{batch}"));
            self.notes().put(&path, text.into()).await.unwrap();
        }
    }

    /// The numbers in the offset log.
    pub(super) async fn entries(&self) -> Vec<u64> {
        let folder = Path::from("offsets");
        let files: Vec<_> = self.notes().list(Some(&folder)).try_collect().await.unwrap();
        let names = files.iter().filter_map(|file| file.location.filename());
        names.map(|name| name.parse().unwrap()).collect()
    }

    fn notes(&self) -> Arc<InMemory> {
        self.notes.lock().unwrap().clone()
    }
}

/// A clock for which every wait is over at once.
#[derive(Default)]
struct SwiftClock(AtomicU64);

impl Clock for SwiftClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let micros = u64::try_from(duration.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::SeqCst);
        Box::pin(tokio::task::yield_now())
    }
}
