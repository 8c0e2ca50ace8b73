use sandbar_runtime::{ComponentId, Offset, PastBatch, PipelineStatus, SwapOutcome};

use crate::CliError;
use crate::args::StatusArguments;
use crate::commands::load;
use crate::output::{columns, count, plain, print, print_json};

/// How many micro-batches are listed.
const LISTED: usize = 10;
/// How many micro-batches a history goes back.
const HISTORY: usize = 1000;

/// Shows where each pipeline stands.
pub(crate) async fn execute(arguments: StatusArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    for path in &arguments.files {
        let listed = if arguments.history { HISTORY } else { LISTED };
        let status = runtime.status(&load(path)?, listed).await?;
        match (arguments.json, arguments.history) {
            (true, _) => print_json(&status)?,
            (false, false) => print(&plain(&as_text(&status)))?,
            (false, true) => print(&plain(&history(&status)))?,
        }
    }
    Ok(())
}

fn as_text(status: &PipelineStatus) -> String {
    let shown = |offset: &Option<Offset>| offset.as_ref().map_or("-".to_owned(), Offset::shown);
    let version = match status.table_version {
        Some(version) => format!("{} at version {version}", status.table),
        None => format!("{}, not there yet", status.table),
    };
    let latest = match &status.latest_error {
        Some(error) => format!("not known: {error}"),
        None => shown(&status.latest),
    };
    let mut head = vec![
        vec!["  table".into(), version],
        vec!["  last batch".into(), status.batch.to_string()],
        vec!["  offset".into(), shown(&status.offset)],
        vec!["  latest".into(), latest],
    ];
    if let Some(lag) = status.lag {
        head.push(vec!["  lag".into(), lag.to_string()]);
    }
    if let Some(id) = &status.component {
        head.push(vec!["  component".into(), shown_id(id)]);
    }
    if let Some(probation) = &status.probation {
        head.push(vec![
            "  on probation".into(),
            shown_id(&probation.version.component),
        ]);
    }
    let mut text = format!("{}\n{}", status.pipeline, columns(&head));
    if let Some(reason) = &status.rolled_back {
        text += &format!("\n  a run would refuse to go on: {reason}");
    }
    if !status.batches.is_empty() {
        let titles = ["  batch", "rows", "start", "end", "version", "component"];
        let mut rows = vec![titles.map(String::from).to_vec()];
        rows.extend(status.batches.iter().map(|batch| {
            vec![
                format!("  {}", batch.batch),
                count(batch.rows),
                batch.start.shown(),
                batch.end.shown(),
                batch.table_version.to_string(),
                format!("{} {}", batch.component.name, batch.component.version),
            ]
        }));
        text += &format!("\n{}", columns(&rows));
    }
    text
}

fn shown_id(id: &ComponentId) -> String {
    format!("{} {} ({})", id.name, id.version, id.digest)
}

/// Which version read which micro-batches, the swaps between them, and the versions that failed.
fn history(status: &PipelineStatus) -> String {
    let mut text = format!("{}\n", status.pipeline);
    for run in status.batches.chunk_by(|a, b| a.component == b.component) {
        text += &lineage(run);
    }
    if !status.swaps.is_empty() {
        text += "\n  swaps, newest first\n";
    }
    for swap in status.swaps.iter().rev() {
        let outcome = match &swap.outcome {
            SwapOutcome::OnProbation => "on probation".to_owned(),
            SwapOutcome::Promoted => "promoted".to_owned(),
            SwapOutcome::RolledBack(why) => format!("rolled back: {why}"),
            SwapOutcome::Interrupted(why) => format!("given up: {why}"),
            other => format!("{other:?}"),
        };
        let reason = match swap.reason.as_str() {
            "" => String::new(),
            reason => format!(", {reason}"),
        };
        text += &format!(
            "  {}  {} {} -> {}, after batch {}, by {}{reason}\n      {outcome}\n",
            time(swap.at),
            swap.from.name,
            swap.from.version,
            swap.to.version,
            swap.after_batch,
            swap.by,
        );
    }
    if !status.refused.is_empty() {
        text += "\n  refused; `sandbar swap --again` tries one once more\n";
    }
    for refused in &status.refused {
        text += &format!(
            "  {}  {}: {}\n",
            time(refused.at),
            shown_id(&refused.component),
            refused.reason
        );
    }
    text
}

/// One line for micro-batches that one version read, newest first, and one for the swap before them.
fn lineage(run: &[PastBatch]) -> String {
    let (Some(newest), Some(oldest)) = (run.first(), run.last()) else {
        return String::new();
    };
    let batches = match newest.batch == oldest.batch {
        true => format!("batch {}", newest.batch),
        false => format!("batches {} to {}", oldest.batch, newest.batch),
    };
    let rows: u64 = run.iter().map(|batch| batch.rows).sum();
    let since = oldest.timestamp.map_or_else(|| "-".to_owned(), time);
    let mut text = format!(
        "  {since}  {batches}, {} rows: {}\n",
        count(rows),
        shown_id(&oldest.component)
    );
    if let Some(swap) = &oldest.swap {
        let why = match (swap.rolled_back, swap.by.as_str()) {
            (true, _) => format!("rolled back from {}: {}", swap.from.version, swap.reason),
            (false, by) if swap.reason.is_empty() => format!("swapped from {} by {by}", swap.from.version),
            (false, by) => format!("swapped from {} by {by}: {}", swap.from.version, swap.reason),
        };
        text += &format!("      {why}\n");
    }
    text
}

/// Milliseconds since 1970 as a time in UTC.
fn time(milliseconds: i64) -> String {
    let seconds = u64::try_from(milliseconds).unwrap_or_default() / 1000;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}
