use sandbar_runtime::Finding;
use serde_json::json;

use crate::CliError;
use crate::args::FilesArguments;
use crate::commands::load;
use crate::output::{columns, plain, print, print_json};

/// Checks each file as far as it goes without reading rows.
pub(crate) async fn execute(arguments: FilesArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    let mut failed = false;
    for path in &arguments.files {
        let file = load(path)?;
        let items = runtime.check(&file).await?;
        failed |= items.iter().any(|item| !item.finding.is_ok());
        let name = &file.config().name;
        if arguments.json {
            print_json(&json!({ "pipeline": name, "checks": items }))?;
            continue;
        }
        let rows: Vec<_> = items
            .into_iter()
            .map(|item| match item.finding {
                Finding::Ok(message) => vec!["  ok".into(), item.name.into(), message],
                Finding::Failed(message) => vec!["  FAILED".into(), item.name.into(), message],
            })
            .collect();
        print(&plain(&format!("{name}\n{}", columns(&rows))))?;
    }
    if failed { Err(CliError::Reported) } else { Ok(()) }
}
