use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use arrow_schema::{DataType as ArrowType, Field, Schema};
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::schema::{DataType, SchemaRef, StructField, StructType};
use delta_kernel::table_features::TableFeature;
use delta_kernel::{EngineData, KernelError, Snapshot};
use sandbar_pipeline::{BatchId, Committed, ComponentId, MicroBatch, Offset, SinkError, SourceIdentity};
use serde::{Deserialize, Serialize};

use crate::engine::Table;
use crate::error::{kernel_error, store_error};

/// The application id of a pipeline's `txn` actions.
pub(crate) fn app_id(pipeline: &str) -> String {
    format!("sandbar/{pipeline}")
}

/// The application id whose `txn` version is the fingerprint of the last end offset, for where that lies in the
/// offset log. A name has no slash, so this is no other pipeline's.
pub(crate) fn end_id(pipeline: &str) -> String {
    format!("sandbar/{pipeline}/end")
}

/// The name of a pipeline's domain metadata.
pub(crate) fn domain(pipeline: &str) -> String {
    format!("sandbar.{pipeline}")
}

/// What the domain metadata of a pipeline holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) batch: BatchId,
    pub(crate) end: Offset,
    pub(crate) component: ComponentId,
    /// Versions before 0.2 did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<SourceIdentity>,
}

/// What `commitInfo` holds in its field `sandbar`, as JSON text.
#[derive(Debug, Serialize)]
pub(crate) struct Note {
    #[serde(flatten)]
    pub(crate) batch: MicroBatch,
    /// Which attempt of which process wrote it: the only difference between two commits of one batch.
    pub(crate) run: String,
}

impl Note {
    /// Reads what [`to_json`] wrote. In two goes: what serde flattens goes through 64-bit numbers, and offsets may have
    /// more digits.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Beside {
            #[serde(default)]
            run: String,
        }
        let batch = serde_json::from_str(text)?;
        let Beside { run } = serde_json::from_str(text)?;
        Ok(Self { batch, run })
    }

    /// The note as the kernel takes it.
    pub(crate) fn commit_info(text: &str) -> Result<(Box<dyn EngineData>, SchemaRef), KernelError> {
        let schema = Arc::new(Schema::new(vec![Field::new("sandbar", ArrowType::Utf8, true)]));
        let rows = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![text]))])?;
        let fields = StructType::try_new([StructField::nullable("sandbar", DataType::STRING)])?;
        Ok((Box::new(ArrowEngineData::new(rows)), Arc::new(fields)))
    }
}

/// JSON text of what goes into a commit.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, SinkError> {
    serde_json::to_string(value).map_err(|e| store_error("can't write the record of a micro-batch", e))
}

/// Whether a table can hold domain metadata.
pub(crate) fn has_domain_metadata(snapshot: &Snapshot) -> bool {
    snapshot
        .table_configuration()
        .is_feature_supported(&TableFeature::DomainMetadata)
}

/// The last micro-batch of a pipeline in this state of the table. Blocks.
///
/// | `txn` | domain metadata | answer |
/// |---|---|---|
/// | none | none | none |
/// | N | none, unreadable, or of a batch before N | batch N without its end, with the end's fingerprint: the offset log knows it, if anything does |
/// | N | of batch N | batch N with its end |
/// | none, or before N | of batch N | batch N with its end: both were one commit, so the `txn` was there and has expired |
pub(crate) fn last_committed(
    table: &Table,
    snapshot: &Snapshot,
    pipeline: &str,
) -> Result<Option<Committed>, SinkError> {
    let context = || {
        format!(
            "can't read the progress of {pipeline:?} in the table {}",
            table.root
        )
    };
    let engine = table.engine.as_ref();
    let version = snapshot
        .get_app_id_version(&app_id(pipeline), engine)
        .map_err(|e| kernel_error(context(), e))?
        .unwrap_or(0);
    let version = BatchId::try_from(version).map_err(|_| {
        SinkError::Damaged(format!(
            "the transaction {:?} has the version {version}",
            app_id(pipeline)
        ))
    })?;
    let progress = match has_domain_metadata(snapshot) {
        true => snapshot
            .get_domain_metadata(&domain(pipeline), engine)
            .map_err(|e| kernel_error(context(), e))?,
        false => None,
    };
    let progress = progress.and_then(|text| parse_progress(&text, pipeline));
    Ok(match progress {
        Some(progress) if progress.batch >= version.max(1) => Some(Committed {
            batch: progress.batch,
            end: Some(progress.end),
            fingerprint: None,
            component: Some(progress.component),
            source: progress.source,
        }),
        _ if version == 0 => None,
        _ => Some(Committed {
            batch: version,
            end: None,
            fingerprint: snapshot
                .get_app_id_version(&end_id(pipeline), engine)
                .map_err(|e| kernel_error(context(), e))?
                .and_then(|print| u64::try_from(print).ok()),
            component: None,
            source: None,
        }),
    })
}

fn parse_progress(text: &str, pipeline: &str) -> Option<Progress> {
    serde_json::from_str(text)
        .inspect_err(|e| tracing::warn!(pipeline, error = %e, "the pipeline's domain metadata can't be read"))
        .ok()
}
