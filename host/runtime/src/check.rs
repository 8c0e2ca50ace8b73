use sandbar_pipeline::{SinkFactory, Start};
use serde::Serialize;

use crate::config::PipelineFile;
use crate::open::OpenPipeline;
use crate::{Runtime, RuntimeError};

/// The most streams that are named.
const MAX_STREAMS: usize = 50;

/// How many times of a schedule are shown.
const SHOWN_TIMES: usize = 3;

/// One check.
#[derive(Debug, Serialize)]
pub struct CheckItem {
    /// What was checked: `component`, `remote`, `table` and so on.
    pub name: &'static str,
    /// The result.
    #[serde(flatten)]
    pub finding: Finding,
}

/// The result of one check.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "result", content = "message")]
pub enum Finding {
    /// It is as it should be.
    Ok(String),
    /// It is not.
    Failed(String),
}

impl Runtime {
    /// Checks everything that can be known without reading rows. The table is not touched; in the
    /// checkpoint location, and below a table on S3, a file is written and removed.
    ///
    /// # Errors
    /// As [`Runtime::open`]: without the component and its options nothing else can be checked.
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
        let (table, carries_offset) = self.check_table(&open).await;
        let checkpoint = self.check_checkpoint(&open, carries_offset).await;
        let start = table.finding.is_ok() && checkpoint.finding.is_ok();
        let mut items = vec![
            ok("file", format!("{} is well-formed", file.path().display())),
            ok("component", format!("{} {} ({})", id.name, id.version, id.digest)),
            ok("options", "fit the component's schema".into()),
            ok("grants", granted(&open)),
            self.check_stream(&open).await,
            ok("schema", columns.join(", ")),
            self.check_remote(&open).await,
            table,
            checkpoint,
        ];
        if start {
            items.push(self.check_start(&open).await);
        }
        if let Some(schedule) = &file.config().trigger.schedule {
            let times = schedule.next_times(self.clock().now(), SHOWN_TIMES);
            items.push(ok("trigger", format!("{schedule}: next at {}", times.join(", "))));
        }
        Ok(items)
    }
}

impl Finding {
    /// Whether it is as it should be.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// What becomes of a table that lacks columns, with what separates it from the next statement.
fn added(columns: &[String]) -> String {
    match columns {
        [] => String::new(),
        [column] => format!("1 column will be added: {column}; "),
        columns => format!(
            "{} columns will be added: {}; ",
            columns.len(),
            columns.join(", ")
        ),
    }
}

fn granted<F: SinkFactory>(open: &OpenPipeline<F>) -> String {
    let wants_http = open.connector().wants_http();
    match (open.permissions.is_empty(), wants_http) {
        (true, true) => "none, although the component imports HTTP".into(),
        (true, false) => "none, and the component asks for none".into(),
        (false, _) => open.permissions.join("; "),
    }
}

impl Runtime {
    /// The stream that is read, and the others that these options and grants give access to.
    async fn check_stream<F: SinkFactory>(&self, open: &OpenPipeline<F>) -> CheckItem {
        let options = open.file.config().source.options.clone().into();
        let found = open
            .connector()
            .discover_in(open.source.context(), &options)
            .await;
        let read = &open.source.stream().name;
        let finding = match found {
            Ok(streams) if streams.len() > 1 => {
                let names: Vec<_> = streams
                    .iter()
                    .take(MAX_STREAMS)
                    .map(|stream| &*stream.name)
                    .collect();
                Finding::Ok(format!("{read}, one of {}: {}", streams.len(), names.join(", ")))
            }
            Ok(_) => Finding::Ok(read.clone()),
            Err(e) => Finding::Failed(self.explain(&e.into())),
        };
        CheckItem {
            name: "stream",
            finding,
        }
    }

    async fn check_remote<F: SinkFactory>(&self, open: &OpenPipeline<F>) -> CheckItem {
        let finding = match open.source.check().await {
            Ok(()) => Finding::Ok("answers".into()),
            Err(e) => Finding::Failed(self.explain(&e.into())),
        };
        CheckItem {
            name: "remote",
            finding,
        }
    }

    /// Returns as well whether the table carries the offset.
    async fn check_table<F: SinkFactory>(&self, open: &OpenPipeline<F>) -> (CheckItem, bool) {
        let location = open.file.table_location();
        let found = async {
            let checked = open.sink()?.check(open.name(), &open.schema()).await;
            checked.map_err(|e| open.sink_error(e))
        };
        let (finding, carries_offset) = match found.await {
            Ok(check) => {
                let offset = match check.carries_offset {
                    true => "carries the offset",
                    false => "the offset goes to the checkpoint location",
                };
                let text = match check.revision {
                    Some(version) => {
                        let added = added(&check.added_columns);
                        format!("{location} at version {version} takes these rows; {added}{offset}")
                    }
                    None => format!("{location} will be created; {offset}"),
                };
                (Finding::Ok(text), check.carries_offset)
            }
            Err(e) => (Finding::Failed(self.explain(&e)), true),
        };
        let name = "table";
        (CheckItem { name, finding }, carries_offset)
    }

    /// Where the next micro-batch starts, and why not at the beginning.
    async fn check_start<F: SinkFactory>(&self, open: &OpenPipeline<F>) -> CheckItem {
        let finding = match open.find_start().await {
            Ok(Start {
                batch: 0,
                offset,
                note: Some(note),
            }) => Finding::Ok(format!(
                "at {} because of the progress note {note}; remove that file to start from the beginning",
                offset.shown()
            )),
            Ok(Start { batch: 0, offset, .. }) => {
                Finding::Ok(format!("at {}, the beginning", offset.shown()))
            }
            Ok(Start { batch, offset, .. }) => {
                Finding::Ok(format!("at {}, after batch {batch} in the table", offset.shown()))
            }
            Err(e) => Finding::Failed(self.explain(&e)),
        };
        CheckItem {
            name: "start",
            finding,
        }
    }

    async fn check_checkpoint<F: SinkFactory>(
        &self,
        open: &OpenPipeline<F>,
        carries_offset: bool,
    ) -> CheckItem {
        let found = async {
            let location = open.checkpoint_for(carries_offset).await?;
            location.probe().await?;
            Ok::<_, RuntimeError>(location)
        };
        let finding = match found.await {
            Ok(location) => Finding::Ok(format!("{location} can be written")),
            Err(e) => Finding::Failed(self.explain(&e)),
        };
        CheckItem {
            name: "checkpoint",
            finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_will_be_added_are_counted_and_named() {
        let said = |names: &[&str]| added(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(said(&[]), "");
        assert_eq!(said(&["a"]), "1 column will be added: a; ");
        assert_eq!(said(&["a", "b"]), "2 columns will be added: a, b; ");
    }
}
