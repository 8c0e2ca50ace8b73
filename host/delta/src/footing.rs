use std::sync::Arc;

use delta_kernel::{Snapshot, SnapshotRef};
use futures::future::try_join;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sandbar_pipeline::{SinkError, with_causes};

use crate::engine::Table;
use crate::error::store_error;
use crate::history::turned_back;
use crate::store::tag_of;

/// Files that are looked for at once.
const PARALLEL: usize = 8;

/// The marks by which a commit knows that the table is still the one, in the state, that it builds on.
///
/// The kernel does not ask: reading on from a state gives that state back when the log lists nothing newer, also when
/// it lists nothing at all. And a log entry can be put where there is nothing before it.
///
/// | file | asked for | shows |
/// |---|---|---|
/// | tip: the entry of the version that the commit follows | just before the commit | a table that was removed, replaced or cut back |
/// | tip | just after it | the same, while the commit was on its way |
/// | foot: the oldest file that a reader of the table needs | just after it | a removal that goes on file by file |
///
/// Each is one request for a file's tag, the last two at once, and only an answer that is not as expected costs more.
/// What stays is a removal that has listed the log already and reaches these files later: the log entry that was put
/// meanwhile is left over then, and the next commit or the next start finds that there is nothing below it.
#[derive(Clone, Debug)]
pub(crate) struct Footing {
    /// The table's id: another table at the same place has another one.
    id: String,
    /// The version that it is about.
    pub(crate) version: u64,
    tip: Mark,
    foot: Mark,
}

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    path: Path,
    /// `None` for a file that is not there.
    tag: Option<String>,
}

impl Footing {
    /// Asks for both files of a state that was just read.
    pub(crate) async fn learn(table: &Table, snapshot: &Snapshot) -> Result<Self, SinkError> {
        let tip = table.commit_path(snapshot.version())?;
        let foot = foot_of(table, snapshot)?;
        let (tip, foot) = try_join(Mark::learn(table, tip), Mark::learn(table, foot)).await?;
        if let Some(tag) = &tip.tag {
            table.tags.note(&tip.path, tag.clone());
        }
        Ok(Self {
            id: id_of(snapshot),
            version: snapshot.version(),
            tip,
            foot,
        })
    }

    /// The footing that a commit of ours gives, without a request where the store returned the new entry's tag.
    pub(crate) async fn after_commit(
        before: Option<&Self>,
        table: &Table,
        snapshot: &Snapshot,
    ) -> Result<Self, SinkError> {
        let path = table.commit_path(snapshot.version())?;
        let tip = match table.tags.get(&path) {
            Some(tag) => Mark { path, tag: Some(tag) },
            None => Mark::learn(table, path).await?,
        };
        Ok(Self {
            id: id_of(snapshot),
            version: snapshot.version(),
            foot: before.map_or_else(|| tip.clone(), |before| before.foot.clone()),
            tip,
        })
    }

    /// Makes sure that the table is as it was, and returns the state to commit on: the given one, or a newer one of the
    /// same table.
    pub(crate) async fn stand(
        &mut self,
        table: &Table,
        snapshot: SnapshotRef,
        pipeline: &str,
    ) -> Result<SnapshotRef, SinkError> {
        if snapshot.version() != self.version {
            self.advance(table, &snapshot, pipeline).await?;
        }
        if self.tip.is_same(table).await? {
            return Ok(snapshot);
        }
        let fresh = self.judge(table).await?;
        self.advance(table, &fresh, pipeline).await?;
        Ok(fresh)
    }

    /// Reads on from a state, or anew if the log is not what that state was read from.
    pub(crate) async fn reload(
        &self,
        table: &Table,
        snapshot: SnapshotRef,
    ) -> Result<SnapshotRef, SinkError> {
        let fresh = match self.tip.is_same(table).await? {
            false => return self.judge(table).await,
            true => table.load(Some(snapshot)).await?,
        };
        match fresh {
            Some(fresh) if id_of(&fresh) == self.id => Ok(fresh),
            _ => self.judge(table).await,
        }
    }

    /// After a commit: whether the log is still whole below it. `Err` says what happened to it.
    ///
    /// A commit must not become an error because of what can't be seen.
    pub(crate) async fn bears(&mut self, table: &Table, committed: u64) -> Result<(), SinkError> {
        match try_join(self.tip.is_same(table), self.foot.is_same(table)).await {
            Ok((true, true)) => return Ok(()),
            Ok(_) => {}
            Err(e) => {
                tracing::debug!(error = %with_causes(&e), "whether the table is whole after a commit will be seen at the next one");
                return Ok(());
            }
        }
        let fresh = match table.try_load().await {
            Ok(fresh) => fresh,
            Err(e) if e.is_transient() => {
                tracing::debug!(error = %e, "whether the table is whole after a commit will be seen at the next one");
                return Ok(());
            }
            Err(e) => return Err(self.changed(table, &format!("can't be read any more ({e})"))),
        };
        let fresh = self.same(table, fresh)?;
        if fresh.version() < committed {
            return Err(self.changed(table, "was cut back"));
        }
        // A log cleanup moved the beginning.
        self.foot = Mark::learn(table, foot_of(table, &fresh)?).await?;
        Ok(())
    }

    /// The table's folder is gone while there was a table in it.
    pub(crate) fn removed(&self, table: &Table) -> SinkError {
        self.changed(table, "was removed")
    }

    /// Reads the table afresh once its newest entry is not the one that it was.
    async fn judge(&self, table: &Table) -> Result<SnapshotRef, SinkError> {
        match table.try_load().await {
            Ok(fresh) => self.same(table, fresh),
            Err(e) if e.is_transient() => Err(e.into_error(table)),
            Err(e) => Err(self.changed(table, &format!("can't be read any more ({e})"))),
        }
    }

    fn same(&self, table: &Table, fresh: Option<SnapshotRef>) -> Result<SnapshotRef, SinkError> {
        match fresh {
            None => Err(self.removed(table)),
            Some(other) if id_of(&other) != self.id => Err(self.changed(
                table,
                &format!(
                    "was replaced by another one (id {}, not {})",
                    id_of(&other),
                    self.id
                ),
            )),
            Some(older) if older.version() < self.version => {
                Err(self.changed(table, &format!("was cut back to version {}", older.version())))
            }
            Some(fresh) => Ok(fresh),
        }
    }

    fn changed(&self, table: &Table, what: &str) -> SinkError {
        SinkError::TableChanged {
            table: table.root.to_string(),
            what: format!(
                "{what} while the pipeline was writing it, at version {}; nothing was committed to what is there now",
                self.version
            ),
        }
    }

    async fn advance(&mut self, table: &Table, to: &SnapshotRef, pipeline: &str) -> Result<(), SinkError> {
        let to = self.same(table, Some(Arc::clone(to)))?;
        if turned_back(table, pipeline, self.version + 1..=to.version()).await? {
            crate::history::refuse_rollback(table, pipeline, to.version(), u64::MAX).await?;
        }
        *self = Self::learn(table, &to).await?;
        Ok(())
    }
}

impl Mark {
    async fn learn(table: &Table, path: Path) -> Result<Self, SinkError> {
        let tag = tag_at(table, &path).await?;
        Ok(Self { path, tag })
    }

    async fn is_same(&self, table: &Table) -> Result<bool, SinkError> {
        let now = tag_at(table, &self.path).await?;
        Ok(now.is_some() && now == self.tag)
    }
}

/// Fails unless the data files of a micro-batch are all there.
pub(crate) async fn find_staged(table: &Table, files: &[Path]) -> Result<(), SinkError> {
    let searches: Vec<_> = files.iter().map(|path| find_one(table, path)).collect();
    stream::iter(searches).buffered(PARALLEL).try_collect().await
}

async fn find_one(table: &Table, path: &Path) -> Result<(), SinkError> {
    match tag_at(table, path).await? {
        Some(_) => Ok(()),
        None => Err(SinkError::TableChanged {
            table: table.root.to_string(),
            what: format!(
                "lost the data file {path} before its commit was done: was its folder removed? Nothing was committed"
            ),
        }),
    }
}

/// Removes data files that no commit will name. What can't be removed stays: no reader sees it.
pub(crate) async fn discard(table: &Table, files: &[Path]) {
    for path in files {
        match table.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(e) => tracing::debug!(%path, error = %e, "a data file that is not needed stays"),
        }
    }
}

/// Takes back a log entry that was put where there is no log below it any more, so that it does not stand in the way
/// of whatever takes the table's place. Returns whether it is gone.
pub(crate) async fn withdraw(table: &Table, version: u64) -> bool {
    let (Ok(path), Ok(next)) = (table.commit_path(version), table.commit_path(version + 1)) else {
        return false;
    };
    // Somebody builds on it: then it is part of a table.
    let followed = !matches!(tag_at(table, &next).await, Ok(None));
    if followed {
        return false;
    }
    let gone = match table.store.delete(&path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => true,
        Err(_) => false,
    };
    // The folders stay if the work breaks off: they are empty.
    let _ = table.run(Table::remove_empty_folders).await;
    gone
}

fn id_of(snapshot: &Snapshot) -> String {
    snapshot.table_configuration().metadata().id().to_owned()
}

/// The oldest file that a reader of this state needs.
fn foot_of(table: &Table, snapshot: &Snapshot) -> Result<Path, SinkError> {
    let files = &snapshot.log_segment().listed;
    let oldest = files
        .checkpoint_parts
        .first()
        .or(files.ascending_commit_files.first());
    match oldest {
        Some(file) => Path::from_url_path(file.location.location.path())
            .map_err(|e| store_error(format!("can't read the table {}", table.root), e)),
        None => table.commit_path(snapshot.version()),
    }
}

/// What changes whenever a file does, `None` when there is no such file.
async fn tag_at(table: &Table, path: &Path) -> Result<Option<String>, SinkError> {
    match table.store.head(path).await {
        Ok(meta) => Ok(Some(tag_of(&meta))),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(store_error(
            format!("can't look at {path} of the table {}", table.root),
            e,
        )),
    }
}
