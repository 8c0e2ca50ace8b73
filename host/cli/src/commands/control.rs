//! The commands that speak to a run: `start`, `stop`, `pause`, `resume`, `reload`, `swap`.

use std::path::Path;

use sandbar_runtime::Reference;
use serde_json::Value;

use crate::CliError;
use crate::args::{ControlArguments, PipelineArguments, ReloadArguments, SwapArguments};
use crate::commands::load;
use crate::control::{Request, RequestKind, Response, ask};
use crate::output::{plain, print_json, say};

/// Lets a run do something with one pipeline.
pub(crate) async fn execute(arguments: PipelineArguments, kind: RequestKind) -> Result<(), CliError> {
    let done = match kind {
        RequestKind::Start => "started",
        RequestKind::Stop => "stopped",
        RequestKind::Pause => "paused",
        _ => "goes on",
    };
    let name = name_of(&arguments.pipeline)?;
    send(Some(name.clone()), kind, &arguments.control).await?;
    say(&format!("{name}: {done}"));
    Ok(())
}

/// Lets a run read its pipeline files again.
pub(crate) async fn reload(arguments: ReloadArguments) -> Result<(), CliError> {
    let answer = send(None, RequestKind::Reload, &arguments.control).await?;
    match answer["changes"].as_array().map(Vec::as_slice) {
        None | Some([]) => say("nothing changed"),
        Some(changes) => changes
            .iter()
            .filter_map(Value::as_str)
            .for_each(|change| say(&plain(change))),
    }
    Ok(())
}

/// Lets a run read a pipeline with another version of its component.
pub(crate) async fn swap(arguments: SwapArguments) -> Result<(), CliError> {
    let name = name_of(&arguments.pipeline)?;
    let kind = RequestKind::Swap {
        reference: absolute(&arguments.reference)?,
        again: arguments.again,
        reason: arguments.reason.unwrap_or_default(),
    };
    let answer = send(Some(name.clone()), kind, &arguments.control).await?;
    if arguments.json {
        return print_json(&answer);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    say(&plain(&match answer.get("unchanged") {
        Some(digest) => format!("{name}: reads with that version already ({})", text(digest)),
        None => {
            let (from, to) = (&answer["from"], &answer["to"]);
            format!(
                "{name}: {} {} took over from {} after batch {}, on probation ({}); the pause was {:.1} ms",
                text(&to["name"]),
                text(&to["version"]),
                text(&from["version"]),
                answer["after_batch"],
                text(&to["digest"]),
                answer["pause_ms"].as_f64().unwrap_or_default(),
            )
        }
    }));
    Ok(())
}

async fn send(
    pipeline: Option<String>,
    kind: RequestKind,
    arguments: &ControlArguments,
) -> Result<Value, CliError> {
    let request = Request {
        pipeline,
        user: std::env::var("USER").unwrap_or_default(),
        kind,
    };
    match ask(&request, arguments.control.as_deref()).await? {
        Response::Done(value) => Ok(value),
        Response::Pipelines(all) => Ok(all.into()),
        Response::Failed { message, mistake } => {
            say(&format!("error: {}", plain(&message)));
            Err(match mistake {
                true => CliError::ReportedMistake,
                false => CliError::Reported,
            })
        }
    }
}

/// The name of a pipeline, or of the pipeline in a file.
fn name_of(pipeline: &str) -> Result<String, CliError> {
    match pipeline.contains('/') || pipeline.ends_with(".toml") {
        true => Ok(load(Path::new(pipeline))?.config().name.clone()),
        false => Ok(pipeline.to_owned()),
    }
}

/// A path begins in the folder of whoever writes it here, not in that of the pipeline file.
fn absolute(reference: &str) -> Result<String, CliError> {
    let Ok(Reference::Path(path)) = Reference::parse(reference) else {
        return Ok(reference.to_owned());
    };
    let path = std::path::absolute(path).map_err(|source| CliError::Io {
        context: reference.to_owned(),
        source,
    })?;
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(CliError::Usage(format!("{reference:?}: its path is not UTF-8"))),
    }
}
