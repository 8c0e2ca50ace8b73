use std::path::Path;

use sandbar_runtime::{Connector, RuntimeError, SourceError, StreamInfo};
use serde_json::{Value, json};

use crate::CliError;
use crate::args::InspectArguments;
use crate::output::{columns, count, plain, print, print_json};

/// Shows what a component is. It is instantiated without any grant.
pub(crate) async fn execute(arguments: InspectArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    let connector = runtime
        .load_reference(&arguments.component, Path::new(""))
        .await?;
    // A connector whose streams depend on its options can't tell them here, and that is no error.
    let streams = match connector.discover(&json!({})).await {
        Ok(streams) => Some(streams),
        Err(SourceError::InvalidOptions(_)) => None,
        Err(e) => return Err(RuntimeError::from(e).into()),
    };
    if arguments.json {
        print_json(&as_json(&connector, streams.as_deref()))?;
    } else {
        print(&plain(&as_text(&connector, streams.as_deref())))?;
    }
    Ok(())
}

fn as_json(connector: &Connector, streams: Option<&[StreamInfo]>) -> Value {
    let description = connector.description();
    json!({
        "name": description.name,
        "version": description.version,
        "summary": description.summary,
        "track": connector.track(),
        "digest": connector.id().digest,
        "size": connector.size(),
        "streams": streams,
        "options_schema": description.options_schema,
        "imports": connector.imports(),
    })
}

fn as_text(connector: &Connector, streams: Option<&[StreamInfo]>) -> String {
    let description = connector.description();
    let size = count(connector.size() as u64);
    let head = columns(&[
        vec!["digest".into(), connector.id().digest.clone()],
        vec!["size".into(), format!("{size} bytes")],
        vec!["track".into(), connector.track().into()],
    ]);
    let imports: Vec<_> = connector
        .imports()
        .iter()
        .map(|import| vec![format!("  {}", import.name), import.plain.into()])
        .collect();
    format!(
        "{} {}\n{}\n\n{head}\nstreams\n{}\noptions\n{}\nimports (all that it can ever call; HTTP only to origins that you grant)\n{}",
        description.name,
        description.version,
        description.summary,
        streams_text(streams),
        columns(&options(&description.options_schema)),
        columns(&imports),
    )
}

fn streams_text(streams: Option<&[StreamInfo]>) -> String {
    let Some(streams) = streams else {
        return "  they depend on the options\n".into();
    };
    let rows: Vec<_> = streams
        .iter()
        .map(|stream| {
            let key = match stream.key.is_empty() {
                true => String::new(),
                false => format!("key {}", stream.key.join(", ")),
            };
            vec![format!("  {}", stream.name), stream.summary.clone(), key]
        })
        .collect();
    columns(&rows)
}

fn options(schema: &Value) -> Vec<Vec<String>> {
    let required = |name: &str| {
        let list = schema["required"].as_array();
        list.is_some_and(|list| list.iter().any(|entry| entry == name))
    };
    let mut rows = vec![];
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        let kind = match &option["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                let named = kinds
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|kind| *kind != "null");
                named.collect::<Vec<_>>().join(" or ")
            }
            _ => "any".into(),
        };
        let default = match (required(name), &option["default"]) {
            (true, _) => "required".into(),
            (false, Value::Null) => "optional".into(),
            (false, default) => format!("default {default}"),
        };
        let text = option["description"].as_str().unwrap_or_default();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        rows.push(vec![format!("  {name}"), kind, default, text]);
    }
    rows
}
