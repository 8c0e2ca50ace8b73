use sandbar_delta::DeltaSink;
use serde::Serialize;

use crate::config::PipelineFile;
use crate::open::OpenPipeline;
use crate::{Host, RuntimeError};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct CheckItem {
    /// What: `component`, `remote`, `table` and so on.
    pub name: &'static str,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What was found out about one thing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "result", content = "message")]
pub enum Finding {
    /// It is as it should be.
    Ok(String),
    /// It is not.
    Failed(String),
}

impl Host {
    /// Finds out everything that can be known without reading rows. The table is not touched; in the
    /// checkpoint location a file is written and removed.
    ///
    /// # Errors
    /// What makes further looking senseless: the file, the component, its options.
    pub async fn check(&self, file: &PipelineFile) -> Result<Vec<CheckItem>, RuntimeError> {
        let open = self.open(file).await?;
        let id = open.connector().id();
        let schema = open.schema();
        let columns: Vec<_> = schema
            .fields()
            .iter()
            .map(|f| format!("{} {}", f.name(), f.data_type()))
            .collect();
        let ok = |name, message| CheckItem {
            name,
            finding: Finding::Ok(message),
        };
        Ok(vec![
            ok("file", format!("{} is well-formed", file.path().display())),
            ok("component", format!("{} {} ({})", id.name, id.version, id.digest)),
            ok("options", "fit the component's schema".into()),
            ok("grants", granted(&open)),
            ok("schema", columns.join(", ")),
            check_remote(&open).await,
            check_table(&open).await?,
            check_checkpoint(&open).await,
        ])
    }
}

impl Finding {
    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

fn granted(open: &OpenPipeline) -> String {
    let grants = &open.file.config().source.grants;
    let wants_http = open
        .connector()
        .imports()
        .iter()
        .any(|i| i.name.starts_with("wasi:http/"));
    let private = if grants.private_network {
        ", private addresses included"
    } else {
        ""
    };
    match (grants.http.is_empty(), wants_http) {
        (true, true) => "none, although the component imports HTTP".into(),
        (true, false) => "none, and the component asks for none".into(),
        (false, _) => format!("GET and HEAD to {}{private}", grants.http.join(", ")),
    }
}

async fn check_remote(open: &OpenPipeline) -> CheckItem {
    let finding = match open.source.check().await {
        Ok(()) => Finding::Ok("answers".into()),
        Err(e) => Finding::Failed(e.to_string()),
    };
    CheckItem {
        name: "remote",
        finding,
    }
}

async fn check_table(open: &OpenPipeline) -> Result<CheckItem, RuntimeError> {
    let location = open.file.table_location();
    let finding = match DeltaSink::check(open.delta_options()?, &open.schema()).await {
        Ok(check) => {
            let offset = match check.carries_offset {
                true => "carries the offset",
                false => "the offset goes to the checkpoint location",
            };
            Finding::Ok(match check.version {
                Some(version) => format!("{location} at version {version} takes these rows; {offset}"),
                None => format!("{location} will be created; {offset}"),
            })
        }
        Err(e) => Finding::Failed(e.to_string()),
    };
    Ok(CheckItem {
        name: "table",
        finding,
    })
}

async fn check_checkpoint(open: &OpenPipeline) -> CheckItem {
    let finding = match open.checkpoint.probe().await {
        Ok(()) => Finding::Ok(format!("{} can be written", open.checkpoint)),
        Err(e) => Finding::Failed(e.to_string()),
    };
    CheckItem {
        name: "checkpoint",
        finding,
    }
}
