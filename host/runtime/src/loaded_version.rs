//! A version of a component on its way into a pipeline: found, loaded, reading.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use sandbar_pipeline::{Version, VersionRecord};
use sandbar_sandbox::{ComponentBytes, Connector};

/// A component that was found for a pipeline and may be loaded.
pub(crate) struct FoundComponent {
    pub(crate) bytes: ComponentBytes,
    pub(crate) signature: Option<String>,
    /// The reference that leads to it.
    pub(crate) reference: String,
}

/// A version of a component that is loaded.
#[derive(Clone)]
pub(crate) struct LoadedVersion {
    pub(crate) connector: Arc<Connector>,
    pub(crate) signature: Option<String>,
    /// The reference that leads to it.
    pub(crate) reference: String,
}

/// The version that reads a pipeline, with the schema of its rows.
#[derive(Clone)]
pub(crate) struct ReadingVersion {
    pub(crate) version: LoadedVersion,
    pub(crate) schema: SchemaRef,
}

/// The version that a pipeline starts with.
pub(crate) struct StartingVersion {
    pub(crate) version: LoadedVersion,
    /// What is known of versions before it.
    pub(crate) record: Option<VersionRecord>,
    /// Whether another one was on probation when the process before ended: the record says so from now on.
    pub(crate) interrupted: bool,
    /// Whether the record could not be read: then it is not known which version has to run.
    pub(crate) unread: bool,
}

impl From<LoadedVersion> for StartingVersion {
    fn from(version: LoadedVersion) -> Self {
        Self {
            version,
            record: None,
            interrupted: false,
            unread: false,
        }
    }
}

impl LoadedVersion {
    /// As the record of versions names it.
    pub(crate) fn version(&self) -> Version {
        Version {
            reference: self.reference.clone(),
            component: self.connector.id().clone(),
            signature: self.signature.clone(),
        }
    }
}
