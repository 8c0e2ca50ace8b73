use std::future::Future;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::{ComponentId, Offset, Partition, SourceError, SourceIdentity};

/// How much one micro-batch may take. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadLimit {
    /// Rows after the start.
    pub max_rows: Option<u64>,
    /// Bytes of record batches.
    pub max_bytes: Option<u64>,
}

/// Rows as a source gave them, decoded and checked.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The rows, all of the source's schema. May be empty.
    pub rows: Vec<RecordBatch>,
    /// The offset after the last row, from a source that learns it by reading.
    pub end: Option<Offset>,
    /// The cost of reading them.
    pub usage: SourceUsage,
}

impl Batch {
    /// Its number of rows.
    pub fn num_rows(&self) -> u64 {
        self.rows.iter().map(|part| part.num_rows() as u64).sum()
    }
}

/// The cost of reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceUsage {
    /// Processor time inside the source.
    pub guest: Duration,
    /// Time for decoding and checking what it handed over.
    pub decode: Duration,
    /// Bytes of Arrow that it handed over. Rows may keep all of them in memory, however few they are.
    pub arrow_bytes: u64,
    /// Bytes of HTTP response bodies.
    pub response_bytes: u64,
    /// HTTP requests.
    pub requests: u64,
    /// The peak memory of one instance, in bytes.
    pub peak_memory: u64,
}

impl SourceUsage {
    /// Adds another reading's cost; the peak is the larger one.
    pub fn add(&mut self, other: &Self) {
        self.guest += other.guest;
        self.decode += other.decode;
        self.arrow_bytes += other.arrow_bytes;
        self.response_bytes += other.response_bytes;
        self.requests += other.requests;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
    }
}

/// One stream of one connector, as the contract in `wit/` has it.
///
/// Every call stands by itself: only offsets and partitions carry over from one to the next.
pub trait Source: Send + Sync + 'static {
    /// Record batches of one partition or one sequential read.
    type Batches: Batches;

    /// The component that reads.
    fn component(&self) -> &ComponentId;

    /// Which rows are read, beside the component's name.
    fn identity(&self) -> SourceIdentity {
        SourceIdentity::default()
    }

    /// The schema of every row.
    fn schema(&self) -> SchemaRef;

    /// Columns that identify the rows of a range, or those of a sequential read: no micro-batch may have a key twice.
    /// Empty where it may, for example where a changed row comes again.
    ///
    /// Rows that are found twice may have moved while they were read, so the micro-batch is tried again.
    fn key(&self, sequential: bool) -> &[String] {
        let _ = sequential;
        &[]
    }

    /// Where a pipeline without a committed batch starts.
    fn initial_offset(&self) -> impl Future<Output = Result<Offset, SourceError>> + Send;

    /// Where a micro-batch that starts at `start` ends, never beyond `up_to`; `None` when the end is only known after reading.
    fn latest_offset(
        &self,
        start: &Offset,
        up_to: Option<&Offset>,
        limit: ReadLimit,
    ) -> impl Future<Output = Result<Option<Offset>, SourceError>> + Send;

    /// Splits (start, end] into parts.
    fn partitions(
        &self,
        start: &Offset,
        end: &Offset,
    ) -> impl Future<Output = Result<Vec<Partition>, SourceError>> + Send;

    /// Reads one part.
    fn read(&self, partition: &Partition) -> impl Future<Output = Result<Self::Batches, SourceError>> + Send;

    /// Reads on from `start`, for a source whose `latest_offset` is `None`.
    fn read_from(
        &self,
        start: &Offset,
        limit: ReadLimit,
    ) -> impl Future<Output = Result<Self::Batches, SourceError>> + Send;

    /// Acknowledges that everything up to `end` is in the table.
    fn commit(&self, end: &Offset) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Gives back what is held in memory for the next call, which may take longer then.
    fn rest(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The cost since the last call that no batch carries: of planning, of the ends of readings, of acknowledging.
    fn take_usage(&self) -> SourceUsage {
        SourceUsage::default()
    }
}

/// Record batches, one at a time.
pub trait Batches: Send + 'static {
    /// The next batch, or `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Batch>, SourceError>> + Send;
}
