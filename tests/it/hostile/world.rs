//! One process with a host, in which a hostile pipeline and a healthy one run at the same time.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sandbar_components::COMMENTS;
use sandbar_harness::ScriptedApi;
use sandbar_hostile::{COMPONENT, Call, Described, MARK, Mode, ROOM};
use sandbar_pipeline::{PipelineError, Remedy, SourceError, Stopper, with_causes};
use sandbar_runtime::{Compiler, NoopObserver, PipelineFile, RunSummary, Runtime, RuntimeError, Trigger};
use sandbar_sandbox::SandboxError;
use serde::Serialize;

use super::ipc;
use crate::support::{BOUND, Settings, Workspace, scratch};

/// How it must end, and what must be said.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// At a limit with this key.
    Limit(&'static str),
    /// Refused by the grants.
    Refused,
    /// Refused whatever is granted.
    Forbidden,
    /// A broken promise, found by the sandbox.
    Contract,
    /// A broken promise, found by the protocol.
    Protocol,
    /// A trap.
    Trap,
    /// The bytes are not taken.
    Load,
    /// An import is not given.
    Import,
    /// The component's own error, after the host refused it something.
    Answer,
    /// It did no harm, and goes on.
    Done,
}

/// The process.
pub(super) struct World {
    runtime: tokio::runtime::Runtime,
    host: Arc<Runtime>,
    pub(super) api: ScriptedApi,
    pub(super) work: Workspace,
}

/// The calls of a run before its rows are in the table.
pub(super) const CALLS: [Call; 10] = [
    Call::Open,
    Call::Info,
    Call::Reading,
    Call::Schema,
    Call::InitialOffset,
    Call::LatestOffset,
    Call::BatchEnd,
    Call::Partitions,
    Call::Read,
    Call::Next,
];

/// Rows of the healthy pipeline.
const ROWS: i32 = 25;

impl World {
    pub(super) fn new() -> Self {
        Self::with_cache(Some(&cache()))
    }

    pub(super) fn with_cache(cache: Option<&Path>) -> Self {
        let work = Workspace::new();
        std::fs::write(work.path("hostile.wasm"), COMPONENT).unwrap();
        let compiler = Compiler::Program {
            path: env!("CARGO_BIN_EXE_sandbar").into(),
            arguments: vec!["compile-component".into()],
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            runtime: runtime.unwrap(),
            host: Arc::new(
                Runtime::builder()
                    .builtin("comments", COMMENTS)
                    .cache(cache)
                    .compiler(compiler)
                    .build()
                    .unwrap(),
            ),
            api: ScriptedApi::start(ROWS as u64),
            work,
        }
    }

    /// Runs a hostile pipeline beside a healthy one. The healthy one reads all of its rows, and the hostile one ends
    /// as it should, says so, and leaves so many rows.
    #[track_caller]
    pub(super) fn contains(&self, name: &str, settings: &Settings, end: &End, says: &str, rows: u64) {
        let healthy = format!("{name}-beside");
        self.work.add(&settings.clone().named(name));
        self.work.add(&Settings::of(&self.api).named(&healthy));
        let hostile = self.start(name);
        let beside = self.start(&healthy);
        let (hostile, beside) = self.runtime.block_on(async {
            let both = async { (hostile.await.unwrap(), beside.await.unwrap()) };
            tokio::time::timeout(BOUND, both)
                .await
                .unwrap_or_else(|_| panic!("{name}: still running"))
        });
        let beside = beside.unwrap_or_else(|e| panic!("{name}: the healthy pipeline failed: {e}"));
        assert_eq!(beside.rows, ROWS as u64, "{name}");
        let ids = self.work.table_at(&format!("lake/{healthy}")).ids();
        assert_eq!(
            ids,
            (1..=ROWS).collect::<Vec<_>>(),
            "{name}: rows of the healthy pipeline"
        );
        let said = judge(name, &hostile, end);
        assert!(said.contains(says), "{name}: {says:?} is not in: {said}");
        assert!(said.len() < 6_000, "{name}: the message has {} bytes", said.len());
        let control = said.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{name}: {said:?}");
        assert_eq!(self.rows(name), rows, "{name}: rows in the table");
        if rows == 0 && !matches!(end, End::Done) {
            let left = self.work.files_in(&format!("lake/{name}"));
            assert_eq!(left, [] as [std::path::PathBuf; 0], "{name}: files of the table");
        }
    }

    /// Runs a healthy pipeline beside hostile ones, which have so much to compute that they would be through before it if
    /// they kept it waiting. It ends first.
    #[track_caller]
    pub(super) fn outpaces(&self, hostile: &[(String, Settings)], healthy: &Settings) {
        for (name, settings) in hostile {
            self.work.add(&settings.clone().named(name));
        }
        self.work.add(healthy);
        let others: Vec<_> = hostile.iter().map(|(name, _)| self.start(name)).collect();
        let beside = self.start("comments");
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(BOUND, beside).await });
        let summary = ended.expect("it ends").unwrap().unwrap();
        assert_eq!(summary.rows, ROWS as u64);
        for ((name, _), other) in hostile.iter().zip(others) {
            assert!(!other.is_finished(), "{name} was through first");
            other.abort();
        }
    }

    fn start(&self, name: &str) -> tokio::task::JoinHandle<Result<RunSummary, RuntimeError>> {
        let (host, path) = (self.host.clone(), self.work.path(&format!("{name}.toml")));
        self.runtime.spawn(async move {
            let file = PipelineFile::load(&path)?;
            let open = host.open(&file).await?;
            let (_stopper, stop) = Stopper::new();
            open.run(Trigger::AvailableNow, NoopObserver::shared(), stop)
                .await
        })
    }

    /// What `discover` gives for a pipeline's options.
    pub(super) fn discover(&self, options: &serde_json::Value) -> Result<usize, SourceError> {
        let path = self.work.path("hostile.wasm");
        self.runtime.block_on(async {
            let connector = self.host.load("hostile", Some(&path)).await.unwrap();
            connector.discover(options).await.map(|streams| streams.len())
        })
    }

    fn rows(&self, name: &str) -> u64 {
        let table = format!("lake/{name}");
        match self.work.path(&format!("{table}/_delta_log")).exists() {
            false => 0,
            true => {
                let table = self.work.table_at(&table);
                let batches = table.record_batches();
                batches.iter().map(|(_, batch)| batch.num_rows() as u64).sum()
            }
        }
    }
}

/// The message, if the outcome is of the kind that it must be.
#[track_caller]
fn judge(name: &str, outcome: &Result<RunSummary, RuntimeError>, end: &End) -> String {
    let error = match outcome {
        Ok(summary) => {
            assert!(
                matches!(end, End::Done),
                "{name}: it was to end as {end:?}: {summary:?}"
            );
            return String::new();
        }
        Err(error) => error,
    };
    let source = match error {
        RuntimeError::Source(source) => Some(source),
        RuntimeError::Run {
            source: PipelineError::Source(source),
            ..
        } => Some(source),
        _ => None,
    };
    let sandbox = match (error, source) {
        (RuntimeError::Sandbox(sandbox), _) => Some(sandbox),
        (_, Some(SourceError::Sandbox(cause))) => cause.downcast_ref::<SandboxError>(),
        _ => None,
    };
    let protocol = matches!(
        error,
        RuntimeError::Run {
            source: PipelineError::Contract(_) | PipelineError::Stuck { .. },
            ..
        }
    );
    let fits = match (end, sandbox) {
        (End::Limit(key), Some(SandboxError::Limit { key: found, .. })) => *key == found.as_str(),
        (End::Refused, Some(SandboxError::Refused { .. })) => true,
        (End::Forbidden, Some(SandboxError::Forbidden { .. })) => true,
        (End::Contract, Some(SandboxError::Contract { .. })) => true,
        (End::Trap, Some(SandboxError::Trap { .. })) => true,
        (End::Load, Some(SandboxError::Load { .. })) => true,
        (End::Import, Some(SandboxError::ForbiddenImport { .. })) => true,
        (End::Answer, None) => source.is_some(),
        (End::Protocol, None) => protocol,
        _ => false,
    };
    assert!(fits, "{name}: it was to end as {end:?}: {error:?}");
    let said = with_causes(error);
    if sandbox.is_some() {
        let named = said.contains("component hostile") || said.contains(".wasm (sha256:");
        assert!(
            named && said.contains("(sha256:"),
            "{name}: which component? {said}"
        );
    }
    let allow = error.remedies().into_iter().find_map(|remedy| match remedy {
        Remedy::Allow(remedy) => Some(remedy.to_toml()),
        _ => None,
    });
    if let End::Limit(key) = end {
        assert_eq!(allow.as_deref(), Some(*key), "{name}: {said}");
    }
    format!("{said}; {}", allow.unwrap_or_default())
}

fn cache() -> std::path::PathBuf {
    // The healthy component is there already; the other one is compiled once for all tests.
    static ONCE: OnceLock<std::path::PathBuf> = OnceLock::new();
    ONCE.get_or_init(|| {
        let folder = scratch().join("cache").join("sandbar");
        drop(Workspace::new());
        folder
    })
    .clone()
}

/// A pipeline that uses the hostile component in this way. It misbehaves in `at`, has little of everything, and rows to
/// give should it come to that.
pub(crate) fn hostile(api: &ScriptedApi, mode: Mode, at: Call) -> Settings {
    Settings::of(api)
        .set("source.component", "'./hostile.wasm'")
        .set("source.options.mode", &toml(&mode))
        .set("source.options.at", &toml(&at))
        .set("source.options.schema", &hex(&ipc::schema(&ipc::rows().schema())))
        .set(
            "source.options.rows",
            &format!("[{}]", hex(&ipc::stream(&ipc::rows()))),
        )
        .set("source.limits.cpu", "'150ms'")
        .set("source.limits.deadline", "'50s'")
        .set("source.limits.memory", "'32MiB'")
        .set("source.limits.batch", "'4MiB'")
        .set("source.limits.log", "'16KiB'")
        .set("source.limits.empty_batches", "50")
        .set("trigger.max_rows_per_batch", "10")
}

/// Bytes as the component takes them, in quotes.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text + "'"
}

/// A value as it stands in a pipeline file.
pub(super) fn toml(value: &impl Serialize) -> String {
    toml::Value::try_from(value).unwrap().to_string()
}

/// The hostile component with something else to say of itself.
pub(crate) fn describing(described: &Described) -> Vec<u8> {
    let mut bytes = COMPONENT.to_vec();
    let places: Vec<_> = (0..bytes.len() - MARK.len())
        .filter(|at| bytes[*at..].starts_with(MARK.as_bytes()))
        .collect();
    assert_eq!(places.len(), 1, "the room for it is there once");
    let text = serde_json::to_string(described).unwrap();
    let start = places[0] + MARK.len();
    assert!(text.len() <= ROOM - MARK.len());
    bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
    bytes
}
