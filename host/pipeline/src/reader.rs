use std::sync::{Arc, Mutex};

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::keys::SeenKeys;
use crate::plan::{BatchPlan, plan};
use crate::visited_offsets::{VisitedOffsets, goes_back};
use crate::{Batch, Batches, Offset, Partition, PipelineError, ReaderOptions, Source, SourceError};

/// One reading of a source: the range after an offset, or a sequential read from it. It returns record batches that
/// keep the contract, and refuses others.
///
/// A stream is read by one reader after the other, each from the [`position`](Self::position) of the one before:
///
/// ```
/// # use std::sync::Arc;
/// # use sandbar_pipeline::{PipelineError, Reader, ReaderOptions, Source};
/// # async fn read_all<S: Source>(source: Arc<S>) -> Result<u64, PipelineError> {
/// let mut position = source.initial_offset().await?;
/// let mut rows = 0;
/// loop {
///     let mut reader = Reader::open(source.clone(), &position, None, ReaderOptions::default()).await?;
///     while let Some(batch) = reader.next().await? {
///         rows += batch.num_rows();
///     }
///     if *reader.position() == position {
///         return Ok(rows);
///     }
///     position = reader.position().clone();
/// }
/// # }
/// ```
///
/// | checked | of |
/// |---|---|
/// | not more rows or bytes than the limit | a range; a sequential read ends before the batch that would go over it |
/// | no key twice, where the source has a key | both |
/// | an end offset with each batch, which moves on with its rows and never comes back | a sequential read |
/// | not more than 100,000 partitions; an end that is not the start, as long as `up_to` is not reached | a range |
///
/// Dropping a reader ends its readings.
pub struct Reader<S: Source> {
    source: Arc<S>,
    options: ReaderOptions,
    keys: Option<SeenKeys>,
    start: Offset,
    position: Offset,
    rows: u64,
    bytes: u64,
    reading: Reading<S>,
}

enum Reading<S: Source> {
    /// Nothing is left.
    Ended,
    Range {
        end: Offset,
        parts: Parts<S>,
    },
    Sequential {
        /// `None` before the first batch.
        batches: Option<S::Batches>,
        /// Offsets of this reading.
        within: VisitedOffsets,
        /// Offsets of the readings before it.
        before: Arc<VisitedOffsets>,
    },
}

/// The partitions of a range.
enum Parts<S: Source> {
    /// Read by tasks of their own. Dropping the set ends them and what they hold.
    Ahead {
        received: mpsc::Receiver<Result<Batch, SourceError>>,
        tasks: JoinSet<()>,
    },
    OnDemand {
        left: std::vec::IntoIter<Partition>,
        open: Option<OpenPart<S>>,
    },
}

struct OpenPart<S: Source> {
    batches: S::Batches,
    /// Whether a batch came.
    any: bool,
}

impl<S: Source> Reader<S> {
    /// Asks the source for what is after `start` and not after `up_to`, and begins to read it.
    ///
    /// # Errors
    /// [`PipelineError::Source`] when the source can't plan the range; [`PipelineError::Contract`] when it stays at
    /// `start` although `up_to` is not reached, or splits the range into more than 100,000 partitions.
    pub async fn open(
        source: Arc<S>,
        start: &Offset,
        up_to: Option<&Offset>,
        options: ReaderOptions,
    ) -> Result<Self, PipelineError> {
        let before = Arc::new(VisitedOffsets::new(start));
        Self::open_after(source, start, up_to, options, before).await
    }

    /// The same for a caller that knows which offsets earlier readings visited.
    pub(crate) async fn open_after(
        source: Arc<S>,
        start: &Offset,
        up_to: Option<&Offset>,
        options: ReaderOptions,
        before: Arc<VisitedOffsets>,
    ) -> Result<Self, PipelineError> {
        let plan = plan(&*source, start, up_to, options.limit).await?;
        let sequential = plan == BatchPlan::Sequential;
        let reading = match plan {
            BatchPlan::Nothing => Reading::Ended,
            BatchPlan::Range { end, partitions } => Reading::Range {
                end,
                parts: Parts::read(&source, partitions, options),
            },
            BatchPlan::Sequential => Reading::Sequential {
                batches: None,
                within: VisitedOffsets::new(start),
                before,
            },
        };
        Ok(Self {
            keys: SeenKeys::new(source.key(sequential), &source.schema()),
            source,
            options,
            start: start.clone(),
            position: start.clone(),
            rows: 0,
            bytes: 0,
            reading,
        })
    }

    /// The next batch, which may be without rows; `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`PipelineError::Source`] when the source fails, or a key comes twice; [`PipelineError::TooManyBytes`] and
    /// [`PipelineError::Contract`] when a range has more than the limit; [`PipelineError::Stuck`] and
    /// [`PipelineError::Contract`] when the end offset of a sequential batch is missing, does not move on, or goes back.
    pub async fn next(&mut self) -> Result<Option<Batch>, PipelineError> {
        let next = match &mut self.reading {
            Reading::Ended => Ok(None),
            Reading::Range { .. } => self.next_of_range().await,
            Reading::Sequential { .. } => self.next_of_sequence().await,
        };
        if !matches!(next, Ok(Some(_))) {
            self.reading = Reading::Ended;
        }
        next
    }

    /// Where the next reading goes on without losing or repeating a row: after the batches that were returned, or the
    /// start as long as a range is not read to its end.
    pub fn position(&self) -> &Offset {
        &self.position
    }

    /// Rows returned so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The schema of every row.
    pub fn schema(&self) -> SchemaRef {
        self.source.schema()
    }

    async fn next_of_range(&mut self) -> Result<Option<Batch>, PipelineError> {
        let Reading::Range { end, parts } = &mut self.reading else {
            return Ok(None);
        };
        let Some(batch) = parts.next(&self.source).await? else {
            self.position = end.clone();
            return Ok(None);
        };
        let rows = self.rows.saturating_add(batch.num_rows());
        let refuses_more = !self.options.allow_more_rows;
        if let Some(max) = self
            .options
            .limit
            .max_rows
            .filter(|max| refuses_more && rows > *max)
        {
            return Err(PipelineError::Contract(format!(
                "the range up to {} has more than the {max} rows that latest-offset was limited to",
                end.shown()
            )));
        }
        let bytes = self.bytes.saturating_add(count_bytes(&batch));
        if let Some(max) = self.options.limit.max_bytes.filter(|max| bytes > *max) {
            let end = end.clone();
            return Err(PipelineError::TooManyBytes { end, max });
        }
        self.check_keys(&batch)?;
        (self.rows, self.bytes) = (rows, bytes);
        Ok(Some(batch))
    }

    async fn next_of_sequence(&mut self) -> Result<Option<Batch>, PipelineError> {
        let Reading::Sequential {
            batches,
            within,
            before,
        } = &mut self.reading
        else {
            return Ok(None);
        };
        if self
            .options
            .limit
            .max_rows
            .is_some_and(|max| self.rows > 0 && self.rows >= max)
        {
            return Ok(None);
        }
        let open = match batches {
            Some(open) => open,
            None => batches.insert(self.source.read_from(&self.start, self.options.limit).await?),
        };
        let Some(batch) = open.next().await? else {
            return Ok(None);
        };
        // A source that never has to wait must still leave room for a stop.
        tokio::task::coop::consume_budget().await;
        let Some(reached) = batch.end.clone() else {
            return Err(PipelineError::Contract(
                "a batch of read-from has no end offset".into(),
            ));
        };
        let rows = batch.num_rows();
        if rows > 0 && reached == self.position {
            let offset = reached;
            return Err(PipelineError::Stuck { rows, offset });
        }
        // A return to the start is an error only if the reading ends there, which the caller sees by the position.
        let moved = reached != self.position && reached != self.start;
        if moved && (before.contains(&reached) || !within.insert(&reached)) {
            return Err(goes_back(&self.position, &reached));
        }
        // A batch that would go over a limit is read again by the next reading, from the position.
        let all_rows = self.rows.saturating_add(rows);
        let bytes = self.bytes.saturating_add(count_bytes(&batch));
        let over = self.options.limit.max_rows.is_some_and(|max| all_rows > max)
            || self.options.limit.max_bytes.is_some_and(|max| bytes > max);
        if self.rows > 0 && over {
            return Ok(None);
        }
        self.check_keys(&batch)?;
        (self.rows, self.bytes, self.position) = (all_rows, bytes, reached);
        Ok(Some(batch))
    }

    fn check_keys(&mut self, batch: &Batch) -> Result<(), SourceError> {
        let Some(keys) = &mut self.keys else {
            return Ok(());
        };
        let parts = batch.rows.iter().filter(|rows| rows.num_rows() > 0);
        parts.into_iter().try_for_each(|rows| keys.check(rows))
    }
}

impl<S: Source> Parts<S> {
    fn read(source: &Arc<S>, partitions: Vec<Partition>, options: ReaderOptions) -> Self {
        let tasks_at_once = options.parallelism.clamp(1, partitions.len().max(1));
        let left = partitions.into_iter();
        if options.read_ahead == 0 {
            return Self::OnDemand { left, open: None };
        }
        let left = Arc::new(Mutex::new(left));
        let (sender, received) = mpsc::channel(options.read_ahead);
        let mut tasks = JoinSet::new();
        for _ in 0..tasks_at_once {
            tasks.spawn(read_parts(source.clone(), left.clone(), sender.clone()));
        }
        Self::Ahead { received, tasks }
    }

    /// The next batch of any part. A part without a batch gives one without rows, so that a caller sees its end.
    async fn next(&mut self, source: &Arc<S>) -> Result<Option<Batch>, SourceError> {
        match self {
            Self::Ahead { received, tasks } => {
                if let Some(batch) = received.recv().await {
                    return batch.map(Some);
                }
                while let Some(task) = tasks.join_next().await {
                    task.map_err(|e| SourceError::Sandbox(Box::new(e)))?;
                }
                Ok(None)
            }
            Self::OnDemand { left, open } => loop {
                let part = match open {
                    Some(part) => part,
                    None => match left.next() {
                        Some(part) => open.insert(OpenPart::read(&**source, &part).await?),
                        None => return Ok(None),
                    },
                };
                match part.next().await? {
                    Some(batch) => return Ok(Some(batch)),
                    None => *open = None,
                }
            },
        }
    }
}

impl<S: Source> OpenPart<S> {
    async fn read(source: &S, part: &Partition) -> Result<Self, SourceError> {
        let batches = source.read(part).await?;
        Ok(Self { batches, any: false })
    }

    async fn next(&mut self) -> Result<Option<Batch>, SourceError> {
        let first = !std::mem::replace(&mut self.any, true);
        let batch = self.batches.next().await?;
        Ok(batch.or_else(|| first.then(Batch::default)))
    }
}

async fn read_parts<S: Source>(
    source: Arc<S>,
    parts: Arc<Mutex<std::vec::IntoIter<Partition>>>,
    sender: mpsc::Sender<Result<Batch, SourceError>>,
) {
    let next = || parts.lock().ok().and_then(|mut parts| parts.next());
    while let Some(part) = next() {
        if let Err(e) = read_part(&*source, &part, &sender).await {
            let _ = sender.send(Err(e)).await;
            return;
        }
    }
}

async fn read_part<S: Source>(
    source: &S,
    part: &Partition,
    sender: &mpsc::Sender<Result<Batch, SourceError>>,
) -> Result<(), SourceError> {
    let mut part = OpenPart::<S>::read(source, part).await?;
    while let Some(batch) = part.next().await? {
        if sender.send(Ok(batch)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The bytes that the rows take in memory: each value counted once, and at least the bytes that they came in.
fn count_bytes(batch: &Batch) -> u64 {
    let columns = batch.rows.iter().flat_map(RecordBatch::columns);
    let bytes = columns.map(|column| match column.to_data().get_slice_memory_size() {
        Ok(bytes) => bytes as u64,
        Err(_) => column.get_array_memory_size() as u64,
    });
    bytes.fold(0, u64::saturating_add).max(batch.usage.arrow_bytes)
}
