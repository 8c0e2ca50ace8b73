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

/// What a commit says of itself, and which data files it brings and takes.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    /// Milliseconds since 1970, by the clock of the writer.
    pub(crate) timestamp: Option<i64>,
    /// What a sandbar pipeline wrote beside; `None` for commits of others.
    pub(crate) note: Option<Note>,
    /// What its writer calls it: `WRITE`, `RESTORE`.
    pub(crate) operation: Option<String>,
    /// The version that a RESTORE goes back to, where it says so.
    pub(crate) restored_to: Option<u64>,
    /// The files that it adds, as the log names them.
    pub(crate) added: Vec<String>,
    /// The files that it removes because their rows go; those that are only written anew are left out.
    pub(crate) removed: Vec<String>,
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
    Ok(Some(parse_commit(version, &text)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<CommitInfo>,
    add: Option<File>,
    remove: Option<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    operation: Value,
    #[serde(default)]
    operation_parameters: Value,
    #[serde(default)]
    sandbar: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    #[serde(default = "changes")]
    data_change: bool,
}

fn changes() -> bool {
    true
}

fn parse_commit(version: u64, text: &[u8]) -> Entry {
    let mut entry = Entry {
        version,
        ..Entry::default()
    };
    let lines = text.split(|byte| *byte == b'\n');
    for line in lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()) {
        if let Some(info) = line.commit_info {
            entry.timestamp = info.timestamp.as_i64();
            entry.note = info.sandbar.as_str().and_then(|text| Note::parse(text).ok());
            entry.operation = info.operation.as_str().map(str::to_owned);
            // Some writers give numbers, others their text.
            let to = &info.operation_parameters["version"];
            entry.restored_to = to.as_u64().or_else(|| to.as_str()?.parse().ok());
        }
        entry.added.extend(line.add.map(|file| file.path));
        let gone = line.remove.filter(|file| file.data_change);
        entry.removed.extend(gone.map(|file| file.path));
    }
    entry
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::txn::to_json;

    #[test]
    fn a_commit_tells_who_made_it() {
        let component = json!({"name": "c", "version": "1", "digest": "d"});
        let note = json!({"pipeline": "p", "batch": 3, "start": null, "end": {"n": 1}, "rows": 2, "component": component, "run": "r"});
        let own = [
            json!({"add": {"path": "a"}}).to_string(),
            json!({"commitInfo": {"timestamp": 7, "sandbar": note.to_string()}}).to_string(),
        ]
        .join("\n");
        let entry = parse_commit(5, own.as_bytes());
        assert_eq!((entry.version, entry.timestamp), (5, Some(7)));
        assert_eq!(entry.added, ["a"]);
        let note = entry.note.unwrap();
        assert_eq!((note.batch.batch, note.run.as_str()), (3, "r"));
        assert_eq!(
            to_json(&note).unwrap(),
            r#"{"pipeline":"p","batch":3,"start":null,"end":{"n":1},"rows":2,"component":{"name":"c","version":"1","digest":"d"},"run":"r"}"#
        );
        let digits = r#"{"at":1700000000.123456789,"id":18446744073709551616}"#;
        let text = to_json(&note).unwrap().replace(r#"{"n":1}"#, digits);
        let note = Note::parse(&text).unwrap();
        assert_eq!(
            (note.batch.end.to_string(), to_json(&note).unwrap()),
            (digits.to_owned(), text)
        );
        for foreign in [
            "",
            "{\"add\":{}}",
            r#"{"commitInfo":{"sandbar":5}}"#,
            r#"{"commitInfo":{"sandbar":"x"}}"#,
        ] {
            assert!(parse_commit(0, foreign.as_bytes()).note.is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_restore_tells_where_it_goes_back_to_and_what_it_takes() {
        for version in [json!(3), json!("3")] {
            let restore = [
                json!({"commitInfo": {"operation": "RESTORE", "operationParameters": {"version": version}}}),
                json!({"remove": {"path": "a", "dataChange": true}}),
                json!({"remove": {"path": "b"}}),
                json!({"remove": {"path": "compacted", "dataChange": false}}),
                json!({"add": {"path": "c", "dataChange": true}}),
            ];
            let text: Vec<_> = restore.iter().map(ToString::to_string).collect();
            let entry = parse_commit(7, text.join("\n").as_bytes());
            assert_eq!(entry.operation.as_deref(), Some("RESTORE"));
            assert_eq!(entry.restored_to, Some(3));
            assert_eq!(
                (entry.removed, entry.added),
                (vec!["a".into(), "b".into()], vec![String::from("c")])
            );
        }
    }
}
