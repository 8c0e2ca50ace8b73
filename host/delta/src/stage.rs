use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use delta_kernel::arrow::compute::{concat_batches, take};
use object_store::path::Path;
use sandbar_pipeline::{SinkError, Stage, WriteStats};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::engine::Table;
use crate::error::store_error;
use crate::file::DataFile;
use crate::layout::TableLayout;
use crate::partition::{Group, Splitter};

/// Record batches that may wait for the encoder.
const QUEUE: usize = 2;
/// Smaller batches are joined up to this many rows before they are encoded.
const JOIN_ROWS: usize = 4096;
/// Or up to this many bytes that they keep in memory: so far too where they go into many partitions, since each time that
/// they are split there is a file for each.
const JOIN_BYTES: usize = 64 << 20;
/// The maximum number of files of a micro-batch. Each costs requests, here and for whoever reads the table.
const MAX_FILES: u64 = 10_000;
/// The maximum number of columns of all of them together. Each has pages, statistics and a place in a footer of its own, which take
/// more than a few rows do.
const MAX_CHUNKS: u64 = 8_000_000;
/// A column of a file of so few rows is smaller than what it takes to compress it.
const FEW_ROWS: usize = 32;
/// Memory for rows that are encoded and not yet sent off, over all files of a stage.
const MEMORY_BYTES: usize = 32 * 1024 * 1024;
/// A file that reaches this size is finished and another one begun.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Partitions that may have an unfinished file; above it the one that waited longest is finished.
const OPEN_FILES: usize = 16;

/// Rows on their way into data files. They are encoded on a thread of their own, beside the reading of more.
pub struct DeltaStage {
    work: Sender<Work>,
    encoder: Option<JoinHandle<Result<(DeltaStaged, WriteStats), SinkError>>>,
    source: SchemaRef,
}

/// Data files that are in the store and in no commit yet.
#[derive(Debug)]
pub struct DeltaStaged {
    /// One row per file, as the kernel takes them.
    pub(crate) adds: Vec<RecordBatch>,
    /// Where the files lie in the store.
    pub(crate) files: Vec<Path>,
    /// What the files were made for.
    pub(crate) layout: Arc<TableLayout>,
}

enum Work {
    Rows(RecordBatch),
    Finish,
}

impl DeltaStage {
    /// `stamp` is the time of staging, in microseconds since 1970; `busy` is held until the encoder has ended, also
    /// that of a stage that was dropped.
    pub(crate) fn start(
        table: &Table,
        layout: Arc<TableLayout>,
        source: SchemaRef,
        stamp: i64,
        busy: Sender<()>,
    ) -> Self {
        let (work, queue) = channel(QUEUE);
        let schema = Arc::clone(&source);
        let encoder = table.spawn(move |table| {
            let _busy = busy;
            Encoder::new(table, layout, stamp).run(queue, &schema)
        });
        Self {
            work,
            encoder: Some(encoder),
            source,
        }
    }

    /// Waits for the encoder's end.
    async fn outcome(&mut self) -> Result<(DeltaStaged, WriteStats), SinkError> {
        let broken = "the encoder of data files broke off";
        match self.encoder.take() {
            Some(encoder) => encoder.await.map_err(|e| store_error(broken, e))?,
            None => Err(store_error(broken, "it had failed before")),
        }
    }

    async fn send(&mut self, work: Work) -> Result<(), SinkError> {
        match self.work.send(work).await {
            Ok(()) => Ok(()),
            // The encoder only hangs up early when it failed: its own error says why.
            Err(_) => self.outcome().await.map(|_| ()),
        }
    }
}

impl Stage for DeltaStage {
    type Staged = DeltaStaged;

    async fn write(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        let (got, wanted) = (rows.schema(), &self.source);
        if !Arc::ptr_eq(&got, wanted) {
            let same = got.fields().len() == wanted.fields().len()
                && got.fields().iter().zip(wanted.fields()).all(|(got, wanted)| {
                    got.name() == wanted.name() && got.data_type() == wanted.data_type()
                });
            if !same {
                return Err(SinkError::Schema(format!(
                    "the source sent rows of another schema than it announced: {got} instead of {wanted}"
                )));
            }
        }
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.send(Work::Rows(rows)).await
    }

    async fn finish(mut self) -> Result<(DeltaStaged, WriteStats), SinkError> {
        self.send(Work::Finish).await?;
        self.outcome().await
    }
}

/// The thread's side of a stage.
struct Encoder {
    table: Table,
    layout: Arc<TableLayout>,
    stamp: i64,
    splitter: Splitter,
    /// Unfinished files by partition, with the number of the write that used them last.
    open: HashMap<Box<[u8]>, (u64, DataFile)>,
    writes: u64,
    /// Rows go into more partitions at once than files are kept open.
    many: bool,
    /// Files, and columns of files.
    begun: u64,
    chunks: u64,
    adds: Vec<RecordBatch>,
    files: Vec<Path>,
    summary: WriteStats,
}

impl Encoder {
    fn new(table: &Table, layout: Arc<TableLayout>, stamp: i64) -> Self {
        Self {
            table: table.clone(),
            layout,
            stamp,
            splitter: Splitter::new(),
            open: HashMap::new(),
            writes: 0,
            many: false,
            begun: 0,
            chunks: 0,
            adds: Vec::new(),
            files: Vec::new(),
            summary: WriteStats::default(),
        }
    }

    fn run(
        mut self,
        mut queue: Receiver<Work>,
        source: &SchemaRef,
    ) -> Result<(DeltaStaged, WriteStats), SinkError> {
        let outcome = self.encode_all(&mut queue, source).map_err(|e| self.gone(e));
        if outcome.is_err() {
            self.open.drain().for_each(|(_, (_, file))| file.abandon());
        }
        outcome?;
        let staged = DeltaStaged {
            adds: self.adds,
            files: self.files,
            layout: self.layout,
        };
        Ok((staged, self.summary))
    }

    /// Says that the folder was removed, where that is why files can't be written.
    fn gone(&self, error: SinkError) -> SinkError {
        match error {
            SinkError::Store { .. } if self.layout.began_folder() && self.table.lacks_folder() => {
                SinkError::TableChanged {
                    table: self.layout.root.to_string(),
                    what: "was removed while rows were being written to it; nothing was committed".to_owned(),
                }
            }
            error => error,
        }
    }

    fn encode_all(&mut self, queue: &mut Receiver<Work>, source: &SchemaRef) -> Result<(), SinkError> {
        let mut waiting: Vec<RecordBatch> = Vec::new();
        let (mut waiting_rows, mut waiting_bytes) = (0, 0);
        loop {
            match queue.blocking_recv() {
                Some(Work::Rows(rows)) => {
                    waiting_rows += rows.num_rows();
                    waiting_bytes += kept_bytes(&rows);
                    waiting.push(rows);
                    let full = waiting_bytes >= JOIN_BYTES;
                    if !full && (self.many || waiting_rows < JOIN_ROWS) {
                        continue;
                    }
                    if self.timed(|encoder| encoder.encode(&waiting, source, full))? {
                        waiting.clear();
                        (waiting_rows, waiting_bytes) = (0, 0);
                    }
                }
                Some(Work::Finish) => {
                    return self.timed(|encoder| {
                        encoder.encode(&waiting, source, true)?;
                        encoder.finish_all()
                    });
                }
                None => return Err(store_error("the stage was dropped", "nobody waits for its files")),
            }
        }
    }

    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, SinkError>) -> Result<T, SinkError> {
        let start = self.table.clock.elapsed();
        let outcome = work(self);
        let took: Duration = self.table.clock.elapsed().saturating_sub(start);
        self.summary.encode += took;
        outcome
    }

    /// Returns false when the rows go into many partitions, so that it is better to wait for more of them. Never with
    /// `now`.
    fn encode(&mut self, rows: &[RecordBatch], source: &SchemaRef, now: bool) -> Result<bool, SinkError> {
        let rows = match rows {
            [] => return Ok(true),
            [rows] => rows.clone(),
            many => concat_batches(source, many).map_err(|e| store_error("can't join record batches", e))?,
        };
        let layout = Arc::clone(&self.layout);
        let refused =
            |e: String| SinkError::Schema(format!("the table {} can't take these rows: {e}", layout.root));
        let (stamp, before) = (self.stamp, self.summary.rows);
        let partition = layout
            .projection
            .partition(&rows, stamp, before)
            .map_err(refused)?;
        let groups = self.splitter.split(&partition).map_err(refused)?;
        self.many = groups.len() > OPEN_FILES;
        if self.many && !now {
            return Ok(false);
        }
        let columns = layout.projection.data(&rows, stamp, before).map_err(refused)?;
        for group in groups {
            self.encode_group(&columns, group)?;
        }
        self.summary.rows += rows.num_rows() as u64;
        Ok(true)
    }

    fn encode_group(&mut self, columns: &[ArrayRef], group: Group) -> Result<(), SinkError> {
        self.writes += 1;
        let count = group.rows.as_ref().map(|rows| rows.len());
        let few = self.many && count.is_some_and(|rows| rows <= FEW_ROWS);
        let mut file = match self.open.remove(&group.key) {
            Some((_, file)) => file,
            None => {
                self.count_file(columns.len())?;
                let names = self.layout.projection.partition_columns().map(str::to_owned);
                let values = names.zip(group.values).collect();
                let state = self.layout.write_state(&self.table)?;
                DataFile::create(&self.table, &state, values, few)?
            }
        };
        match &group.rows {
            None => file.write(columns)?,
            Some(rows) => {
                let columns = columns
                    .iter()
                    .map(|column| take(column.as_ref(), rows, None))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|e| store_error("can't split rows into partitions", e))?;
                file.write(&columns)?;
            }
        }
        if self.many || file.size() >= FILE_BYTES {
            return self.finish_file(file);
        }
        self.open.insert(group.key, (self.writes, file));
        if self.open.len() > OPEN_FILES {
            let oldest = self
                .open
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| key.clone());
            if let Some((_, file)) = oldest.and_then(|key| self.open.remove(&key)) {
                self.finish_file(file)?;
            }
        }
        self.bound_memory()
    }

    /// Refuses a file too many before it is begun.
    fn count_file(&mut self, columns: usize) -> Result<(), SinkError> {
        self.begun += 1;
        self.chunks = self.chunks.saturating_add(columns as u64);
        match too_many(self.begun, self.chunks, columns) {
            None => Ok(()),
            Some(max) => Err(SinkError::TooManyFiles { max }),
        }
    }

    fn bound_memory(&mut self) -> Result<(), SinkError> {
        let total: usize = self.open.values().map(|(_, file)| file.memory()).sum();
        if total < MEMORY_BYTES {
            return Ok(());
        }
        match self.open.values_mut().max_by_key(|(_, file)| file.memory()) {
            Some((_, largest)) => largest.flush(),
            None => Ok(()),
        }
    }

    fn finish_all(&mut self) -> Result<(), SinkError> {
        let mut open: Vec<_> = self.open.drain().map(|(_, file)| file).collect();
        open.sort_by_key(|(used, _)| *used);
        for (_, file) in open {
            self.finish_file(file)?;
        }
        Ok(())
    }

    fn finish_file(&mut self, file: DataFile) -> Result<(), SinkError> {
        let finished = file.finish()?;
        self.summary.files += 1;
        self.summary.bytes += finished.bytes;
        self.adds.push(finished.add);
        self.files.push(finished.path);
        Ok(())
    }
}

/// The bound that these numbers of files and of columns of files exceed.
fn too_many(files: u64, chunks: u64, columns: usize) -> Option<String> {
    if files > MAX_FILES {
        return Some(format!("{MAX_FILES} files"));
    }
    let max = MAX_CHUNKS / (columns as u64).max(1);
    (chunks > MAX_CHUNKS).then(|| format!("{max} files of {columns} columns"))
}

/// What a batch keeps in memory. Its columns may lie in the same bytes, which count once.
fn kept_bytes(rows: &RecordBatch) -> usize {
    let mut counted = HashSet::new();
    let mut bytes = 0;
    let mut parts: Vec<_> = rows.columns().iter().map(|column| column.to_data()).collect();
    while let Some(data) = parts.pop() {
        let nulls = data.nulls().map(|nulls| nulls.buffer());
        for buffer in data.buffers().iter().chain(nulls) {
            if counted.insert(buffer.data_ptr().addr().get()) {
                bytes += buffer.capacity();
            }
        }
        parts.extend(data.child_data().iter().cloned());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    #[test]
    fn files_are_bounded_by_their_number_and_by_their_columns() {
        assert_eq!(too_many(10_000, 10_000 * 800, 800), None);
        assert_eq!(too_many(10_001, 0, 1).as_deref(), Some("10000 files"));
        assert_eq!(too_many(2_000, 2_000 * 4_000, 4_000), None);
        let said = too_many(2_001, 2_001 * 4_000, 4_000);
        assert_eq!(said.as_deref(), Some("2000 files of 4000 columns"));
    }

    #[test]
    fn columns_in_the_same_bytes_count_once() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let columns = (0..100).map(|name| (format!("c{name}"), Arc::clone(&numbers)));
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        assert!((8_000..9_000).contains(&kept_bytes(&rows)));
        assert!(rows.get_array_memory_size() >= 800_000);
    }
}
