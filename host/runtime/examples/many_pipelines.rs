//! Many pipelines in one process, with figures of each as they come, and other versions of their components.
//!
//! `cargo run --release --example many_pipelines -- a.toml b.toml` runs them until the end of stdin. A line there with the
//! name of a pipeline stops it. With a reference behind the name it is read by that version of its component.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbar_runtime::{
    BatchReport, PipelineFile, PipelineObserver, RunSummary, Runtime, RuntimeError, StopSignal, Stopper,
    Supervisor, SupervisorOptions, SwapEvent, SwapOrder, SwapReport, SwapRequest, Trigger, with_causes,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The figures of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Figures {
    rows: u64,
    batches: u64,
    requests: u64,
    retries: u32,
    busy: Duration,
    /// Versions that took over, were promoted, and went again.
    swaps: (u32, u32, u32),
    error: Option<String>,
}

/// The figures of all pipelines by their names. A program would hand them to its metrics system.
#[derive(Clone, Default)]
struct Metrics(watch::Sender<BTreeMap<String, Figures>>);

/// Counts for one pipeline. It is called from the pipeline's own task, so it only adds.
struct Counter {
    pipeline: String,
    metrics: Metrics,
}

impl Metrics {
    fn change(&self, pipeline: &str, change: impl FnOnce(&mut Figures)) {
        self.0
            .send_modify(|all| change(all.entry(pipeline.to_owned()).or_default()));
    }
}

impl PipelineObserver for Counter {
    fn committed(&self, report: &BatchReport) {
        self.metrics.change(&self.pipeline, |figures| {
            figures.rows += report.rows;
            figures.batches += 1;
            figures.requests += report.usage.requests;
            figures.busy += report.durations.total;
        });
    }

    fn swapped(&self, event: &SwapEvent) {
        self.metrics.change(&self.pipeline, |figures| match event {
            SwapEvent::TookOver(_) => figures.swaps.0 += 1,
            SwapEvent::Promoted(_) => figures.swaps.1 += 1,
            _ => figures.swaps.2 += 1,
        });
    }

    fn retrying(&self, _failures: u32, _pause: Duration, _message: &str) {
        self.metrics
            .change(&self.pipeline, |figures| figures.retries += 1);
    }
}

/// Pipelines that share the engine and each compiled component. `trigger` takes the place of those of the files.
fn supervisor(trigger: Option<Trigger>, metrics: &Metrics) -> Result<Supervisor, RuntimeError> {
    let metrics = metrics.clone();
    let options = SupervisorOptions::default()
        .with_trigger(trigger)
        .with_observer(move |name| {
            Arc::new(Counter {
                pipeline: name.to_owned(),
                metrics: metrics.clone(),
            })
        });
    Ok(Supervisor::new(Arc::new(Runtime::new()?), options))
}

/// A pipeline by its name, and what becomes of it.
type Running = (String, JoinHandle<Result<RunSummary, RuntimeError>>);

/// Starts all files side by side. One that fails disturbs no other.
fn start_all(
    supervisor: &Supervisor,
    files: Vec<PipelineFile>,
    stop: &StopSignal,
) -> Result<Vec<Running>, RuntimeError> {
    let start = |file: PipelineFile| {
        let name = file.config().name.clone();
        Ok((name, supervisor.start(file, stop.clone())?))
    };
    files.into_iter().map(start).collect()
}

/// Waits until all have ended.
async fn wait_for_all(running: Vec<Running>, metrics: &Metrics) {
    for (name, pipeline) in running {
        let error = match pipeline.await {
            Ok(outcome) => outcome.err().map(|error| with_causes(&error)),
            Err(panic) => Some(panic.to_string()),
        };
        metrics.change(&name, |figures| figures.error = error);
    }
}

/// Lets another version of its component read a pipeline. Returns when it has taken over.
async fn swap(supervisor: &Supervisor, name: &str, reference: &str) -> Result<String, RuntimeError> {
    let request = SwapRequest {
        reference: reference.to_owned(),
        again: false,
        order: SwapOrder {
            by: "many_pipelines".into(),
            reason: "a line on stdin".into(),
        },
    };
    Ok(match supervisor.swap(name, request).await? {
        SwapReport::TookOver(takeover) => {
            let (from, to, pause) = (takeover.from.version, takeover.to.version, takeover.pause);
            format!("{name}: {to} reads instead of {from}, after a pause of {pause:?}")
        }
        SwapReport::Unchanged { digest } => format!("{name}: {digest} reads already"),
    })
}

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    let paths = std::env::args_os().skip(1).map(PathBuf::from);
    let files = paths
        .map(|path| PipelineFile::load(&path))
        .collect::<Result<_, _>>()?;
    let metrics = Metrics::default();
    let supervisor = supervisor(None, &metrics)?;
    let (stopper, stop) = Stopper::new();
    let running = start_all(&supervisor, files, &stop)?;
    let (lines, mut orders) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lines().map_while(Result::ok);
        while input.next().is_some_and(|line| lines.blocking_send(line).is_ok()) {}
    });
    while let Some(line) = orders.recv().await {
        let done = match line.split_once(' ') {
            Some((name, reference)) => swap(&supervisor, name, reference).await,
            None => supervisor.stop(&line).await.map(|()| format!("{line}: stopped")),
        };
        println!("{}", done.unwrap_or_else(|error| with_causes(&error)));
    }
    stopper.stop();
    wait_for_all(running, &metrics).await;
    for (pipeline, figures) in metrics.0.borrow().iter() {
        println!("{pipeline}: {figures:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sandbar_harness::ScriptedApi;
    use sandbar_runtime::PipelineState;

    use super::*;

    fn pipeline_of(name: &str, api: &ScriptedApi, folder: &Path) -> PipelineFile {
        let origin = api.origin();
        let text = format!(
            "name = '{name}'\n[source]\ncomponent = './comments.wasm'\n\
             [source.options]\napi_url = '{origin}/comments'\nrows_per_batch = 10\n\
             [source.grants]\nhttp = ['{origin}']\n\
             [sink]\ntable = 'lake/{name}'\n[checkpoint]\nlocation = 'notes/{name}'\n[retry]\nattempts = 1\n\
             [trigger]\ninterval = '5ms'\n[swap]\nprobation_batches = 1\n"
        );
        std::fs::write(folder.join("comments.wasm"), sandbar_components::COMMENTS).unwrap();
        PipelineFile::parse(&text, &folder.join(format!("{name}.toml"))).unwrap()
    }

    #[tokio::test]
    async fn each_pipeline_has_its_figures_and_one_that_fails_disturbs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let apis = [5, 25, 0].map(ScriptedApi::start);
        let names = ["a", "b", "c"];
        let files = names
            .iter()
            .zip(&apis)
            .map(|(name, api)| pipeline_of(name, api, folder.path()))
            .collect();
        // A file stands where the folder of the table is to be.
        std::fs::create_dir(folder.path().join("lake")).unwrap();
        std::fs::write(folder.path().join("lake/a"), "").unwrap();
        let metrics = Metrics::default();
        let supervisor = supervisor(Some(Trigger::AvailableNow), &metrics).unwrap();
        let running = start_all(&supervisor, files, &StopSignal::never()).unwrap();
        wait_for_all(running, &metrics).await;
        let all = metrics.0.borrow();
        assert!(all["a"].error.is_some() && all["a"].rows == 0, "{:?}", all["a"]);
        let counts = |name: &str| (all[name].rows, all[name].batches, all[name].error.clone());
        assert_eq!(counts("b"), (25, 3, None));
        assert_eq!(counts("c"), (0, 0, None));
        assert!(
            all["b"].requests >= 3 && all["b"].busy > Duration::ZERO,
            "{:?}",
            all["b"]
        );
    }

    #[tokio::test]
    async fn another_version_reads_on_where_the_one_before_stopped() {
        const OTHER: &str = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/data/0.1.0/components/comments-rust.wasm"
        );
        let folder = tempfile::tempdir().unwrap();
        let api = ScriptedApi::start(25);
        let metrics = Metrics::default();
        let supervisor = supervisor(None, &metrics).unwrap();
        let files = vec![pipeline_of("a", &api, folder.path())];
        let running = start_all(&supervisor, files, &StopSignal::never()).unwrap();
        let mut figures = metrics.0.subscribe();
        let mut reads = async |rows: u64, promoted: u32| {
            let reached = |a: &Figures| a.rows == rows && a.swaps.1 == promoted;
            let read = figures.wait_for(|all| all.get("a").is_some_and(reached));
            read.await.map(drop).unwrap();
        };
        reads(25, 0).await;
        let done = swap(&supervisor, "a", OTHER).await.unwrap();
        assert!(done.starts_with("a: 0.1.0 reads instead"), "{done}");
        api.add_rows(10);
        reads(35, 1).await;
        supervisor.stop("a").await.unwrap();
        wait_for_all(running, &metrics).await;
        assert_eq!(metrics.0.borrow()["a"].swaps, (1, 1, 0));
        let report = &supervisor.reports()[0];
        assert_eq!((report.state, report.rows), (PipelineState::Stopped, 35));
        let missing = swap(&supervisor, "b", OTHER).await.unwrap_err();
        assert!(with_causes(&missing).contains("not one of those"), "{missing}");
    }
}
