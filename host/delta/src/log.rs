use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use sandbar_pipeline::SinkError;
use serde::Deserialize;
use serde_json::Value;

use crate::engine::Table;
use crate::error::store_error;
use crate::txn::Note;

/// Commits read at once.
const PARALLEL: usize = 8;

/// What a commit says of itself.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    /// Milliseconds since 1970, by the clock of who committed.
    pub(crate) timestamp: Option<i64>,
    /// What a sandbar pipeline wrote beside; `None` for commits of others.
    pub(crate) note: Option<Note>,
}

/// Reads the commits of these versions from the log, in the given order. A version whose file is gone, because
/// the log was cleaned up, gives `None`.
pub(crate) async fn read_commits(
    table: &Table,
    versions: impl IntoIterator<Item = u64>,
) -> Result<Vec<Option<Entry>>, SinkError> {
    let reads: Vec<_> = versions
        .into_iter()
        .map(|version| read_commit(table, version))
        .collect();
    stream::iter(reads).buffered(PARALLEL).try_collect().await
}

async fn read_commit(table: &Table, version: u64) -> Result<Option<Entry>, SinkError> {
    let failed = |e: object_store::Error| {
        store_error(
            format!("can't read version {version} of the table {}", table.root),
            e,
        )
    };
    let text = match table.store.get(&table.commit_path(version)?).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let (timestamp, note) = parse_commit(&text);
    Ok(Some(Entry {
        version,
        timestamp,
        note,
    }))
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    commit_info: CommitInfo,
}

#[derive(Deserialize)]
struct CommitInfo {
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    sandbar: Value,
}

fn parse_commit(text: &[u8]) -> (Option<i64>, Option<Note>) {
    let info = text
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(br#"{"commitInfo""#))
        .find_map(|line| serde_json::from_slice::<Line>(line).ok());
    let Some(Line { commit_info }) = info else {
        return (None, None);
    };
    let note = commit_info
        .sandbar
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    (commit_info.timestamp.as_i64(), note)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_commit_tells_who_made_it() {
        let component = json!({"name": "c", "version": "1", "digest": "d"});
        let note = json!({"pipeline": "p", "batch": 3, "start": null, "end": {"n": 1}, "rows": 2, "component": component, "run": "r"});
        let own = [
            json!({"add": {"path": "a"}}).to_string(),
            json!({"commitInfo": {"timestamp": 7, "sandbar": note.to_string()}}).to_string(),
        ]
        .join("\n");
        let (timestamp, note) = parse_commit(own.as_bytes());
        assert_eq!(timestamp, Some(7));
        let note = note.unwrap();
        assert_eq!((note.batch.batch, note.run.as_str()), (3, "r"));
        for foreign in [
            "",
            "{\"add\":{}}",
            r#"{"commitInfo":{"sandbar":5}}"#,
            r#"{"commitInfo":{"sandbar":"x"}}"#,
        ] {
            assert!(parse_commit(foreign.as_bytes()).1.is_none(), "{foreign}");
        }
    }
}
