use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow_schema::Schema;
use delta_kernel::actions::{Metadata, Protocol};
use delta_kernel::expressions::Scalar;
use delta_kernel::schema::{SchemaRef, StructField, StructType};
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::transaction::create_table::{CreateTableTransactionBuilder, create_table};
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{UpdateTableOperation, WriteState};
use delta_kernel::{KernelError, Snapshot, SnapshotRef};
use sandbar_pipeline::SinkError;
use url::Url;

use crate::engine::{ENGINE_INFO, Table, committer};
use crate::error::{kernel_error, plain, store_error};
use crate::legacy::check_writer_version;
use crate::projection::Projection;
use crate::schema::{missing_columns, new_table, same_name};
use crate::txn::has_domain_metadata;
use crate::{DeltaOptions, OffsetStorage};

/// How rows of a source become data files of a table, for one state of the table's metadata.
#[derive(Debug)]
pub(crate) struct TableLayout {
    pub(crate) root: Url,
    pub(crate) projection: Projection,
    write_state: OnceLock<Arc<WriteState>>,
    origin: LayoutOrigin,
    /// Columns that the table gets with the first rows, as the commit adds them.
    added: Vec<StructField>,
    file_schema: FileSchema,
}

/// The state of the table that a layout was made for.
#[derive(Debug)]
enum LayoutOrigin {
    Missing(Creation),
    Existing(Box<Metadata>, Protocol),
}

/// A table that does not exist yet.
#[derive(Debug)]
pub(crate) struct Creation {
    schema: SchemaRef,
    partition_by: Vec<String>,
    domain_metadata: bool,
}

/// What data files and a table must agree on: columns by their names in files, and the partitioning.
#[derive(Debug, PartialEq)]
struct FileSchema {
    columns: Vec<StructField>,
    partition_by: Vec<String>,
    /// Whether columns have names and ids of their own in files, which no two writers give alike.
    mapped: bool,
}

impl TableLayout {
    /// Compares the source with the table, or lays out a new one. Blocks. Writes nothing.
    pub(crate) fn new(
        table: &Table,
        snapshot: Option<&SnapshotRef>,
        source: &Schema,
        options: &DeltaOptions,
    ) -> Result<Self, SinkError> {
        match snapshot {
            Some(snapshot) => Self::existing(table, snapshot, source, options),
            None => Self::missing(table, source, options),
        }
    }

    fn existing(
        table: &Table,
        snapshot: &SnapshotRef,
        source: &Schema,
        options: &DeltaOptions,
    ) -> Result<Self, SinkError> {
        let refused =
            |e: String| SinkError::Schema(format!("the table {} can't take this source: {e}", table.root));
        let configuration = snapshot.table_configuration();
        check_writer_version(
            configuration.protocol().min_writer_version(),
            configuration.metadata().configuration().keys(),
            &configuration.logical_schema(),
        )
        .map_err(refused)?;
        let partition_by = configuration.logical_partition_columns();
        let wanted = &options.partition_by;
        let agrees = wanted.len() == partition_by.len()
            && wanted.iter().zip(partition_by).all(|(a, b)| same_name(a, b));
        if !wanted.is_empty() && !agrees {
            return Err(refused(format!(
                "it is partitioned by {partition_by:?}, not by {wanted:?}; leave partition_by out, or write to a new table"
            )));
        }
        let carried = options.progress == OffsetStorage::Table && has_domain_metadata(snapshot);
        if snapshot
            .table_properties()
            .set_transaction_retention_duration
            .is_some()
            && !carried
        {
            return Err(refused(
                "its property delta.setTransactionRetentionDuration makes it forget which micro-batches it holds; \
                 unset the property"
                    .to_owned(),
            ));
        }
        let logical = configuration.logical_schema();
        let stamp = options.ingested_at.as_deref();
        let missing = missing_columns(source, Some(&logical), stamp).map_err(refused)?;
        let evolved = logical
            .add(missing.iter().cloned())
            .map_err(|e| refused(e.to_string()))?;
        let projection = Projection::new(source, &evolved, partition_by, stamp).map_err(refused)?;
        if !options.evolve && !missing.is_empty() {
            return Err(SinkError::LacksColumns {
                table: table.root.to_string(),
                columns: missing.into_iter().map(|column| column.name).collect(),
            });
        }
        let failed = |e| match missing.is_empty() {
            true => kernel_error(format!("can't write to the table {}", table.root), e),
            false => cannot_add(table, &missing, e),
        };
        let mut builder =
            Arc::clone(snapshot).update_table(UpdateTableOperation::StreamingUpdate, ENGINE_INFO, true);
        for column in &missing {
            builder = builder.add_column(column.clone());
        }
        let mut transaction = builder
            .build(table.engine.as_ref(), committer())
            .map_err(failed)?;
        let defaults = transaction.top_level_column_defaults().map_err(failed)?;
        if let Some(column) = projection
            .left_out()
            .find(|column| defaults.contains_key(*column))
        {
            return Err(refused(format!(
                "its column {column:?} has a default value, which this program does not fill in, and the source has no \
                 such column; drop the default (ALTER TABLE ... ALTER COLUMN {column} DROP DEFAULT), or send the column"
            )));
        }
        // Every column with a default is written.
        transaction.ack_column_defaults();
        let write_state = transaction.write_state().map_err(failed)?;
        let mut file_schema = FileSchema::of(snapshot);
        let (added, in_files) = match file_schema.mapped && !missing.is_empty() {
            true => mapped_columns(&write_state, &logical, partition_by, missing.len()).map_err(failed)?,
            false => (missing.clone(), missing.clone()),
        };
        file_schema.columns.extend(in_files);
        Ok(Self {
            root: table.root.clone(),
            write_state: OnceLock::from(write_state),
            projection,
            origin: LayoutOrigin::Existing(
                Box::new(configuration.metadata().clone()),
                configuration.protocol().clone(),
            ),
            added,
            file_schema,
        })
    }

    fn missing(table: &Table, source: &Schema, options: &DeltaOptions) -> Result<Self, SinkError> {
        let refused = |e: String| SinkError::Schema(format!("can't create the table {}: {e}", table.root));
        let stamp = options.ingested_at.as_deref();
        let schema = new_table(source, stamp).map_err(refused)?;
        let partition_by = partition_columns(&schema, &options.partition_by).map_err(refused)?;
        let projection = Projection::new(source, &schema, &partition_by, stamp).map_err(refused)?;
        let file_schema = FileSchema {
            columns: schema.fields().cloned().collect(),
            partition_by: partition_by.clone(),
            mapped: false,
        };
        let creation = Creation {
            schema: Arc::new(schema),
            partition_by,
            domain_metadata: options.progress == OffsetStorage::Table,
        };
        creation.lay_out(table, &nowhere()?)?;
        Ok(Self {
            root: table.root.clone(),
            write_state: OnceLock::new(),
            projection,
            origin: LayoutOrigin::Missing(creation),
            added: Vec::new(),
            file_schema,
        })
    }

    /// What the kernel wants to know about new files. For a missing table this creates the folder. Blocks.
    pub(crate) fn write_state(&self, table: &Table) -> Result<Arc<WriteState>, SinkError> {
        if let LayoutOrigin::Missing(creation) = &self.origin {
            table.create_folder()?;
            if self.write_state.get().is_none() {
                let state = creation.lay_out(table, &table.root)?;
                return Ok(Arc::clone(self.write_state.get_or_init(|| state)));
            }
        }
        match self.write_state.get() {
            Some(state) => Ok(Arc::clone(state)),
            None => Err(store_error(
                "can't write data files",
                "the layout is not complete",
            )),
        }
    }

    /// Whether the table's folder is there, or was there when its first file was begun.
    pub(crate) fn began_folder(&self) -> bool {
        self.write_state.get().is_some()
    }

    /// Whether new files can be made by this layout in this state of the table.
    pub(crate) fn is_for(&self, snapshot: Option<&SnapshotRef>) -> bool {
        match (&self.origin, snapshot) {
            (LayoutOrigin::Missing(_), None) => true,
            (LayoutOrigin::Existing(metadata, protocol), Some(snapshot)) => {
                let now = snapshot.table_configuration();
                now.metadata() == metadata.as_ref() && now.protocol() == protocol
            }
            _ => false,
        }
    }

    /// How to create the table, when this layout is for a missing one.
    pub(crate) fn creation(&self) -> Option<&Creation> {
        match &self.origin {
            LayoutOrigin::Missing(creation) => Some(creation),
            LayoutOrigin::Existing(..) => None,
        }
    }

    /// The names of the columns that the table gets with the first rows.
    pub(crate) fn added_columns(&self) -> impl Iterator<Item = &str> {
        self.added.iter().map(|column| column.name().as_str())
    }

    /// Whether files that were made by this layout may be added to this state of the table, which others may
    /// have changed since. Returns the columns that the table has to get with them.
    pub(crate) fn files_fit(&self, snapshot: &SnapshotRef) -> Result<Vec<StructField>, SinkError> {
        if self.is_for(Some(snapshot)) {
            return Ok(self.added.clone());
        }
        let now = snapshot.table_configuration().logical_schema();
        let lacks = |column: &&StructField| !now.fields().any(|found| same_name(found.name(), column.name()));
        let missing: Vec<StructField> = self.added.iter().filter(lacks).cloned().collect();
        let fits = self.file_schema.fits(&FileSchema::of(snapshot), &missing);
        fits.map(|()| missing).map_err(|e| {
            SinkError::Schema(format!(
                "the table {} was changed while a micro-batch was at work: {e}; start the pipeline again",
                self.root
            ))
        })
    }
}

impl Creation {
    /// Lets the kernel judge the table and lay it out. It does not search for a table there: that is the commit's duty.
    fn lay_out(&self, table: &Table, root: &Url) -> Result<Arc<WriteState>, SinkError> {
        self.builder(root)
            .build(&table.empty_engine(), committer())
            .and_then(|transaction| transaction.write_state())
            // Nothing was read or written: whatever is wrong is wrong with the layout.
            .map_err(|e| SinkError::Schema(format!("can't create the table {}: {}", table.root, plain(e))))
    }

    /// The properties of a table that we create:
    ///
    /// - a log checkpoint every 100 versions, as micro-batches make many of them;
    /// - no clean-up of the log, for those who read its history;
    /// - not `delta.appendOnly`: pipelines only append, but the table's owner may have to delete rows;
    /// - never `delta.setTransactionRetentionDuration`: a forgotten `txn` is a batch that comes twice.
    pub(crate) fn builder(&self, root: &Url) -> CreateTableTransactionBuilder {
        let feature = ("delta.feature.domainMetadata", "supported");
        let builder = create_table(root.as_str(), Arc::clone(&self.schema), ENGINE_INFO, true)
            .with_table_properties([
                ("delta.checkpointInterval", "100"),
                ("delta.enableExpiredLogCleanup", "false"),
            ])
            .with_table_properties(self.domain_metadata.then_some(feature));
        match self.partition_by.is_empty() {
            true => builder,
            false => builder.with_data_layout(DataLayout::partitioned(self.partition_by.iter())),
        }
    }
}

/// A place for a table that is only thought of.
fn nowhere() -> Result<Url, SinkError> {
    Url::parse("memory:///table/").map_err(|e| store_error("can't lay out a table", e))
}

/// Whether someone else created the table in between.
pub(crate) fn already_exists(error: KernelError) -> Result<(), KernelError> {
    match plain(error) {
        KernelError::TableAlreadyExistsAtPath(_) => Ok(()),
        e => Err(e),
    }
}

/// The newest `count` columns of a table with column mapping: as a commit adds them, and as they are in files. The
/// kernel made up their names and ids for this state, and would make up others the next time.
fn mapped_columns(
    state: &Arc<WriteState>,
    logical: &StructType,
    partition_by: &[String],
    count: usize,
) -> Result<(Vec<StructField>, Vec<StructField>), KernelError> {
    let builder = state.write_context_builder();
    let nulls: HashMap<String, Scalar> = partition_by
        .iter()
        .filter_map(|name| logical.field(name))
        .map(|column| (column.name().clone(), Scalar::Null(column.data_type().clone())))
        .collect();
    let context = match nulls.is_empty() {
        true => builder.build()?,
        false => builder.with_partition_values(nulls).build()?,
    };
    let newest = |columns: &SchemaRef| {
        let older = columns.num_fields().saturating_sub(count);
        columns.fields().skip(older).cloned().collect()
    };
    Ok((
        newest(context.logical_data_schema()),
        newest(context.physical_data_schema()),
    ))
}

/// Why the kernel does not add columns: a name or a type that the table's features do not allow, or a feature that it
/// does not keep up.
fn cannot_add(table: &Table, columns: &[StructField], error: KernelError) -> SinkError {
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("{:?}", column.name()))
        .collect();
    let context = format!("can't add {} to the table {}", names.join(", "), table.root);
    let refused = |text: String| {
        SinkError::Schema(format!(
            "{text}; add what is missing by hand (ALTER TABLE ... ADD COLUMN), or have the connector leave it out"
        ))
    };
    match plain(error) {
        // What the kernel says of names, in lines.
        KernelError::Generic(text) => refused(format!("{context}: {}", text.replace("\n- ", " "))),
        error => match kernel_error(context, error) {
            SinkError::Schema(text) => refused(text),
            other => other,
        },
    }
}

/// The names of the partition columns, spelled as in the schema.
fn partition_columns(schema: &StructType, wanted: &[String]) -> Result<Vec<String>, String> {
    let names: Vec<String> = wanted
        .iter()
        .map(|name| {
            schema
                .fields()
                .find(|field| same_name(field.name(), name))
                .map(|field| field.name().clone())
                .ok_or_else(|| format!("partition_by names {name:?}, which is no column of the source"))
        })
        .collect::<Result<_, _>>()?;
    if !names.is_empty() && schema.fields().all(|field| names.contains(field.name())) {
        return Err("partition_by names every column; a data file needs at least one".to_owned());
    }
    Ok(names)
}

impl FileSchema {
    fn of(snapshot: &Snapshot) -> Self {
        let configuration = snapshot.table_configuration();
        Self {
            columns: configuration.physical_schema().fields().cloned().collect(),
            partition_by: configuration.logical_partition_columns().to_vec(),
            mapped: configuration.column_mapping_mode() != ColumnMappingMode::None,
        }
    }

    /// Whether files of this schema can be read under another one, to which the columns in `missing` are added.
    fn fits(&self, table: &Self, missing: &[StructField]) -> Result<(), String> {
        if !missing.is_empty() && (self.mapped || table.mapped) {
            return Err("what its columns are called in files has changed".to_owned());
        }
        if self.partition_by != table.partition_by {
            return Err(format!("it is now partitioned by {:?}", table.partition_by));
        }
        for ours in &self.columns {
            let name = ours.name();
            match table.columns.iter().find(|field| field.name() == name) {
                None if missing.iter().any(|column| column.name() == name) => {}
                None => {
                    let spelled = |field: &&StructField| same_name(field.name(), name);
                    return Err(match table.columns.iter().find(spelled) {
                        Some(other) => format!("the column {name:?} is now called {:?}", other.name()),
                        None => format!("the column {name:?} is gone"),
                    });
                }
                Some(now) if now.data_type() != ours.data_type() => {
                    return Err(format!(
                        "the column {name:?} now has the type {}",
                        now.data_type()
                    ));
                }
                Some(now) if ours.is_nullable() && !now.is_nullable() => {
                    return Err(format!("the column {name:?} must not be null any more"));
                }
                Some(_) => {}
            }
        }
        let added = |field: &&StructField| !self.columns.iter().any(|ours| ours.name() == field.name());
        match table
            .columns
            .iter()
            .filter(added)
            .find(|field| !field.is_nullable())
        {
            Some(field) => Err(format!(
                "it has a new column {:?} that must not be null",
                field.name()
            )),
            None => Ok(()),
        }
    }
}
