//! Many pipelines in one process, with figures of each as they come.
//!
//! `cargo run --release --example many_pipelines -- a.toml b.toml`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandbar_runtime::{
    BatchReport, PipelineFile, PipelineObserver, Runtime, RuntimeError, StopSignal, Trigger, with_causes,
};
use tokio::task::JoinSet;

/// The figures of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Figures {
    rows: u64,
    batches: u64,
    requests: u64,
    retries: u32,
    busy: Duration,
    error: Option<String>,
}

/// The figures of all pipelines by their names. A program would hand them to its metrics system.
#[derive(Clone, Default)]
struct Metrics(Arc<Mutex<BTreeMap<String, Figures>>>);

/// Counts for one pipeline. It is called from the pipeline's own task, so it only adds.
struct Counter {
    pipeline: String,
    metrics: Metrics,
}

impl Metrics {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Figures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, pipeline: &str, change: impl FnOnce(&mut Figures)) {
        change(self.all().entry(pipeline.to_owned()).or_default());
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

    fn retrying(&self, _failures: u32, _pause: Duration, _message: &str) {
        self.metrics
            .change(&self.pipeline, |figures| figures.retries += 1);
    }
}

/// Runs all files side by side. They share the engine and each compiled component; one that fails disturbs no other.
async fn run_all(files: Vec<PipelineFile>, metrics: Metrics, stop: StopSignal) -> Result<(), RuntimeError> {
    let runtime = Arc::new(Runtime::new()?);
    let mut running = JoinSet::new();
    for file in files {
        let (runtime, metrics, stop) = (runtime.clone(), metrics.clone(), stop.clone());
        running.spawn(async move {
            let pipeline = file.config().name.clone();
            let counter = Counter {
                pipeline: pipeline.clone(),
                metrics: metrics.clone(),
            };
            let outcome = match runtime.open(&file).await {
                Ok(open) => open
                    .run(Trigger::AvailableNow, Arc::new(counter), stop)
                    .await
                    .map(drop),
                Err(error) => Err(error),
            };
            let error = outcome.err().map(|error| with_causes(&error));
            metrics.change(&pipeline, |figures| figures.error = error);
        });
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), RuntimeError> {
    let paths = std::env::args_os().skip(1).map(PathBuf::from);
    let files = paths
        .map(|path| PipelineFile::load(&path))
        .collect::<Result<_, _>>()?;
    let metrics = Metrics::default();
    run_all(files, metrics.clone(), StopSignal::never()).await?;
    for (pipeline, figures) in metrics.all().iter() {
        println!("{pipeline}: {figures:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sandbar_harness::ScriptedApi;

    use super::*;

    fn pipeline_of(name: &str, api: &ScriptedApi, folder: &Path) -> PipelineFile {
        let origin = api.origin();
        let text = format!(
            "name = '{name}'\n[source]\ncomponent = './comments.wasm'\n\
             [source.options]\napi_url = '{origin}/comments'\nrows_per_batch = 10\n\
             [source.grants]\nhttp = ['{origin}']\n\
             [sink]\ntable = 'lake/{name}'\n[checkpoint]\nlocation = 'notes/{name}'\n[retry]\nattempts = 1\n"
        );
        PipelineFile::parse(&text, &folder.join(format!("{name}.toml"))).unwrap()
    }

    #[tokio::test]
    async fn each_pipeline_has_its_figures_and_one_that_fails_disturbs_no_other() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("comments.wasm"), sandbar_components::COMMENTS).unwrap();
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
        run_all(files, metrics.clone(), StopSignal::never())
            .await
            .unwrap();
        let all = metrics.all();
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
}
