use std::sync::Arc;

use arrow_array::RecordBatch;
use sandbar_delta::DeltaSink;
use sandbar_pipeline::{Batches, ReadLimit, Source};

use crate::config::PipelineFile;
use crate::location::CheckpointPlace;
use crate::open::{OpenPipeline, delta_options};
use crate::{Host, RuntimeError};

impl Host {
    /// Reads the first rows that a pipeline would read if it were new. Writes nothing anywhere.
    ///
    /// # Errors
    /// Whatever is wrong with the file or the component, or what the source answers.
    pub async fn preview(
        &self,
        file: &PipelineFile,
        rows: u64,
    ) -> Result<(Arc<arrow_schema::Schema>, Vec<RecordBatch>), RuntimeError> {
        let connector = self.load_for(file).await?;
        let checkpoint = CheckpointPlace::memory();
        let open = OpenPipeline::open(file, connector, checkpoint, self.clock()).await?;
        let batches = read_first(&open, rows).await?;
        Ok((open.schema(), batches))
    }

    /// Reads rows of a pipeline's table, in no particular order. `None` when there is no table.
    ///
    /// # Errors
    /// The table can't be read.
    pub async fn table_rows(
        &self,
        file: &PipelineFile,
        rows: usize,
    ) -> Result<Option<Vec<RecordBatch>>, RuntimeError> {
        let options = delta_options(file, self.clock())?;
        Ok(DeltaSink::first_rows(&options, rows).await?)
    }
}

async fn read_first(open: &OpenPipeline, rows: u64) -> Result<Vec<RecordBatch>, RuntimeError> {
    let source = &open.source;
    let limit = ReadLimit {
        max_rows: Some(rows),
        max_bytes: None,
    };
    let mut first = First {
        left: rows,
        batches: vec![],
    };
    let mut start = source.initial_offset().await?;
    // A source may give less than it is asked for, in many small ranges.
    while first.left > 0 {
        let Some(end) = source.latest_offset(&start, None, limit).await? else {
            first.take(source.read_from(&start, limit).await?).await?;
            break;
        };
        if end == start {
            break;
        }
        for partition in source.partitions(&start, &end).await? {
            first.take(source.read(&partition).await?).await?;
        }
        start = end;
    }
    Ok(first.batches)
}

struct First {
    left: u64,
    batches: Vec<RecordBatch>,
}

impl First {
    async fn take(&mut self, mut batches: impl Batches) -> Result<(), RuntimeError> {
        while self.left > 0
            && let Some(batch) = batches.next().await?
        {
            for rows in batch.rows {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let taken = rows.slice(0, rows.num_rows().min(most));
                self.left -= taken.num_rows() as u64;
                self.batches.push(taken);
            }
        }
        Ok(())
    }
}
