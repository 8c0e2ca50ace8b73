use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sandbar_runtime::{BatchId, BatchReport, NoopObserver, Offset, PipelineObserver};
use serde::Serialize;

use crate::args::ProgressFormat;
use crate::lines::Lines;
use crate::output::count;

/// Makes the observers of one run.
pub(crate) struct ProgressOutput {
    format: ProgressFormat,
    bars: MultiProgress,
    /// Where JSON lines go.
    lines: Option<Lines>,
}

impl ProgressOutput {
    pub(crate) fn new(format: ProgressFormat) -> Self {
        Self {
            format,
            bars: MultiProgress::new(),
            lines: (format == ProgressFormat::Json).then(|| Lines::new(std::io::stdout())),
        }
    }

    /// Waits until all that was reported is written, unless nobody reads it. Blocks.
    pub(crate) fn finish(&self) {
        if let Some(lines) = &self.lines {
            lines.finish();
        }
    }

    /// An observer of one pipeline.
    pub(crate) fn observer(&self, pipeline: &str) -> Arc<dyn PipelineObserver> {
        match (self.format, &self.lines) {
            (_, Some(lines)) => Arc::new(JsonLines {
                pipeline: pipeline.to_owned(),
                lines: lines.clone(),
            }),
            (ProgressFormat::Auto, _) if std::io::stderr().is_terminal() => {
                Arc::new(Line::new(pipeline, &self.bars))
            }
            _ => NoopObserver::shared(),
        }
    }

    /// Says something on stderr while lines move there: they make way for it.
    pub(crate) fn aside(&self, say: impl FnOnce()) {
        self.bars.suspend(say);
    }
}

/// One JSON line per micro-batch.
struct JsonLines {
    pipeline: String,
    lines: Lines,
}

impl PipelineObserver for JsonLines {
    fn committed(&self, report: &BatchReport) {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        let (times, usage) = (&report.durations, &report.usage);
        let line = serde_json::to_string(&ReportLine {
            batch: report.batch,
            bytes: report.bytes,
            end: &report.end,
            files: report.files,
            latest: report.latest.as_ref(),
            milliseconds: Milliseconds {
                acknowledge: ms(times.acknowledge),
                commit: ms(times.commit),
                decode: ms(usage.decode),
                encode: ms(times.encode),
                guest: ms(usage.guest),
                plan: ms(times.plan),
                read: ms(times.read),
                total: ms(times.total),
            },
            peak_memory: usage.peak_memory,
            pipeline: &self.pipeline,
            requests: usage.requests,
            response_bytes: usage.response_bytes,
            rows: report.rows,
            start: &report.start,
            table_version: report.revision,
        });
        let name = format!("batch {} of {}", report.batch, self.pipeline);
        match line {
            Ok(line) => self.lines.push(&name, line),
            Err(e) => tracing::warn!(error = %e, "the progress of {name} can't be written as JSON"),
        }
    }
}

/// A line of [`JsonLines`]. It is no `json!`: that holds numbers of offsets in 64 bits.
#[derive(Serialize)]
struct ReportLine<'a> {
    batch: BatchId,
    bytes: u64,
    end: &'a Offset,
    files: u64,
    latest: Option<&'a Offset>,
    milliseconds: Milliseconds,
    peak_memory: u64,
    pipeline: &'a str,
    requests: u64,
    response_bytes: u64,
    rows: u64,
    start: &'a Offset,
    table_version: u64,
}

#[derive(Serialize)]
struct Milliseconds {
    acknowledge: f64,
    commit: f64,
    decode: f64,
    encode: f64,
    guest: f64,
    plan: f64,
    read: f64,
    total: f64,
}

/// One line that moves, for each pipeline.
struct Line {
    bar: ProgressBar,
    rows: AtomicU64,
}

impl Line {
    fn new(pipeline: &str, bars: &MultiProgress) -> Self {
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(pipeline.to_owned());
        bar.set_message("starting");
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            rows: AtomicU64::new(0),
        }
    }

    fn show(&self, rest: &str) {
        let rows = count(self.rows.load(Ordering::Relaxed));
        self.bar.set_message(format!("{rows} rows  {rest}"));
    }
}

impl PipelineObserver for Line {
    fn started(&self, last: BatchId, offset: &Offset) {
        self.show(&format!("after batch {last} at {}", offset.shown()));
    }

    fn committed(&self, report: &BatchReport) {
        self.rows.fetch_add(report.rows, Ordering::Relaxed);
        let latest = report
            .latest
            .as_ref()
            .map(|latest| format!(" of {}", latest.shown()));
        let (end, latest) = (report.end.shown(), latest.unwrap_or_default());
        self.show(&format!("batch {} at {end}{latest}", report.batch));
    }

    fn nothing_new(&self, offset: &Offset) {
        self.show(&format!("nothing new at {}", offset.shown()));
    }

    fn retrying(&self, failures: u32, pause: Duration, message: &str) {
        self.show(&format!("try {failures} failed, next in {pause:.1?}: {message}"));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
