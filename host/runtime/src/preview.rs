use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use sandbar_delta::{DeltaSink, check_rows};
use sandbar_pipeline::{Batches, ReadLimit, SinkError, Source, SourceError};

use crate::config::PipelineFile;
use crate::location::CheckpointPlace;
use crate::open::{OpenPipeline, delta_options};
use crate::{Runtime, RuntimeError};

/// The most that the rows of a preview may take in memory.
const MAX_BYTES: u64 = 256 << 20;

impl Runtime {
    /// Reads the first rows that a pipeline would read if it were new. Writes nothing anywhere.
    ///
    /// # Errors
    /// Whatever is wrong with the file or the component, or what the source answers; a value that a new table could not
    /// hold; the rows take more than 256 MiB, or more batches than `source.limits.empty_batches` in a row have none.
    pub async fn preview(
        &self,
        file: &PipelineFile,
        rows: u64,
    ) -> Result<(Arc<arrow_schema::Schema>, Vec<RecordBatch>), RuntimeError> {
        self.check_process()?;
        let connector = self.load_for(file).await?;
        let checkpoint = CheckpointPlace::memory();
        let open = OpenPipeline::open(file, connector, checkpoint, self.clock()).await?;
        let batches = read_first(&open, rows).await?;
        let mut before = 0;
        for rows in &batches {
            let misfit = |e| {
                SinkError::Schema(format!(
                    "the table {} can't take these rows: {e}",
                    file.table_location()
                ))
            };
            check_rows(rows, before).map_err(misfit)?;
            before += rows.num_rows() as u64;
        }
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
        self.check_process()?;
        let options = delta_options(file, self.clock())?;
        Ok(DeltaSink::first_rows(&options, rows).await?)
    }
}

async fn read_first(open: &OpenPipeline, rows: u64) -> Result<Vec<RecordBatch>, RuntimeError> {
    let source = &open.source;
    let limit = ReadLimit {
        max_rows: Some(rows),
        max_bytes: Some(MAX_BYTES),
    };
    let mut first = First::new(rows, MAX_BYTES, open.file.config().source.limits.empty_batches);
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
        let partitions = source.partitions(&start, &end).await?;
        if partitions.is_empty() {
            first.nothing()?;
        }
        for partition in partitions {
            if first.left == 0 {
                break;
            }
            first.take(source.read(&partition).await?).await?;
        }
        start = end;
    }
    Ok(first.batches)
}

/// The first rows, as far as they are read.
struct First {
    /// Rows that are still wanted.
    left: u64,
    batches: Vec<RecordBatch>,
    /// Bytes that `batches` take, and their most.
    bytes: u64,
    most_bytes: u64,
    /// Where the allocations begin that are counted in `bytes`.
    counted: HashSet<usize>,
    /// Batches without a row since the last one with rows, and their most.
    empty: u32,
    most_empty: u32,
}

impl First {
    fn new(rows: u64, most_bytes: u64, most_empty: u32) -> Self {
        Self {
            left: rows,
            batches: vec![],
            bytes: 0,
            most_bytes,
            counted: HashSet::new(),
            empty: 0,
            most_empty,
        }
    }

    async fn take(&mut self, mut batches: impl Batches) -> Result<(), RuntimeError> {
        let mut any = false;
        while self.left > 0 {
            let Some(batch) = batches.next().await? else {
                // A part without a batch leads as far as a batch without a row.
                return if any { Ok(()) } else { self.nothing() };
            };
            any = true;
            let before = self.left;
            for rows in batch.rows {
                self.keep(&rows)?;
            }
            if self.left == before {
                self.nothing()?;
            }
        }
        Ok(())
    }

    /// Keeps as many rows as are still wanted. A batch without rows is not kept: it would hold on to all the bytes
    /// that it came in.
    fn keep(&mut self, rows: &RecordBatch) -> Result<(), RuntimeError> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let taken = rows.slice(0, rows.num_rows().min(most));
        if taken.num_rows() == 0 {
            return Ok(());
        }
        self.count(&taken);
        if self.bytes > self.most_bytes {
            return Err(refused(format!(
                "the rows take more than {} bytes, which is the most for a preview; ask for fewer",
                self.most_bytes
            )));
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

    /// Nothing came that has a row. A source may go on like that for ever.
    fn nothing(&mut self) -> Result<(), RuntimeError> {
        self.empty = self.empty.saturating_add(1);
        match self.empty > self.most_empty {
            true => Err(refused(format!(
                "the source gave {} batches in a row that hold nothing; raise `empty_batches` under [source.limits] if \
                 that is too little",
                self.empty
            ))),
            false => Ok(()),
        }
    }
}

fn refused(reason: String) -> RuntimeError {
    SourceError::Sandbox(reason.into()).into()
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, StringViewArray};
    use sandbar_pipeline::{Batch, SourceUsage};

    use super::*;

    /// Gives these batches, one after the other.
    struct Given(std::vec::IntoIter<Vec<RecordBatch>>);

    impl Batches for Given {
        async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
            Ok(self.0.next().map(|rows| Batch {
                rows,
                end: None,
                usage: SourceUsage::default(),
            }))
        }
    }

    fn given(batches: Vec<Vec<RecordBatch>>) -> Given {
        Given(batches.into_iter())
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

    #[tokio::test]
    async fn rows_are_taken_as_far_as_they_are_wanted_and_batches_without_rows_are_not_kept() {
        let mut first = First::new(5, MAX_BYTES, 10);
        let batches = given(vec![
            vec![rows(0)],
            vec![rows(0), rows(3), rows(0)],
            vec![],
            vec![rows(4), rows(1)],
        ]);
        first.take(batches).await.unwrap();
        assert_eq!((kept(&first), first.left), (vec![3, 2], 0));
    }

    #[tokio::test]
    async fn a_source_that_gives_nothing_for_ever_is_stopped() {
        let nothing = || given(vec![vec![rows(0)], vec![]]);
        let mut first = First::new(10, MAX_BYTES, 2);
        first.take(nothing()).await.unwrap();
        // Rows begin the count anew, and parts without a batch count too.
        first.take(given(vec![vec![rows(1)]])).await.unwrap();
        first.take(given(vec![])).await.unwrap();
        first.take(given(vec![])).await.unwrap();
        let error = first.take(nothing()).await.unwrap_err().to_string();
        assert!(
            error.contains("3 batches in a row") && error.contains("`empty_batches` under [source.limits]"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn rows_that_take_too_much_memory_are_refused() {
        let mut first = First::new(u64::MAX, 20_000, 10);
        first.take(given(vec![vec![rows(1_000)]])).await.unwrap();
        first.take(given(vec![vec![rows(1_000)]])).await.unwrap();
        let third = first.take(given(vec![vec![rows(1_000)]])).await;
        let error = third.unwrap_err().to_string();
        assert!(
            error.contains("more than 20000 bytes") && error.contains("ask for fewer"),
            "{error}"
        );
        assert_eq!(kept(&first), [1_000, 1_000]);

        // A few rows of a large batch hold on to all of it.
        let mut first = First::new(1, 20_000, 10);
        assert!(first.take(given(vec![vec![rows(10_000)]])).await.is_err());
    }

    #[tokio::test]
    async fn shared_bytes_count_once_and_views_for_what_they_show() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let mut first = First::new(2_000, 20_000, 10);
        let shared = table(4, numbers);
        first
            .take(given(vec![vec![shared.clone(), shared]]))
            .await
            .unwrap();
        assert_eq!(first.left, 0);

        let mut first = First::new(1_000, 300_000, 10);
        let text = "x".repeat(1_000);
        let shown = StringViewArray::from_iter_values([&text; 100]);
        first
            .take(given(vec![vec![table(1, Arc::new(shown.clone()))]]))
            .await
            .unwrap();
        let many = table(3, Arc::new(shown));
        assert!(first.take(given(vec![vec![many]])).await.is_err());
    }
}
