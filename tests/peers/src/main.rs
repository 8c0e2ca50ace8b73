//! Measures the sandbox against plain wasmtime. From the repository's root:
//!
//!     cargo build --release --bin sandbar
//!     cargo run --release --manifest-path tests/peers/Cargo.toml --target-dir target
//!
//! The component is the comments connector, the API `sandbar demo-api` in a process of its own. `requests` reads pages of
//! ten comments: what counts is the sender. `rows` reads a million comments in pages of 1,000: what counts is the
//! component's own work, and so what guards cost. Contenders take turns; each line has medians, and ratios of one run.

#![allow(
    clippy::disallowed_methods,
    clippy::unnecessary_owned_empty_strings,
    reason = "a benchmark measures time; the generated functions take strings so"
)]

mod plain;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plain::Plain;
use sandbar_pipeline::{Batches, CheckpointLocation, Offset, Source};
use sandbar_policy::{Grants, Limits};
use sandbar_sandbox::{Compiler, ComponentBytes, Connector, OpenOptions, Sandbox, SandboxSource};
use tokio::runtime::Runtime;

const RUNS: usize = 5;

fn main() {
    let runtime = Runtime::new().unwrap();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if asked("requests") {
        let case = Case::new(&runtime, 20_000, 10);
        for parallelism in [1, 4, 16] {
            let [sandbar, plain, _] = case.medians(parallelism);
            let rate = |time: Duration| 2_000.0 / time.as_secs_f64();
            println!(
                "requests, {parallelism:2} at once: sandbar {:6.0}/s, plain wasmtime {:6.0}/s, ratio {:.2}",
                rate(sandbar),
                rate(plain),
                plain.as_secs_f64() / sandbar.as_secs_f64()
            );
        }
    }
    if asked("rows") {
        let case = Case::new(&runtime, 1_000_000, 1_000);
        let [sandbar, plain, guarded] = case.medians(4);
        println!(
            "a million rows: sandbar {sandbar:.2?}, plain wasmtime {plain:.2?}, the same with epochs and limits \
             {guarded:.2?}; guards cost {:.3}, sandbar against plain {:.3}",
            guarded.as_secs_f64() / plain.as_secs_f64(),
            sandbar.as_secs_f64() / plain.as_secs_f64()
        );
    }
}

/// So many comments in pages of one size, and the contenders that read them.
struct Case<'a> {
    runtime: &'a Runtime,
    rows: u64,
    sandbar: Arc<SandboxSource>,
    plain: Arc<Plain>,
    guarded: Arc<Plain>,
    _api: Api,
}

impl<'a> Case<'a> {
    fn new(runtime: &'a Runtime, rows: u64, page_size: u64) -> Self {
        let api = Api::start(rows);
        let options = serde_json::json!({
            "api_url": api.url, "rows_per_batch": rows, "page_size": page_size,
        });
        let component = sandbar_test_components::COMMENTS_OVER_WASI;
        let limits = Limits::default();
        let grants = Grants::parse(&[api.url.trim_end_matches("/comments")], false).unwrap();
        let sandbar = runtime.block_on(async {
            let sandbox = Sandbox::new(limits.stack).unwrap();
            let connector = Connector::load(
                &sandbox,
                &ComponentBytes::new(component),
                "comments",
                &Compiler::InProcess,
                None,
                &limits,
            )
            .await;
            let open = OpenOptions::new("bench", options.clone())
                .with_grants(grants)
                .with_limits(limits);
            let connector = Arc::new(connector.unwrap());
            SandboxSource::open(connector, CheckpointLocation::memory(), open)
                .await
                .unwrap()
        });
        Self {
            runtime,
            rows,
            sandbar: Arc::new(sandbar),
            plain: Arc::new(Plain::new(component, options.to_string(), false)),
            guarded: Arc::new(Plain::new(component, options.to_string(), true)),
            _api: api,
        }
    }

    /// Of the sandbox, of plain wasmtime, and of plain wasmtime with guards.
    fn medians(&self, parallelism: usize) -> [Duration; 3] {
        let mut times: [Vec<Duration>; 3] = Default::default();
        for run in 0..=RUNS {
            let [sandbar, plain, guarded] = [
                self.time(self.read_sandbar(parallelism)),
                self.time(self.read_plain(&self.plain, parallelism)),
                self.time(self.read_plain(&self.guarded, parallelism)),
            ];
            // The first one warms up.
            if run > 0 {
                times[0].push(sandbar);
                times[1].push(plain);
                times[2].push(guarded);
            }
        }
        times.map(|mut times| {
            times.sort();
            times[RUNS / 2]
        })
    }

    fn time(&self, read: impl Future<Output = u64>) -> Duration {
        let began = Instant::now();
        let rows = self.runtime.block_on(read);
        let took = began.elapsed();
        assert_eq!(rows, self.rows);
        took
    }

    /// Where the range is cut: a piece for each that reads at once.
    fn cuts(&self, parallelism: usize) -> Vec<(u64, u64)> {
        let parts = parallelism as u64;
        (0..parts)
            .map(|part| (self.rows * part / parts, self.rows * (part + 1) / parts))
            .collect()
    }

    async fn read_sandbar(&self, parallelism: usize) -> u64 {
        let reads = self.cuts(parallelism).into_iter().map(|(start, end)| {
            let source = self.sandbar.clone();
            self.runtime.spawn(async move {
                let mut rows = 0;
                for part in source.partitions(&offset(start), &offset(end)).await.unwrap() {
                    let mut batches = source.read(&part).await.unwrap();
                    while let Some(batch) = batches.next().await.unwrap() {
                        rows += batch
                            .rows
                            .iter()
                            .map(|batch| batch.num_rows() as u64)
                            .sum::<u64>();
                    }
                }
                rows
            })
        });
        sum(reads.collect()).await
    }

    async fn read_plain(&self, plain: &Arc<Plain>, parallelism: usize) -> u64 {
        let reads = self.cuts(parallelism).into_iter().map(|(start, end)| {
            let plain = plain.clone();
            self.runtime.spawn(async move {
                let mut rows = 0;
                for part in plain
                    .partitions(&offset(start).to_string(), &offset(end).to_string())
                    .await
                {
                    rows += plain.read(&part).await;
                }
                rows
            })
        });
        sum(reads.collect()).await
    }
}

async fn sum(reads: Vec<tokio::task::JoinHandle<u64>>) -> u64 {
    let mut rows = 0;
    for read in reads {
        rows += read.await.unwrap();
    }
    rows
}

fn offset(current: u64) -> Offset {
    serde_json::json!({ "current": current }).into()
}

/// `sandbar demo-api` in a process of its own.
struct Api {
    process: Child,
    url: String,
}

impl Api {
    fn start(rows: u64) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/sandbar");
        let mut process = Command::new(program)
            .args(["demo-api", "--port", "0", "--rows", &rows.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo build --release --bin sandbar comes first");
        let mut url = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
