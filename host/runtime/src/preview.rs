use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use sandbar_delta::DeltaSinkFactory;
use sandbar_pipeline::{
    Batch, PipelineError, ReadLimit, Reader, ReaderOptions, Remedy, SinkError, SinkFactory, Source,
    SourceError,
};

use crate::config::PipelineFile;
use crate::location::CheckpointPlace;
use crate::open::{OpenPipeline, Parts};
use crate::sink::table_of;
use crate::{Runtime, RuntimeError};

/// The memory that the rows of a preview may take, in bytes.
const MAX_BYTES: u64 = 256 << 20;

impl Runtime {
    /// Reads the first rows that a pipeline would read if it were new. Writes nothing anywhere.
    ///
    /// # Errors
    /// The errors of [`Runtime::open`]; [`RuntimeError::Source`] when the source fails; [`RuntimeError::Run`] when it
    /// breaks the contract; [`RuntimeError::Sink`] for a value that a new table could not hold;
    /// [`RuntimeError::Preview`] when the rows take more than 256 MiB, or more batches than
    /// `source.limits.empty_batches` in a row have none.
    pub async fn preview(
        &self,
        file: &PipelineFile,
        rows: u64,
    ) -> Result<(Arc<arrow_schema::Schema>, Vec<RecordBatch>), RuntimeError> {
        self.check_process()?;
        let version = self.load_named(file).await?;
        let sink = {
            let (file, clock) = (file.clone(), self.clock());
            tokio::task::spawn_blocking(move || table_of(&file, clock))
        };
        let parts = Parts {
            sink: sink.await.map_err(|e| SourceError::Sandbox(Box::new(e)))?,
            checkpoint: CheckpointPlace::memory(),
            table: file.table_location(),
        };
        let open = OpenPipeline::from_parts(file, version.into(), parts, self.clock()).await?;
        let batches = read_first(&open, rows).await?;
        let mut before = 0;
        for rows in &batches {
            let misfit = |e| {
                SinkError::Schema(format!(
                    "the table {} can't take these rows: {e}",
                    file.table_location()
                ))
            };
            if let Ok(sink) = &open.parts.sink {
                sink.check_rows(rows, before).map_err(misfit)?;
            }
            before += rows.num_rows() as u64;
        }
        Ok((open.schema(), batches))
    }

    /// Reads rows of a pipeline's table, in no particular order. `None` when there is no table.
    ///
    /// # Errors
    /// [`RuntimeError::Config`] when the table's location can't be one, [`RuntimeError::Sink`] when the table can't be
    /// read.
    pub async fn table_rows(
        &self,
        file: &PipelineFile,
        rows: usize,
    ) -> Result<Option<Vec<RecordBatch>>, RuntimeError> {
        self.check_process()?;
        Ok(self.table_of(file).await?.first_rows(rows).await?)
    }

    /// The table of a file.
    pub(crate) async fn table_of(&self, file: &PipelineFile) -> Result<DeltaSinkFactory, RuntimeError> {
        let found = {
            let (file, clock) = (file.clone(), self.clock());
            tokio::task::spawn_blocking(move || table_of(&file, clock))
        };
        let found = found.await.map_err(|e| SourceError::Sandbox(Box::new(e)))?;
        found.map_err(|reason| file.error_at("sink.table", &reason, None).into())
    }
}

async fn read_first<F>(open: &OpenPipeline<F>, rows: u64) -> Result<Vec<RecordBatch>, RuntimeError> {
    // Nothing is read that is not shown, and rows beyond those that are shown are no fault.
    let options = ReaderOptions::default()
        .with_read_ahead(0)
        .allowing_more_rows()
        .with_limit(ReadLimit {
            max_rows: Some(rows),
            max_bytes: Some(MAX_BYTES),
        });
    let mut first = First::new(rows, MAX_BYTES, open.file.config().source.limits.empty_batches);
    let failed = |error: PipelineError| match error {
        PipelineError::Source(e) => e.into(),
        PipelineError::TooManyBytes { max, .. } => PreviewError::TooManyBytes { max }.into(),
        source => RuntimeError::Run {
            name: open.file.config().name.clone(),
            source,
        },
    };
    let mut position = open.source.initial_offset().await?;
    // A source may give less than it is asked for, in many small ranges.
    while first.left > 0 {
        let reader = Reader::open(open.source.clone(), &position, None, options).await;
        let mut reader = reader.map_err(failed)?;
        let mut any = false;
        while first.left > 0
            && let Some(batch) = reader.next().await.map_err(failed)?
        {
            any = true;
            first.take(batch)?;
        }
        if first.left == 0 || *reader.position() == position {
            break;
        }
        if !any {
            first.nothing()?;
        }
        position = reader.position().clone();
    }
    Ok(first.batches)
}

/// Why a preview ended without its rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// The rows take too much memory.
    #[error("the rows take more than {max} bytes, which is the most for a preview; ask for fewer")]
    TooManyBytes {
        /// The bytes that they may take.
        max: u64,
    },
    /// The source gives nothing, and may go on like that for ever.
    #[error("the source gave {batches} batches in a row that hold nothing")]
    NoRows {
        /// Batches since the last row.
        batches: u32,
    },
}

impl PreviewError {
    /// What an operator can do about it.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::TooManyBytes { .. } => vec![],
            Self::NoRows { .. } => vec![Remedy::Raise("source.limits.empty_batches")],
        }
    }
}

/// The first rows, as far as they are read.
struct First {
    /// Rows that are still wanted.
    left: u64,
    batches: Vec<RecordBatch>,
    /// Bytes that `batches` take, and their maximum.
    bytes: u64,
    max_bytes: u64,
    /// Where the allocations begin that are counted in `bytes`.
    counted: HashSet<usize>,
    /// Batches without a row since the last one with rows, and their maximum.
    empty: u32,
    max_empty: u32,
}

impl First {
    fn new(rows: u64, max_bytes: u64, max_empty: u32) -> Self {
        Self {
            left: rows,
            batches: vec![],
            bytes: 0,
            max_bytes,
            counted: HashSet::new(),
            empty: 0,
            max_empty,
        }
    }

    fn take(&mut self, batch: Batch) -> Result<(), PreviewError> {
        let before = self.left;
        for rows in batch.rows {
            self.keep(&rows)?;
        }
        match self.left == before {
            true => self.nothing(),
            false => Ok(()),
        }
    }

    /// Keeps as many rows as are still wanted. A batch without rows is not kept: it would hold on to all the bytes
    /// that it came in.
    fn keep(&mut self, rows: &RecordBatch) -> Result<(), PreviewError> {
        let max = usize::try_from(self.left).unwrap_or(usize::MAX);
        let taken = rows.slice(0, rows.num_rows().min(max));
        if taken.num_rows() == 0 {
            return Ok(());
        }
        self.count(&taken);
        if self.bytes > self.max_bytes {
            let max = self.max_bytes;
            return Err(PreviewError::TooManyBytes { max });
        }
        self.left -= taken.num_rows() as u64;
        self.empty = 0;
        self.batches.push(taken);
        Ok(())
    }

    /// Counts what a batch takes. Its columns lie in the bytes that it came in, which count once and whole, since they
    /// stay as long as any row of them; views count for what they show, since all of them may show the same bytes.
    fn count(&mut self, rows: &RecordBatch) {
        for column in rows.columns() {
            let head = column
                .get_array_memory_size()
                .saturating_sub(column.get_buffer_memory_size());
            self.add(head as u64);
            let mut parts = vec![column.to_data()];
            while let Some(data) = parts.pop() {
                let nulls = data.nulls().map(|nulls| nulls.buffer());
                for buffer in data.buffers().iter().chain(nulls) {
                    if self.counted.insert(buffer.data_ptr().addr().get()) {
                        self.add(buffer.capacity() as u64);
                    }
                }
                if let DataType::Utf8View | DataType::BinaryView = data.data_type() {
                    // The low four bytes of a view are its length.
                    for view in data.buffer::<u128>(0).iter().take(data.len()) {
                        self.add(u64::from(*view as u32));
                    }
                }
                parts.extend(data.child_data().iter().cloned());
            }
        }
    }

    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Counts a batch without a row. A source may go on like that for ever.
    fn nothing(&mut self) -> Result<(), PreviewError> {
        self.empty = self.empty.saturating_add(1);
        match self.empty > self.max_empty {
            true => Err(PreviewError::NoRows { batches: self.empty }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, StringViewArray};

    use super::*;

    fn given(first: &mut First, batches: Vec<Vec<RecordBatch>>) -> Result<(), PreviewError> {
        let batches = batches.into_iter().map(|rows| Batch {
            rows,
            ..Batch::default()
        });
        for batch in batches {
            if first.left > 0 {
                first.take(batch)?;
            }
        }
        Ok(())
    }

    fn table(columns: usize, column: ArrayRef) -> RecordBatch {
        let columns = (0..columns).map(|number| (number.to_string(), column.clone()));
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn rows(count: i64) -> RecordBatch {
        table(1, Arc::new(Int64Array::from_iter_values(0..count)))
    }

    fn kept(first: &First) -> Vec<usize> {
        first.batches.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn rows_are_taken_as_far_as_they_are_wanted_and_batches_without_rows_are_not_kept() {
        let mut first = First::new(5, MAX_BYTES, 10);
        let batches = vec![
            vec![rows(0)],
            vec![rows(0), rows(3), rows(0)],
            vec![],
            vec![rows(4), rows(1)],
        ];
        given(&mut first, batches).unwrap();
        assert_eq!((kept(&first), first.left), (vec![3, 2], 0));
    }

    #[test]
    fn a_source_that_gives_nothing_for_ever_is_stopped() {
        let nothing = || vec![vec![rows(0)], vec![]];
        let mut first = First::new(10, MAX_BYTES, 2);
        given(&mut first, nothing()).unwrap();
        // Rows begin the count anew.
        given(&mut first, vec![vec![rows(1)]]).unwrap();
        given(&mut first, nothing()).unwrap();
        let error = given(&mut first, nothing()).unwrap_err();
        assert!(error.to_string().contains("3 batches in a row"), "{error}");
        assert_eq!(error.remedies(), [Remedy::Raise("source.limits.empty_batches")]);
    }

    #[test]
    fn rows_that_take_too_much_memory_are_refused() {
        let mut first = First::new(u64::MAX, 20_000, 10);
        given(&mut first, vec![vec![rows(1_000)]]).unwrap();
        given(&mut first, vec![vec![rows(1_000)]]).unwrap();
        let third = given(&mut first, vec![vec![rows(1_000)]]);
        let error = third.unwrap_err().to_string();
        assert!(
            error.contains("more than 20000 bytes") && error.contains("ask for fewer"),
            "{error}"
        );
        assert_eq!(kept(&first), [1_000, 1_000]);

        // A few rows of a large batch hold on to all of it.
        let mut first = First::new(1, 20_000, 10);
        assert!(given(&mut first, vec![vec![rows(10_000)]]).is_err());
    }

    #[test]
    fn shared_bytes_count_once_and_views_for_what_they_show() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let mut first = First::new(2_000, 20_000, 10);
        let shared = table(4, numbers);
        given(&mut first, vec![vec![shared.clone(), shared]]).unwrap();
        assert_eq!(first.left, 0);

        let mut first = First::new(1_000, 300_000, 10);
        let text = "x".repeat(1_000);
        let shown = StringViewArray::from_iter_values([&text; 100]);
        given(&mut first, vec![vec![table(1, Arc::new(shown.clone()))]]).unwrap();
        let many = table(3, Arc::new(shown));
        assert!(given(&mut first, vec![vec![many]]).is_err());
    }
}
