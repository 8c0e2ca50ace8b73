use std::collections::HashMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Schema, SchemaRef};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::expressions::Scalar;
use delta_kernel::transaction::{BoundWriteContext, WriteState};
use delta_kernel::{FileMeta, KernelError};
use delta_kernel_default_engine::build_add_file_metadata;
use delta_kernel_default_engine::parquet::DataFileMetadata;
use delta_kernel_default_engine::stats::FileStatsAccumulator;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Type, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sandbar_pipeline::SinkError;
use tokio::io::AsyncWriteExt;
use url::Url;
use uuid::Uuid;

use crate::bounds::sound;
use crate::engine::Table;
use crate::error::{kernel_error, store_error};
use crate::values::cast;

/// Bytes that go to the store at once. A smaller file is one request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// A column whose distinct values take more than this is written plainly. The format's usual 1 MiB makes columns
/// without repetition slower and larger.
const DICTIONARY_BYTES: usize = 256 * 1024;
/// Rows that a column takes in one go.
const WRITE_BATCH_ROWS: usize = 4096;
/// Parts on their way at once.
const PARTS_IN_FLIGHT: usize = 2;

/// A data file that is being written. It goes to the store while it is encoded, row group by row group.
///
/// All of its functions block, and must not be called from async code.
pub(crate) struct DataFile {
    table: Table,
    context: BoundWriteContext,
    schema: SchemaRef,
    url: Url,
    path: Path,
    out: BufWriter,
    writer: ArrowWriter<Vec<u8>>,
    stats: FileStatsAccumulator,
    bytes: u64,
}

/// The longest name of a folder that file systems take, and the longest key that object stores do, in bytes.
const MAX_NAME: usize = 255;
const MAX_KEY: usize = 1024;

/// Refuses a path that no store would take because a partition's value is long.
///
/// The protocol lets the file lie elsewhere in the table, as the log names its partition. But polars takes partitions
/// from paths, and would show nulls: <https://github.com/pola-rs/polars/issues/23391>.
fn check_length(path: &Path, table: &Url) -> Result<(), SinkError> {
    let refused = |what: String| {
        Err(SinkError::Schema(format!(
            "the table {table} can't have a partition {what}; partition a new table by other columns, or let the source \
             shorten the value"
        )))
    };
    for part in path.parts() {
        let folder = part.as_ref();
        if folder.len() > MAX_NAME {
            let (column, value) = folder.split_once('=').unwrap_or(("", folder));
            let start: String = value.chars().take(20).collect();
            return refused(format!(
                "of the value `{start}...` in `{column}`: its folder's name takes {} bytes, and stores take {MAX_NAME}",
                folder.len()
            ));
        }
    }
    match path.as_ref().len() {
        length if length > MAX_KEY => refused(format!(
            "at `{path}`: its path takes {length} bytes, and stores take {MAX_KEY}"
        )),
        _ => Ok(()),
    }
}

/// A data file that is in the store.
pub(crate) struct FinishedFile {
    /// What the kernel needs to add it to the log: one row.
    pub(crate) add: RecordBatch,
    pub(crate) path: Path,
    pub(crate) bytes: u64,
}

impl DataFile {
    /// Begins a file in the partition that these values name, for `few` rows or many. Nothing reaches the store yet.
    pub(crate) fn create(
        table: &Table,
        state: &Arc<WriteState>,
        partition: HashMap<String, Scalar>,
        few: bool,
    ) -> Result<Self, SinkError> {
        let failed = |e| kernel_error(format!("can't write to the table {}", table.root), e);
        let builder = state.write_context_builder();
        let context = match partition.is_empty() {
            true => builder.build(),
            false => builder.with_partition_values(partition).build(),
        }
        .map_err(failed)?;
        let schema: Schema = context
            .physical_data_schema()
            .as_ref()
            .try_into_arrow()
            .map_err(|e| failed(KernelError::from(e)))?;
        let schema = Arc::new(schema);
        let coding = if few { "" } else { ".zstd" };
        let name = format!("{}{coding}.parquet", Uuid::new_v4());
        let (url, path) = (|| -> Result<_, KernelError> {
            let url = context.write_dir().join(&name)?;
            let path = Path::from_url_path(url.path())?;
            Ok((url, path))
        })()
        .map_err(failed)?;
        check_length(&path, &table.root)?;
        Ok(Self {
            out: BufWriter::with_capacity(Arc::clone(&table.store), path.clone(), PART_BYTES)
                .with_max_concurrency(PARTS_IN_FLIGHT),
            writer: ArrowWriter::try_new_with_options(
                Vec::new(),
                Arc::clone(&schema),
                writer_options(&schema, few)?,
            )
            .map_err(|e| failed(e.into()))?,
            stats: FileStatsAccumulator::new(context.stats_columns(), context.physical_data_schema()),
            table: table.clone(),
            context,
            schema,
            url,
            path,
            bytes: 0,
        })
    }

    /// Encodes rows, given as the table's data columns in its order and in its types.
    pub(crate) fn write(&mut self, columns: &[ArrayRef]) -> Result<(), SinkError> {
        let fields = self.schema.fields();
        if fields.len() != columns.len() {
            return Err(SinkError::Schema(format!(
                "the table {} wants {} columns in its files and {} are there; it uses a feature that is not supported",
                self.table.root,
                fields.len(),
                columns.len()
            )));
        }
        // With column mapping the parts of a struct have other names in files: a cast that costs nothing.
        let columns = fields
            .iter()
            .zip(columns)
            .map(|(field, values)| cast(field.name(), values, field.data_type()))
            .collect::<Result<_, _>>()
            .map_err(SinkError::Schema)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|e| {
            SinkError::Schema(format!(
                "the table {} can't take these rows: {e}",
                self.table.root
            ))
        })?;
        self.stats
            .merge(&rows)
            .map_err(|e| kernel_error(self.failed(), e))?;
        self.writer
            .write(&rows)
            .map_err(|e| store_error(self.failed(), e))?;
        self.send()
    }

    /// Memory that rows on their way to the store take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.writer.memory_size()
    }

    /// Size of the file so far, in bytes; what is being encoded is estimated.
    pub(crate) fn size(&self) -> u64 {
        self.bytes + self.writer.in_progress_size() as u64
    }

    /// Ends a row group and sends it off.
    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        self.writer.flush().map_err(|e| store_error(self.failed(), e))?;
        self.send()
    }

    /// Ends the file. It is durable when this returns.
    pub(crate) fn finish(mut self) -> Result<FinishedFile, SinkError> {
        let failed = self.failed();
        self.writer.finish().map_err(|e| store_error(&failed, e))?;
        self.send()?;
        self.table
            .handle
            .block_on(self.out.shutdown())
            .map_err(|e| store_error(&failed, e))?;
        let now = self
            .table
            .clock
            .now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let modified = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let stats = self
            .stats
            .finish()
            .map_err(|e| kernel_error(&failed, e))?
            .ok_or_else(|| store_error(&failed, "a data file without rows"))?;
        let stats = sound(&stats).map_err(|e| store_error(&failed, e))?;
        let meta = DataFileMetadata::new(FileMeta::new(self.url, modified, self.bytes), stats);
        let add = build_add_file_metadata(meta, &self.context)
            .and_then(ArrowEngineData::try_from_engine_data)
            .map_err(|e| kernel_error(&failed, e))?;
        Ok(FinishedFile {
            add: add.record_batch().clone(),
            path: self.path,
            bytes: self.bytes,
        })
    }

    /// Gives the file up, as far as the store lets it.
    pub(crate) fn abandon(mut self) {
        if let Err(e) = self.table.handle.block_on(self.out.abort()) {
            tracing::debug!(file = %self.url, error = %e, "an unfinished data file was left behind");
        }
    }

    fn send(&mut self) -> Result<(), SinkError> {
        let ready = std::mem::take(self.writer.inner_mut());
        if ready.is_empty() {
            return Ok(());
        }
        self.bytes += ready.len() as u64;
        self.table
            .handle
            .block_on(self.out.put(ready.into()))
            .map_err(|e| store_error(self.failed(), e))
    }

    fn failed(&self) -> String {
        format!("can't write the data file {}", self.url)
    }
}

/// zstd at its first level is 2.5 times smaller than snappy at the same speed. Statistics are kept for each
/// column chunk only: those of pages cost time for every value, and files for one micro-batch are small.
///
/// A few rows are written as they are: to set up a compressor for each column costs more than all else together.
fn writer_options(schema: &Schema, few: bool) -> Result<ArrowWriterOptions, SinkError> {
    let level = ZstdLevel::try_new(1).map_err(|e| store_error("can't write data files", e))?;
    let compression = match few {
        true => Compression::UNCOMPRESSED,
        false => Compression::ZSTD(level),
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(!few)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    // Parquet's bounds say nothing of NaN, which some readers put above all numbers: they would pass over a row group that
    // holds one. The bounds in the log know of it.
    let columns = ArrowSchemaConverter::new().convert(schema);
    for column in columns
        .map_err(|e| store_error("can't lay out a data file", e))?
        .columns()
    {
        if matches!(column.physical_type(), Type::FLOAT | Type::DOUBLE) {
            properties =
                properties.set_column_statistics_enabled(column.path().clone(), EnabledStatistics::None);
        }
    }
    let properties = properties.build();
    Ok(ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true))
}
