use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use sandbar_runtime::{Offset, PipelineFile, RunSummary, Runtime, Trigger};

use crate::CliError;
use crate::args::{DemoArguments, ProgressFormat};
use crate::commands::{load, next_start};
use crate::demo_api::{DemoApi, DemoApiOptions};
use crate::output::{count, plural, print};
use crate::progress::ProgressOutput;
use crate::signals::stop_on_signals;

const PIPELINE_FILE: &str = "comments.toml";
/// Comments that appear between the first run and the second.
const GROWTH: u64 = 7;

/// The main job, with an API of its own.
pub(crate) async fn execute(arguments: DemoArguments) -> Result<(), CliError> {
    let failed = |context: String| move |source| CliError::Io { context, source };
    let folder = &arguments.dir;
    std::fs::create_dir_all(folder).map_err(failed(format!(
        "the folder {} can't be created",
        folder.display()
    )))?;
    let port = earlier_port(folder);
    let api = DemoApi::start(DemoApiOptions {
        port: port.unwrap_or(0),
        ..DemoApiOptions::default()
    })
    .await
    .map_err(failed(match port {
        Some(port) => format!(
            "the API of the earlier demo in {} was at 127.0.0.1:{port}, and can't be served there again; choose another \
             folder with --dir",
            folder.display()
        ),
        None => "the API can't be served on 127.0.0.1".into(),
    }))?;
    let path = write_pipeline_file(folder, &api, arguments.rows)?;
    let runtime = super::runtime()?;
    let file = load(&path)?;

    // A demo that ran here before goes on where it ended: its rows are there already.
    let before = runtime.status(&file, 0).await?;
    let read = before.offset.as_ref().and_then(|o| o.value()["current"].as_u64());
    api.add_rows(arguments.rows.max(read.unwrap_or(0)));
    print(&format!(
        "1. An API on this machine serves {} at {}\n",
        plural(api.rows(), "comment", "comments"),
        api.url()
    ))?;
    if before.batch > 0 {
        print(&format!(
            "   The table is there from an earlier demo: {} batches, next at {}\n",
            count(before.batch),
            before.offset.as_ref().map_or_else(String::new, Offset::shown)
        ))?;
    }

    let first = run(&runtime, &file).await?;
    print(&format!("2. First run:  {}\n", brought(&first)))?;
    if first.stopped {
        return Ok(());
    }
    api.add_rows(GROWTH);
    print(&format!(
        "3. The API grows by {}\n",
        plural(GROWTH, "comment", "comments")
    ))?;
    let second = run(&runtime, &file).await?;
    print(&format!("4. Second run: {}\n", brought(&second)))?;
    let api_command = format!("sandbar demo-api --port {} --rows {}", api.port(), api.rows());
    api.stop().await;

    let rows = runtime.table_rows(&file, 5).await?.unwrap_or_default();
    print(&format!("\nSome rows of the table:\n{}\n", preview(&rows)))?;
    print(&places(folder, &path, &api_command))?;
    Ok(())
}

async fn run(runtime: &Runtime, file: &PipelineFile) -> Result<RunSummary, CliError> {
    let stop = stop_on_signals().map_err(|source| CliError::Io {
        context: "signals can't be watched".into(),
        source,
    })?;
    let progress = ProgressOutput::new(ProgressFormat::Auto);
    let pipeline = Arc::new(runtime.open(file).await?);
    let observer = progress.observer(&file.config().name);
    Ok(pipeline.run(Trigger::AvailableNow, observer, stop).await?)
}

/// Where an earlier demo in this folder served its API. A pipeline does not go on with another one.
fn earlier_port(folder: &Path) -> Option<u16> {
    let earlier = PipelineFile::load(&folder.join(PIPELINE_FILE)).ok()?;
    let url = earlier.config().source.options.get("api_url")?.as_str()?;
    url.strip_prefix("http://127.0.0.1:")?
        .split('/')
        .next()?
        .parse()
        .ok()
}

fn brought(summary: &RunSummary) -> String {
    if summary.batches == 0 {
        return format!("nothing new, {}", next_start(summary));
    }
    let version = summary.revision.map_or_else(String::new, |v| v.to_string());
    format!(
        "{} in {}; table version {version}, {}",
        plural(summary.rows, "row", "rows"),
        plural(summary.batches, "batch", "batches"),
        next_start(summary)
    )
}

fn write_pipeline_file(folder: &Path, api: &DemoApi, rows: u64) -> Result<PathBuf, CliError> {
    let path = folder.join(PIPELINE_FILE);
    // Five batches or so, whatever the size.
    let rows_per_batch = (rows / 5).clamp(10, 100_000);
    let page_size = rows_per_batch.min(1_000);
    let text = format!(
        r#"# Written by `sandbar demo`, whose API is gone with it. To run this file again, serve one at the same address, with at
# least as many rows as the table has:
#     sandbar demo-api --port {port} --rows 1000
name = "comments"

[source]
component = "comments"

[source.options]
api_url = "{url}"
rows_per_batch = {rows_per_batch}
page_size = {page_size}

[source.grants]
http = ["{origin}"]

[sink]
table = "comments"
ingested_at = "current_ts"

[checkpoint]
location = "_checkpoints/comments"

[trigger]
interval = "10s"
"#,
        port = api.port(),
        url = api.url(),
        origin = api.origin(),
    );
    std::fs::write(&path, text).map_err(|source| CliError::Io {
        context: format!("{} can't be written", path.display()),
        source,
    })?;
    Ok(path)
}

fn preview(rows: &[RecordBatch]) -> String {
    // Comments are long; a terminal is not wide.
    let short = |text: String| {
        let text = text.replace('\n', " ");
        match text.char_indices().nth(28) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    };
    let mut lines = vec![];
    for batch in rows {
        if lines.is_empty() {
            let names = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
            lines.push(names);
        }
        let options = arrow_cast::display::FormatOptions::default();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                let shown = arrow_cast::display::ArrayFormatter::try_new(column, &options);
                shown.map_or_else(|_| String::new(), |shown| short(shown.value(row).to_string()))
            });
            lines.push(cells.collect());
        }
    }
    crate::output::columns(&lines)
}

fn places(folder: &Path, file: &Path, api_command: &str) -> String {
    let shown = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    let rows = [
        vec!["pipeline file".into(), shown(file.to_owned())],
        vec!["Delta table".into(), shown(folder.join("comments"))],
        vec![
            "progress note".into(),
            shown(folder.join("_checkpoints/comments/source/progress.json")),
        ],
    ];
    format!(
        "{}\nGo on with:  sandbar status {file}\n             {api_command} &\n             sandbar run {file}\n",
        crate::output::columns(&rows),
        file = file.display()
    )
}
