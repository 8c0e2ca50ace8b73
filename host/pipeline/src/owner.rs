use std::sync::atomic::Ordering;

use object_store::PutMode;
use serde::{Deserialize, Serialize};

use crate::{CheckpointError, CheckpointLocation};

const OWNER: &str = "owner.json";
const MAX_OWNER_BYTES: u64 = 64 * 1024;

/// The owner of a checkpoint location: one pipeline, for one table.
///
/// Two pipelines in one location would overwrite each other's notes, and the second one would start after the
/// first one's. So the location says whose it is, in the file `owner.json`, from the moment when a micro-batch of
/// the pipeline is known to be in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointOwner {
    /// The pipeline's name.
    pub pipeline: String,
    /// The table, spelled in one way only.
    pub table: String,
}

impl CheckpointLocation {
    /// Compares the owner with the `visitor`, the pipeline that wants to use the location. `committed` says whether the table holds a micro-batch of that pipeline.
    ///
    /// | owner | in the table | |
    /// |---|---|---|
    /// | none | | a new location, or one of a version that kept no owner, or another program's: its note counts |
    /// | the visitor | a micro-batch | goes on |
    /// | the visitor | nothing | the table was removed or emptied: the note speaks of rows that are gone, and is passed over |
    /// | the same pipeline, another table | a micro-batch | the table was moved |
    /// | the same pipeline, another table | nothing | refused: the note speaks of the other table |
    /// | another pipeline | | refused |
    ///
    /// Returns whether the location says already that it belongs to the visitor.
    ///
    /// # Errors
    /// [`CheckpointError::Foreign`] as above; [`CheckpointError::Store`] and [`CheckpointError::Damaged`] when the file
    /// can't be read.
    pub async fn admit(&self, visitor: &CheckpointOwner, committed: bool) -> Result<bool, CheckpointError> {
        let owner = self.load_owner().await?;
        let claimed = owner.as_ref() == Some(visitor);
        self.judge(owner, visitor, committed)?;
        Ok(claimed)
    }

    fn judge(
        &self,
        owner: Option<CheckpointOwner>,
        visitor: &CheckpointOwner,
        committed: bool,
    ) -> Result<(), CheckpointError> {
        let Some(owner) = owner else {
            return Ok(());
        };
        if owner.pipeline != visitor.pipeline || (owner.table != visitor.table && !committed) {
            return Err(CheckpointError::Foreign {
                location: self.to_string(),
                file: self.full(OWNER),
                owner: Box::new(owner),
            });
        }
        self.own_note_outdated.store(!committed, Ordering::Relaxed);
        Ok(())
    }

    /// Writes down whose the location is, unless it says so already.
    ///
    /// # Errors
    /// [`CheckpointError::Foreign`] when it has become another pipeline's; [`CheckpointError::Store`] and
    /// [`CheckpointError::Damaged`] when the file can't be read or written.
    pub(crate) async fn claim(&self, owner: &CheckpointOwner) -> Result<(), CheckpointError> {
        let found = self.load_owner().await?;
        if found.as_ref() == Some(owner) {
            return Ok(());
        }
        self.judge(found, owner, true)?;
        let text = serde_json::to_string(owner).map_err(|e| CheckpointError::Damaged {
            path: self.full(OWNER),
            reason: e.to_string(),
        })?;
        self.put(OWNER, text, PutMode::Overwrite).await
    }

    async fn load_owner(&self) -> Result<Option<CheckpointOwner>, CheckpointError> {
        let Some(text) = self.read_text(OWNER, MAX_OWNER_BYTES).await? else {
            return Ok(None);
        };
        let owner = serde_json::from_str(&text).map_err(|e| CheckpointError::Damaged {
            path: self.full(OWNER),
            reason: e.to_string(),
        })?;
        Ok(Some(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Remedy;

    fn owner(pipeline: &str, table: &str) -> CheckpointOwner {
        CheckpointOwner {
            pipeline: pipeline.into(),
            table: table.into(),
        }
    }

    #[tokio::test]
    async fn a_location_belongs_to_the_pipeline_that_committed_first() {
        let location = CheckpointLocation::memory();
        location.admit(&owner("a", "t"), false).await.unwrap();
        location.claim(&owner("a", "t")).await.unwrap();
        location.admit(&owner("a", "t"), true).await.unwrap();
        let error = location.admit(&owner("b", "t"), true).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(r#"belongs to the pipeline "a""#), "{said}");
        let file = "memory://owner.json".to_owned();
        assert_eq!(
            error.remedies(),
            [Remedy::MoveCheckpointLocation, Remedy::RemoveOwner { file }]
        );
        assert!(location.claim(&owner("b", "u")).await.is_err());
        assert_eq!(location.load_owner().await.unwrap(), Some(owner("a", "t")));
    }

    #[tokio::test]
    async fn a_table_that_was_moved_takes_its_location_along_and_a_new_one_does_not() {
        let location = CheckpointLocation::memory();
        location.claim(&owner("a", "t")).await.unwrap();
        assert!(location.admit(&owner("a", "u"), false).await.is_err());
        location.claim(&owner("a", "u")).await.unwrap();
        location.admit(&owner("a", "u"), false).await.unwrap();
    }

    #[tokio::test]
    async fn the_note_of_a_table_that_is_gone_is_passed_over_until_the_next_one() {
        let location = CheckpointLocation::memory();
        location.save_note(r#"{"current":300}"#).await.unwrap();
        let beside = location.clone();
        location.admit(&owner("a", "t"), false).await.unwrap();
        assert!(
            beside.load_note().await.unwrap().is_some(),
            "nobody's: it is taken up"
        );
        location.claim(&owner("a", "t")).await.unwrap();
        location.admit(&owner("a", "t"), false).await.unwrap();
        assert_eq!(beside.load_note().await.unwrap(), None);
        beside.save_note(r#"{"current":10}"#).await.unwrap();
        assert!(location.load_note().await.unwrap().is_some());
    }
}
