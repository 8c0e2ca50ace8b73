use sandbar_runtime::{Offset, PipelineStatus};

use crate::CliError;
use crate::args::FilesArguments;
use crate::commands::load;
use crate::output::{columns, count, plain, print, print_json};

/// How many micro-batches are listed.
const LISTED: usize = 10;

/// Shows where each pipeline stands.
pub(crate) async fn execute(arguments: FilesArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    for path in &arguments.files {
        let status = runtime.status(&load(path)?, LISTED).await?;
        if arguments.json {
            print_json(&status)?;
        } else {
            print(&plain(&as_text(&status)))?;
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
        head.push(vec![
            "  component".into(),
            format!("{} {} ({})", id.name, id.version, id.digest),
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
