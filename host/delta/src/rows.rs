use std::sync::Arc;

use arrow_array::RecordBatch;
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::{Engine, KernelError, SnapshotRef};
use sandbar_pipeline::SinkError;

use crate::engine::Table;
use crate::error::kernel_error;
use crate::{DeltaOptions, DeltaSink};

impl DeltaSink {
    /// As [`SinkFactory::first_rows`](sandbar_pipeline::SinkFactory::first_rows). Files are opened only until there are
    /// enough rows.
    pub(crate) async fn first_rows(
        options: &DeltaOptions,
        limit: usize,
    ) -> Result<Option<Vec<RecordBatch>>, SinkError> {
        let table = Table::new(options)?;
        let Some(snapshot) = table.load(None).await? else {
            return Ok(None);
        };
        let read = table.run(move |table| scan(table, snapshot, limit)).await?;
        read.map(Some)
            .map_err(|e| kernel_error(format!("can't read rows of the table {}", table.root), e))
    }
}

fn scan(table: &Table, snapshot: SnapshotRef, limit: usize) -> Result<Vec<RecordBatch>, KernelError> {
    let engine: Arc<dyn Engine> = table.engine.clone();
    let scan = snapshot.scan_builder().build()?;
    let mut rows = vec![];
    let mut left = limit;
    for data in scan.execute(engine)? {
        if left == 0 {
            break;
        }
        let batch = data?.try_into_record_batch()?;
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        rows.push(batch);
    }
    Ok(rows)
}
