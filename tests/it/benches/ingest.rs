//! Measures the program as its users run it: `cargo bench --workspace --bench ingest [-- million|keys|small|idle|age|beside|floods]`.
//!
//! The API is `sandbar demo-api`, in a process of its own on the same machine. Each figure is the median of
//! several runs; ratios within one line are more telling than single figures on a busy machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, and stops when something fails"
)]

#[path = "common.rs"]
mod common;
#[path = "ingest/floods.rs"]
mod floods;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use common::{Api, median, number, sandbar};

const RUNS: usize = 5;

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if asked("million") {
        million();
    }
    if asked("keys") {
        keys();
    }
    if asked("small") {
        small();
    }
    if asked("idle") {
        idle();
    }
    if asked("age") {
        age();
    }
    if asked("beside") {
        beside();
    }
    if asked("floods") {
        floods::floods();
    }
}

/// 1,000,000 comments in pages of 1,000 into a new table.
fn million() {
    const ROWS: u64 = 1_000_000;
    let api = Api::start(ROWS);
    println!("million: {ROWS} comments, pages of 1,000, 100,000 a batch, 4 partitions at once");
    let mut runs: Vec<Run> = (0..RUNS)
        .map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let file = pipeline(folder.path(), &api, 100_000, 1_000);
            let run = run(&file);
            assert_eq!(run.sum("rows"), ROWS as f64);
            run
        })
        .collect();
    runs.sort_by_key(|run| run.wall);
    let run = &runs[RUNS / 2];
    let seconds = run.wall.as_secs_f64();
    let json = run.sum("response_bytes") / 1e6;
    println!(
        "  start to exit   {:.2} s ({:.2} to {:.2})",
        seconds,
        runs[0].wall.as_secs_f64(),
        runs[RUNS - 1].wall.as_secs_f64()
    );
    println!("  rows/s          {:.0}", ROWS as f64 / seconds);
    println!("  JSON            {:.0} MB, {:.0} MB/s", json, json / seconds);
    println!("  peak memory     {} MB", run.peak_kb / 1024);
    println!("  table           {:.1} MB", run.sum("bytes") / 1e6);
    let stages = ["guest", "decode", "encode", "commit", "acknowledge"];
    let total: f64 = stages.iter().map(|stage| run.milliseconds(stage)).sum();
    for stage in stages {
        let ms = run.milliseconds(stage);
        println!("  {stage:15} {ms:.0} ms, {:.0} % of these", 100.0 * ms / total);
    }
}

/// What it costs to see that no key comes twice, on the same million rows.
fn keys() {
    const ROWS: u64 = 1_000_000;
    let api = Api::start(ROWS);
    println!("keys: {ROWS} comments with their keys compared, and not");
    let (mut with, mut without) = (vec![], vec![]);
    for _ in 0..RUNS {
        for (walls, more) in [(&mut with, ""), (&mut without, "key = []\n")] {
            let folder = tempfile::tempdir().unwrap();
            let run = run(&pipeline_with(folder.path(), &api, 100_000, 1_000, more));
            assert_eq!(run.sum("rows"), ROWS as f64);
            walls.push(run.wall.as_secs_f64());
        }
    }
    let (with, without) = (median(with), median(without));
    println!("  compared        {with:.2} s");
    println!("  not compared    {without:.2} s, ratio {:.3}", with / without);
}

/// 50 batches of 10 rows.
fn small() {
    let api = Api::start(500);
    let mut walls = vec![];
    let mut totals = vec![];
    for _ in 0..RUNS {
        let folder = tempfile::tempdir().unwrap();
        let run = run(&pipeline(folder.path(), &api, 10, 10));
        assert_eq!(run.batches.len(), 50);
        walls.push(run.wall.as_secs_f64());
        totals.push(run.milliseconds("total") / 50.0);
    }
    println!("small: 50 batches of 10 rows");
    println!("  start to exit   {:.3} s", median(walls));
    println!("  a batch         {:.1} ms", median(totals));
}

/// A run that finds nothing new.
fn idle() {
    let api = Api::start(500);
    let folder = tempfile::tempdir().unwrap();
    let file = pipeline(folder.path(), &api, 100, 100);
    run(&file);
    let walls = (0..2 * RUNS)
        .map(|_| {
            let run = run(&file);
            assert!(run.batches.is_empty());
            run.wall.as_secs_f64() * 1e3
        })
        .collect();
    println!("idle: nothing new");
    println!("  start to exit   {:.0} ms", median(walls));
}

/// Whether a batch costs more as its table grows older.
fn age() {
    let api = Api::start(20_000);
    let folder = tempfile::tempdir().unwrap();
    let run = run(&pipeline(folder.path(), &api, 10, 10));
    assert_eq!(run.batches.len(), 2_000);
    println!("age: 2,000 batches of 10 rows into one table");
    for stage in ["total", "commit"] {
        let of = |range: std::ops::Range<usize>| {
            median(
                run.batches[range]
                    .iter()
                    .map(|b| number(&b["milliseconds"][stage]))
                    .collect(),
            )
        };
        let (young, old) = (of(0..100), of(1_900..2_000));
        println!(
            "  {stage:15} batches 1-100 {young:.2} ms, 1,901-2,000 {old:.2} ms, ratio {:.2}",
            old / young
        );
    }
    println!("  peak memory     {} MB", run.peak_kb / 1024);
}

/// Whether a pipeline keeps its pace beside components that do nothing but harm, in one process.
fn beside() {
    const ROWS: u64 = 300_000;
    let api = Api::start(ROWS);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hostile.wasm"), sandbar_hostile::COMPONENT).unwrap();
    println!("beside: {ROWS} comments beside a component that computes, fills memory or logs without end");
    let harm = |mode: &str, number: u64| {
        let file = folder.path().join(format!("hostile-{mode}-{number}.toml"));
        let text = format!(
            "name = \"hostile-{mode}-{number}\"\n[source]\ncomponent = \"./hostile.wasm\"\n[source.options]\n\
             mode = \"{mode}\"\nat = \"open\"\n[source.limits]\ncpu = \"60s\"\n\
             [sink]\ntable = \"hostile\"\n[checkpoint]\nlocation = \"hostile-{mode}-{number}\"\n"
        );
        std::fs::write(&file, text).unwrap();
        file
    };
    let pace = |others: &[std::path::PathBuf]| {
        let walls = (0..RUNS).map(|_| {
            let folder = tempfile::tempdir().unwrap();
            let file = pipeline(folder.path(), &api, 100_000, 1_000);
            let began = Instant::now();
            let mut process = Command::new(sandbar())
                .args(["run", "--available-now", "--progress", "json"])
                .arg(&file)
                .args(others)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // What counts is the healthy pipeline's last batch; the others go on until their limit.
            let mut rows = 0.0;
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            while rows < ROWS as f64 {
                let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                rows += number(&line["rows"]);
            }
            let took = began.elapsed();
            let _ = process.kill();
            let _ = process.wait();
            took.as_secs_f64()
        });
        median(walls.collect())
    };
    let alone = pace(&[]);
    println!("  alone           {alone:.2} s");
    for mode in ["spin", "allocate", "log"] {
        for count in [1, 4] {
            let others: Vec<_> = (0..count).map(|number| harm(mode, number)).collect();
            let wall = pace(&others);
            println!("  {count} x {mode:11} {wall:.2} s, ratio {:.2}", wall / alone);
        }
    }
}

fn pipeline(folder: &Path, api: &Api, rows_per_batch: u64, page_size: u64) -> std::path::PathBuf {
    pipeline_with(folder, api, rows_per_batch, page_size, "")
}

/// The same with more keys for `[source]`.
fn pipeline_with(
    folder: &Path,
    api: &Api,
    rows_per_batch: u64,
    page_size: u64,
    more: &str,
) -> std::path::PathBuf {
    let file = folder.join("bench.toml");
    let origin = api.url.trim_end_matches("/comments");
    let text = format!(
        "name = \"bench\"\n[source]\ncomponent = \"comments\"\n{more}[source.options]\napi_url = \"{}\"\n\
         rows_per_batch = {rows_per_batch}\npage_size = {page_size}\n[source.grants]\nhttp = [\"{origin}\"]\n\
         [sink]\ntable = \"table\"\n[checkpoint]\nlocation = \"checkpoint\"\n",
        api.url
    );
    std::fs::write(&file, text).unwrap();
    file
}

struct Run {
    wall: Duration,
    peak_kb: u64,
    batches: Vec<Value>,
}

impl Run {
    fn sum(&self, field: &str) -> f64 {
        self.batches.iter().map(|batch| number(&batch[field])).sum()
    }

    fn milliseconds(&self, stage: &str) -> f64 {
        self.batches
            .iter()
            .map(|batch| number(&batch["milliseconds"][stage]))
            .sum()
    }
}

fn run(file: &Path) -> Run {
    let began = Instant::now();
    let mut process = Command::new(sandbar())
        .args(["run", "--available-now", "--progress", "json"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = process.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    // The high-water mark is gone with the process, so it is read while there is one.
    let status = format!("/proc/{}/status", process.id());
    let mut peak_kb = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let mark = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse().ok());
        peak_kb = peak_kb.max(mark.unwrap_or(0));
        if let Some(ended) = process.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let wall = began.elapsed();
    assert!(ended.success(), "{ended}");
    let batches = reader
        .join()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Run {
        wall,
        peak_kb,
        batches,
    }
}
