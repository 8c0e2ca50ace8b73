use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sandbar_pipeline::{Clock, SinkError};
use url::Url;

use crate::error::store_error;

/// Where the end offset of the last micro-batch lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetStorage {
    /// In the table, as domain metadata in the commit that brings the rows. A new table gets the writer
    /// feature `domainMetadata` for it; an existing table without the feature is used as it is.
    #[default]
    Table,
    /// In the checkpoint location's offset log. For tables that delta-rs must be able to write: it refuses to
    /// write a table with `domainMetadata`.
    Checkpoint,
}

/// Which table to append to, and how.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeltaOptions {
    /// The table's folder, such as `file:///data/lake/comments` or `s3://bucket/comments`.
    pub table: Url,
    /// The store that holds it, addressed by the URL's path. May be left out for `file:` URLs, which then get
    /// a local store that syncs files and folders before it answers.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// The pipeline's name: its transactions carry `sandbar/<name>`.
    pub pipeline: String,
    /// Columns to partition a new table by. For an existing table it must be empty or say what the table says.
    pub partition_by: Vec<String>,
    /// A column for the time at which a micro-batch was staged: one value per micro-batch, in microseconds, UTC.
    pub ingested_at: Option<String>,
    /// Where the end offset lives.
    pub progress: OffsetStorage,
    /// Whether columns that the table lacks are added to it, in the commit that brings the first rows with them. Each
    /// may be null. Nothing is ever dropped, renamed or given another type.
    pub evolve: bool,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

impl DeltaOptions {
    /// Appends to `table` for `pipeline`, with everything else as it is by default.
    pub fn new(table: Url, pipeline: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            store: None,
            pipeline: pipeline.into(),
            partition_by: Vec::new(),
            ingested_at: None,
            progress: OffsetStorage::default(),
            evolve: false,
            clock,
        }
    }

    /// Sets the store that holds the table.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn ObjectStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the columns to partition a new table by.
    #[must_use]
    pub fn with_partition_by(mut self, columns: impl IntoIterator<Item = String>) -> Self {
        self.partition_by = columns.into_iter().collect();
        self
    }

    /// Sets the column for the time of staging.
    #[must_use]
    pub fn with_ingested_at(mut self, column: impl Into<String>) -> Self {
        self.ingested_at = Some(column.into());
        self
    }

    /// Sets where the end offset lives.
    #[must_use]
    pub fn with_progress(mut self, progress: OffsetStorage) -> Self {
        self.progress = progress;
        self
    }

    /// Has columns that the table lacks added to it.
    #[must_use]
    pub fn with_evolve(mut self, evolve: bool) -> Self {
        self.evolve = evolve;
        self
    }

    /// The table's URL as the kernel wants it: with a slash at the end.
    pub(crate) fn root(&self) -> Result<Url, SinkError> {
        let mut root = self.table.clone();
        if root.cannot_be_a_base() {
            return Err(store_error(
                format!("can't open the table {:?}", root.as_str()),
                "the URL has no path; use something like file:///data/lake/comments or s3://bucket/comments",
            ));
        }
        if !root.path().ends_with('/') {
            let path = format!("{}/", root.path());
            root.set_path(&path);
        }
        Ok(root)
    }

    pub(crate) fn object_store(&self) -> Result<Arc<dyn ObjectStore>, SinkError> {
        match &self.store {
            Some(store) => Ok(Arc::clone(store)),
            // Without fsync a power cut can leave half a commit, and then nobody can read the table.
            None if self.table.scheme() == "file" => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
            None => Err(store_error(
                format!("can't open the table {}", self.table),
                format!("no object store was given for {}: URLs", self.table.scheme()),
            )),
        }
    }
}

impl fmt::Debug for DeltaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaOptions")
            .field("table", &self.table.as_str())
            .field("pipeline", &self.pipeline)
            .field("partition_by", &self.partition_by)
            .field("ingested_at", &self.ingested_at)
            .field("progress", &self.progress)
            .field("evolve", &self.evolve)
            .finish_non_exhaustive()
    }
}
