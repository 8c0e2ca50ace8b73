use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use object_store::ObjectStore;
use sandbar_pipeline::{SinkCheck, SinkError, SinkFactory, SinkState};

use crate::values::check_rows;
use crate::{DeltaOptions, DeltaSink};

/// Opens one Delta table for pipelines, and describes it.
#[derive(Clone)]
pub struct DeltaSinkFactory {
    options: DeltaOptions,
    write_access: Option<Arc<dyn WriteAccess>>,
}

/// Gives the store through which a table is written, where that is not simply the one through which it is read.
#[async_trait]
pub trait WriteAccess: Send + Sync + 'static {
    /// The store, fit for names that are given to one writer only. Finds out first whether it is, if need be.
    ///
    /// # Errors
    /// [`SinkError::NotExclusive`] when it is not, [`SinkError::Store`] when it can't be asked.
    async fn store(&self) -> Result<Arc<dyn ObjectStore>, SinkError>;
}

impl DeltaSinkFactory {
    /// For the table of these options, whose pipeline does not count: each call names its own.
    pub fn new(options: DeltaOptions) -> Self {
        Self {
            options,
            write_access: None,
        }
    }

    /// Asks for the store before the table is opened to be written.
    #[must_use]
    pub fn with_write_access(self, access: Arc<dyn WriteAccess>) -> Self {
        Self {
            write_access: Some(access),
            ..self
        }
    }

    fn options_for(&self, pipeline: &str) -> DeltaOptions {
        DeltaOptions {
            pipeline: pipeline.to_owned(),
            ..self.options.clone()
        }
    }

    async fn writing_options(&self, pipeline: &str) -> Result<DeltaOptions, SinkError> {
        let mut options = self.options_for(pipeline);
        if let Some(access) = &self.write_access {
            options.store = Some(access.store().await?);
        }
        Ok(options)
    }
}

impl SinkFactory for DeltaSinkFactory {
    type Sink = DeltaSink;

    async fn open(&self, pipeline: &str, schema: &SchemaRef) -> Result<DeltaSink, SinkError> {
        DeltaSink::open(self.writing_options(pipeline).await?, schema).await
    }

    async fn check(&self, pipeline: &str, schema: &SchemaRef) -> Result<SinkCheck, SinkError> {
        DeltaSink::check(self.writing_options(pipeline).await?, schema).await
    }

    async fn state(&self, pipeline: &str, limit: usize) -> Result<Option<SinkState>, SinkError> {
        DeltaSink::inspect(&self.options_for(pipeline), limit).await
    }

    async fn first_rows(&self, limit: usize) -> Result<Option<Vec<RecordBatch>>, SinkError> {
        DeltaSink::first_rows(&self.options, limit).await
    }

    fn check_rows(&self, rows: &RecordBatch, before: u64) -> Result<(), String> {
        check_rows(rows, before)
    }
}

impl fmt::Debug for DeltaSinkFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaSinkFactory")
            .field("options", &self.options)
            .field("asks_for_write_access", &self.write_access.is_some())
            .finish()
    }
}
