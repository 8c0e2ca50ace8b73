//! Forks of a process that uses the library, as Python's multiprocessing and Spark's workers make them. A fork has one
//! thread: what the parent made there must neither run without its limits nor wait for ever, and a new host works.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;

use sandbar_components::COMMENTS;
use sandbar_egress::Forked;
use sandbar_harness::ScriptedApi;
use sandbar_hostile::{COMPONENT, Call, Mode};
use sandbar_pipeline::{Batches, CheckpointLocation, Partition, ReadLimit, Source, SourceError, Stopper};
use sandbar_policy::{LimitKey, Limits};
use sandbar_runtime::{
    NoopObserver, Offset, OpenPipeline, PipelineFile, Remedy, Runtime, RuntimeError, SourceRemedy, Trigger,
    with_causes,
};
use sandbar_sandbox::{
    Compiler, ComponentBytes, Connector, OpenOptions, Sandbox, SandboxBatches, SandboxError, SandboxSource,
};
use serde_json::json;
use tokio::runtime::Builder;

use super::ipc;
use super::world::{hex, hostile};
use crate::support::{Running, Workspace, say, until};

/// Tells this test, in a process of its own, that it is there.
const HERE: &str = "SANDBAR_TEST_FORKS";
const NAME: &str = "hostile::forked::in_a_fork_every_call_is_refused_and_a_new_runtime_works";

#[test]
fn in_a_fork_every_call_is_refused_and_a_new_runtime_works() {
    if std::env::var_os(HERE).is_some() {
        return forks();
    }
    // Other tests are no part of what is forked.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact", "--nocapture"]).env(HERE, "1");
    let ended = Running::start(command).end();
    let (said, refused) = (ended.stderr.clone(), "calls were refused in a fork");
    assert!(
        ended.code == Some(0) && said.contains(refused),
        "{}{said}",
        ended.stdout
    );
    say(said.lines().find(|line| line.contains(refused)).unwrap());
}

/// What the parent has.
struct Made {
    api: ScriptedApi,
    work: Workspace,
    sandbox: Sandbox,
    host: Runtime,
    file: PipelineFile,
    connector: Arc<Connector>,
    open: OpenPipeline,
    source: Option<SandboxSource>,
    /// A source of which somebody awaits an answer.
    busy: Arc<SandboxSource>,
    batches: SandboxBatches,
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap()
}

fn opened(mode: Mode, at: Call) -> OpenOptions {
    let digits = |bytes: &[u8]| hex(bytes).trim_matches('\'').to_owned();
    let options = json!({
        "mode": mode,
        "at": at,
        "schema": digits(&ipc::schema(&ipc::rows().schema())),
        "rows": [digits(&ipc::stream(&ipc::rows()))],
    });
    OpenOptions::new("forked", options)
}

fn forks() {
    let runtime = runtime();
    let mut made = runtime.block_on(make());
    let waiting = {
        let busy = made.busy.clone();
        runtime.spawn(async move { busy.initial_offset().await })
    };
    // The call holds the source's lock when nobody else can have it.
    until("the call is under way", || {
        runtime.block_on(async {
            let asked = made.busy.check();
            tokio::time::timeout(std::time::Duration::from_millis(20), asked)
                .await
                .is_err()
        })
    });
    #[allow(
        unsafe_code,
        reason = "std has no fork; the child goes on in this function alone"
    )]
    // SAFETY: the child uses what libc keeps usable in a fork of a process with threads (glibc's allocator), and what is
    // asked of the library is what this test is about.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", std::io::Error::last_os_error());
    if child == 0 {
        let outcome = catch_unwind(AssertUnwindSafe(|| in_the_fork(&mut made)));
        #[allow(unsafe_code, reason = "nothing of the parent's may be cleaned up here")]
        // SAFETY: it ends the process.
        unsafe {
            libc::_exit(i32::from(outcome.is_err()))
        }
    }
    let child = rustix::process::Pid::from_raw(child);
    let (_, status) = rustix::process::waitpid(child, rustix::process::WaitOptions::empty())
        .unwrap()
        .unwrap();
    assert_eq!(status.exit_status(), Some(0), "the fork failed: {status:?}");
    // The parent goes on.
    waiting.abort();
    runtime.block_on(async {
        let source = made.source.as_ref().unwrap();
        assert_eq!(source.initial_offset().await.unwrap().to_string(), "0");
        let batch = made.batches.next().await.unwrap().unwrap();
        assert_eq!(batch.rows[0].num_rows(), 3);
    });
}

async fn make() -> Made {
    let (api, work) = (ScriptedApi::start(5), Workspace::new());
    std::fs::write(work.path("hostile.wasm"), COMPONENT).unwrap();
    work.add(&hostile(&api, Mode::Healthy, Call::Open));
    // Compiled here, by threads that a fork does not have.
    let host = Runtime::builder()
        .builtin("comments", COMMENTS)
        .cache(None)
        .build()
        .unwrap();
    let file = PipelineFile::load(&work.path("comments.toml")).unwrap();
    let open = host.open(&file).await.unwrap();
    let path = work.path("hostile.wasm");
    let connector = host.load("hostile", Some(&path)).await.unwrap();
    let at = |mode, at| {
        let (connector, options) = (connector.clone(), opened(mode, at));
        async move {
            let location = CheckpointLocation::memory();
            SandboxSource::open(connector, location, options).await.unwrap()
        }
    };
    let source = at(Mode::Healthy, Call::Open).await;
    let busy = Arc::new(at(Mode::Sleep, Call::InitialOffset).await);
    let batches = source.read(&partition()).await.unwrap();
    Made {
        sandbox: Sandbox::new(Limits::default().stack).unwrap(),
        api,
        work,
        host,
        file,
        connector,
        open,
        source: Some(source),
        busy,
        batches,
    }
}

fn partition() -> Partition {
    Partition::parse("0").unwrap()
}

fn in_the_fork(made: &mut Made) {
    let runtime = runtime();
    let refused = runtime.block_on(all_refused(made));
    // That it is dropped does not wait either.
    drop(made.source.take());
    runtime.block_on(a_new_runtime_works(&made.api, &made.work));
    say(&format!(
        "{refused} calls were refused in a fork, and a new host worked there"
    ));
}

/// Everything that would run the component, or wait for what only the parent has. The number of calls.
async fn all_refused(made: &mut Made) -> usize {
    let (host, file, busy) = (&made.host, &made.file, &made.busy);
    let source = made.source.as_ref().unwrap();
    let path = made.work.path("hostile.wasm");
    let (_stopper, stop) = Stopper::new();
    let of_the_host = [
        host.load("comments", None).await.map(drop),
        host.load("hostile", Some(&path)).await.map(drop),
        host.load_for(file).await.map(drop),
        host.open(file).await.map(drop),
        host.check(file).await.map(drop),
        host.preview(file, 3).await.map(drop),
        host.table_rows(file, 3).await.map(drop),
        host.status(file, 3).await.map(drop),
        made.open
            .run(Trigger::Once, NoopObserver::shared(), stop)
            .await
            .map(drop),
        made.open.reset(offset()).await.map(drop),
    ];
    let (options, limits) = (opened(Mode::Healthy, Call::Open), Limits::default());
    let (location, compiler) = (CheckpointLocation::memory(), Compiler::InProcess);
    let component = ComponentBytes::new(COMPONENT);
    let loaded = Connector::load(&made.sandbox, &component, "hostile", &compiler, None, &limits).await;
    let of_the_engine = [
        loaded.map(drop),
        made.sandbox.process().check().map_err(SandboxError::from),
        made.connector.process().check().map_err(SandboxError::from),
    ];
    let of_sources = [
        made.connector.discover(&options.options).await.map(drop),
        SandboxSource::open(made.connector.clone(), location, options)
            .await
            .map(drop),
        source.check().await,
        source.initial_offset().await.map(drop),
        source
            .latest_offset(&offset(), None, ReadLimit::default())
            .await
            .map(drop),
        source.partitions(&offset(), &offset()).await.map(drop),
        source.read(&partition()).await.map(drop),
        source.read_from(&offset(), ReadLimit::default()).await.map(drop),
        source.commit(&offset()).await,
        // Its lock is taken, and nobody is there to give it back.
        busy.check().await,
        busy.commit(&offset()).await,
        made.batches.next().await.map(drop),
    ];
    let _ = (source.take_usage(), busy.take_usage());
    let number = of_the_host.len() + of_the_engine.len() + of_sources.len();
    for (at, answer) in of_the_host.into_iter().enumerate() {
        match answer {
            Err(RuntimeError::Sandbox(error)) => assert_forked(&error),
            other => panic!("call {at} of the host: {other:?}"),
        }
    }
    for answer in of_the_engine {
        assert_forked(&answer.unwrap_err());
    }
    for (at, answer) in of_sources.into_iter().enumerate() {
        match answer {
            Err(SourceError::Sandbox(cause)) => assert_forked(cause.downcast_ref().unwrap()),
            other => panic!("call {at} of a source: {other:?}"),
        }
    }
    number
}

#[track_caller]
fn assert_forked(error: &SandboxError) {
    let (parent, here) = (std::os::unix::process::parent_id(), std::process::id());
    assert!(
        matches!(error, SandboxError::Forked(Forked { made_in, here: found }) if (*made_in, *found) == (parent, here)),
        "{error:?}"
    );
}

/// It compiles, reads, and stops who computes for too long.
async fn a_new_runtime_works(api: &ScriptedApi, work: &Workspace) {
    let host = Runtime::builder()
        .builtin("comments", COMMENTS)
        .cache(None)
        .build()
        .unwrap();
    let run = |name: &'static str, mode| {
        work.add(&hostile(api, mode, Call::Next).named(name));
        let (host, file) = (&host, PipelineFile::load(&work.path(&format!("{name}.toml"))));
        async move {
            let open = host.open(&file.unwrap()).await?;
            let (_stopper, stop) = Stopper::new();
            open.run(Trigger::AvailableNow, NoopObserver::shared(), stop)
                .await
        }
    };
    assert_eq!(run("reads", Mode::Healthy).await.unwrap().rows, 3);
    let error = run("spins", Mode::Spin).await.unwrap_err();
    let raise = Remedy::Allow(SourceRemedy::Raise(LimitKey::Cpu));
    assert_eq!(error.remedies(), [raise], "{}", with_causes(&error));
}

fn offset() -> Offset {
    Offset::parse("0").unwrap()
}
