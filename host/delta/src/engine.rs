use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::snapshot::IncrementalReplay;
use delta_kernel::{KernelError, Snapshot, SnapshotRef};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use sandbar_pipeline::{Backoff, Clock, SinkError, create_folder, with_causes};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use url::Url;

use crate::DeltaOptions;
use crate::error::{kernel_error, plain, store_error};
use crate::store::{EntryTags, LOG, TableStore};

/// The writer that commits name.
pub(crate) const ENGINE_INFO: &str = concat!("sandbar/", env!("CARGO_PKG_VERSION"));

/// How often a read of the log is tried: a log that is being written can look incomplete for a moment.
const LOAD_ATTEMPTS: u32 = 5;

/// One table and the means to read and write it.
///
/// The kernel's calls block. They run on threads of their own ([`Table::run`]), never on an async worker.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) root: Url,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) tags: EntryTags,
    pub(crate) engine: Arc<DefaultEngine<TokioMultiThreadExecutor>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) handle: Handle,
    work: Handle,
}

/// Why a table could not be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Kernel(KernelError),
    /// The reading itself broke off.
    Broken(SinkError),
}

impl Unreadable {
    /// Whether the store is at fault, rather than what lies in it.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Kernel(e) => matches!(
                e,
                KernelError::ObjectStore(_) | KernelError::IOError(_) | KernelError::Reqwest(_)
            ),
            Self::Broken(_) => true,
        }
    }

    pub(crate) fn into_error(self, table: &Table) -> SinkError {
        match self {
            Self::Kernel(e) => kernel_error(format!("can't read the table {}", table.root), e),
            Self::Broken(e) => e,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(e) => e.fmt(f),
            Self::Broken(e) => f.write_str(&with_causes(e)),
        }
    }
}

impl Table {
    pub(crate) fn new(options: &DeltaOptions) -> Result<Self, SinkError> {
        let root = options.root()?;
        let path = Path::from_url_path(root.path())
            .map_err(|e| store_error(format!("can't open the table {root}"), e))?;
        let store = TableStore::new(options.object_store()?, folder_of(&root), &path);
        let tags = store.tags();
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let threads = threads()?;
        let handle = threads.store.handle().clone();
        let executor = Arc::new(TokioMultiThreadExecutor::new(handle.clone()));
        Ok(Self {
            root,
            engine: Arc::new(
                DefaultEngineBuilder::new(Arc::clone(&store))
                    .with_task_executor(executor)
                    .build(),
            ),
            store,
            tags,
            clock: Arc::clone(&options.clock),
            handle,
            work: threads.work.handle().clone(),
        })
    }

    /// Starts blocking work on a thread of its own. It runs to its end even if nobody waits for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let table = self.clone();
        self.work.spawn_blocking(move || work(&table))
    }

    /// Runs blocking work on a thread of its own and waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, SinkError> {
        self.spawn(work)
            .await
            .map_err(|e| store_error(format!("work on the table {} broke off", self.root), e))
    }

    /// The table as it is now, `None` when there is none. Starts from `known` where that saves reading.
    pub(crate) async fn load(&self, known: Option<SnapshotRef>) -> Result<Option<SnapshotRef>, SinkError> {
        self.read(known).await.map_err(|e| e.into_error(self))
    }

    /// The table as it is now, read anew. The error distinguishes a broken log from a store that is away.
    pub(crate) async fn try_load(&self) -> Result<Option<SnapshotRef>, Unreadable> {
        self.read(None).await
    }

    async fn read(&self, known: Option<SnapshotRef>) -> Result<Option<SnapshotRef>, Unreadable> {
        let mut known = known;
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(80));
        loop {
            let base = known.take();
            let read = self.run(move |table| table.load_once(base)).await;
            let error = match read.map_err(Unreadable::Broken)? {
                Ok(snapshot) => return Ok(snapshot),
                Err(e) => e,
            };
            if backoff.failures() + 1 == LOAD_ATTEMPTS {
                return Err(Unreadable::Kernel(error));
            }
            backoff.pause(self.clock.as_ref()).await;
        }
    }

    fn load_once(&self, known: Option<SnapshotRef>) -> Result<Option<SnapshotRef>, KernelError> {
        if self.lacks_folder() {
            return Ok(None);
        }
        let engine = self.engine.as_ref();
        let loaded = match known {
            Some(known) => Snapshot::builder_from(known)
                .with_incremental_crc_replay(IncrementalReplay::Unlimited)
                .build(engine),
            None => Snapshot::builder_for(self.root.as_str())
                .with_incremental_crc_replay(IncrementalReplay::Unlimited)
                .build(engine),
        };
        match loaded.map_err(plain) {
            Ok(snapshot) => begins(&snapshot).map(|()| Some(snapshot)),
            Err(KernelError::EmptyLog) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the table's folder is one of this machine and does not exist. The kernel takes that for an error.
    pub(crate) fn lacks_folder(&self) -> bool {
        self.folder().is_some_and(|folder| !folder.exists())
    }

    /// Creates the table's folder if it is one of this machine. Durable, as the store's own files are.
    pub(crate) fn create_folder(&self) -> Result<(), SinkError> {
        self.folder().map_or(Ok(()), |folder| create(&folder))
    }

    /// The same with the folder of its log, for the commit that creates the table.
    pub(crate) fn create_log_folder(&self) -> Result<(), SinkError> {
        self.folder().map_or(Ok(()), |folder| create(&folder.join(LOG)))
    }

    /// Removes the folders that the store made for a file that is taken back. Those with something in them stay.
    pub(crate) fn remove_empty_folders(&self) {
        if let Some(folder) = self.folder() {
            let _ = std::fs::remove_dir(folder.join(LOG)).and_then(|()| std::fs::remove_dir(folder));
        }
    }

    fn folder(&self) -> Option<PathBuf> {
        folder_of(&self.root)
    }

    /// An engine like this one's over a store with nothing in it.
    pub(crate) fn empty_engine(&self) -> DefaultEngine<TokioMultiThreadExecutor> {
        let executor = Arc::new(TokioMultiThreadExecutor::new(self.handle.clone()));
        DefaultEngineBuilder::new(Arc::new(InMemory::new()))
            .with_task_executor(executor)
            .build()
    }

    /// The path of the commit that made a version.
    pub(crate) fn commit_path(&self, version: u64) -> Result<Path, SinkError> {
        Path::from_url_path(format!("{}_delta_log/{version:020}.json", self.root.path()))
            .map_err(|e| store_error(format!("can't read the table {}", self.root), e))
    }
}

fn folder_of(root: &Url) -> Option<PathBuf> {
    let local = root.scheme() == "file";
    local.then(|| root.to_file_path().ok()).flatten()
}

fn create(folder: &std::path::Path) -> Result<(), SinkError> {
    match folder.exists() {
        true => Ok(()),
        false => create_folder(folder)
            .map_err(|e| store_error(format!("can't create the folder {}", folder.display()), e)),
    }
}

/// Whether the log is whole. The kernel takes what is left of a log that lost its beginning for a table, as long as
/// it finds a schema somewhere.
fn begins(snapshot: &Snapshot) -> Result<(), KernelError> {
    let log = snapshot.log_segment();
    let first = log.listed.ascending_commit_files.first();
    match (log.checkpoint_version, first.map_or(0, |file| file.version)) {
        (Some(_), _) | (None, 0) => Ok(()),
        (None, first) => Err(KernelError::generic(format!(
            "its log begins with version {first}, and no log checkpoint holds what was before that: the versions \
             before were removed. Restore them, or remove the rest of the table"
        ))),
    }
}

pub(crate) fn committer() -> Box<FileSystemCommitter> {
    Box::new(FileSystemCommitter::new())
}

/// Threads that do the store's blocking calls. A log checkpoint opens a hundred files at once; without a
/// bound each got a thread, and each thread kept memory.
const STORE_THREADS: usize = 8;

/// The threads of this crate.
///
/// They are the process's, not a caller's: the engine panics when its executor goes away under a call, and a
/// commit may still be on its way when a caller's runtime shuts down.
struct Threads {
    /// Runs the kernel's futures and the store's calls.
    store: Runtime,
    /// Holds blocking work, which waits for `store`: on threads of the same pool it could wait for ever.
    work: Runtime,
}

fn threads() -> Result<&'static Threads, SinkError> {
    static THREADS: OnceLock<Result<Threads, String>> = OnceLock::new();
    let start = || -> std::io::Result<Threads> {
        Ok(Threads {
            store: Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(STORE_THREADS)
                .thread_name("sandbar-store")
                .enable_all()
                .build()?,
            work: Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("sandbar-delta")
                .build()?,
        })
    };
    THREADS
        .get_or_init(|| start().map_err(|e| e.to_string()))
        .as_ref()
        .map_err(|e| store_error("can't start the threads for writing tables", e.as_str()))
}
