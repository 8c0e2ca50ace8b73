use serde::{Deserialize, Serialize};

use crate::{BatchId, Offset, SourceIdentity, SwapNote};

/// Which connector produced rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentId {
    /// The name that the component gives itself.
    pub name: String,
    /// Its SemVer version.
    pub version: String,
    /// `sha256:` and the hexadecimal digest of the component's bytes.
    pub digest: String,
}

/// One micro-batch that is about to be committed: the rows in (start, end].
///
/// It is written into the sink's commit as it stands, so its field names are part of what lies on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicroBatch {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its number.
    pub batch: BatchId,
    /// The offset before the first row.
    pub start: Offset,
    /// The offset after the last row.
    pub end: Offset,
    /// How many rows it brings.
    pub rows: u64,
    /// The component that read them.
    pub component: ComponentId,
    /// The source that was read. Versions before 0.2 did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
    /// Why another component read it than the micro-batch before, where a swap is the reason. Versions before 0.2 did
    /// not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapNote>,
}
