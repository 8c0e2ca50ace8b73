//! Another version of a component, found, loaded and checked while the one before reads on.

use std::fmt;
use std::sync::Arc;

use arrow_schema::Schema;
use bytes::Bytes;
use sandbar_pipeline::{
    Offset, PipelineError, SinkFactory, Source, Successor, SuccessorSender, SwapOrder, Takeover, can_go_on,
    with_causes,
};
use sandbar_sandbox::{PipelineContext, SandboxSource};

use crate::check_options::check_options;
use crate::loaded_version::{LoadedVersion, ReadingVersion};
use crate::open::{opening_error, with_key};
use crate::{OpenPipeline, PipelineFile, Runtime, RuntimeError};

/// The wish for another version of a pipeline's component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwapRequest {
    /// The reference of the new version, as in the key `source.component`; empty for the one of the pipeline file, to
    /// look where it leads to by now.
    pub reference: String,
    /// Whether it may be a version that failed before.
    pub again: bool,
    /// Who wants it, and why.
    pub order: SwapOrder,
}

/// The outcome of a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum SwapReport {
    /// The new version reads, on probation.
    TookOver(Takeover),
    /// The reference leads to the very version that reads. Nothing was changed.
    Unchanged {
        /// Its digest.
        digest: String,
    },
}

/// A check that a new version passes before it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SwapCheck {
    /// It is found, has the pinned digest, and is signed by a trusted key.
    Component,
    /// It is a component of a known track that imports nothing forbidden.
    Loading,
    /// It goes by the same name.
    Name,
    /// The options of the file fit its schema.
    Options,
    /// What it imports is granted.
    Grants,
    /// It opens the stream.
    Opening,
    /// Its rows are those of the version before, with more columns where the sink takes them.
    Schema,
    /// It can read on where the pipeline stands.
    Offset,
    /// It takes over between two micro-batches.
    Takeover,
}

impl fmt::Display for SwapCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "the new version can't be used",
            Self::Loading => "the new version can't be loaded",
            Self::Name => "the new component is no version of the one that reads",
            Self::Options => "the options do not fit the new version",
            Self::Grants => "the new version needs what is not granted",
            Self::Opening => "the new version can't be opened",
            Self::Schema => "the rows of the new version do not fit",
            Self::Offset => "the new version can't go on at the current offset",
            Self::Takeover => "the new version did not take over",
        })
    }
}

impl SwapCheck {
    pub(crate) fn failed(self, source: impl Into<RuntimeError>) -> RuntimeError {
        RuntimeError::Swap {
            check: self,
            source: Box::new(source.into()),
        }
    }

    fn refused(self, file: &PipelineFile, reason: String) -> RuntimeError {
        self.failed(RuntimeError::Pipeline {
            name: file.config().name.clone(),
            reason,
        })
    }
}

/// What a swap starts from: the pipeline that runs, and the version that reads it.
pub(crate) struct Running<'a, F> {
    pub(crate) open: &'a OpenPipeline<F>,
    /// The file that the new version is for: that of the pipeline, or one that takes its place.
    pub(crate) file: &'a PipelineFile,
    pub(crate) current: &'a ReadingVersion,
    /// Where it stands.
    pub(crate) offset: Offset,
}

/// A version that passed all checks which can be made while another one reads.
pub(crate) struct Checked {
    pub(crate) reading: ReadingVersion,
    pub(crate) source: Arc<SandboxSource>,
}

impl Runtime {
    /// Finds, loads and checks another version. `None` when it is the one that reads.
    pub(crate) async fn check_version<F: SinkFactory>(
        &self,
        running: &Running<'_, F>,
        reference: &str,
    ) -> Result<Option<Checked>, RuntimeError> {
        let (open, file) = (running.open, running.file);
        // Its instances count like any other's.
        let turn = self.take_turn(file).await;
        let found = self.fetch(file, reference).await;
        let found = found.map_err(|e| SwapCheck::Component.failed(e))?;
        if found.bytes.digest() == running.current.version.connector.id().digest {
            return Ok(None);
        }
        let version = self.load_found(file, found).await;
        let version = version.map_err(|e| SwapCheck::Loading.failed(e))?;
        let connector = &version.connector;
        let (old, new) = (running.current.version.connector.id(), connector.id());
        if new.name != old.name {
            let reason = format!(
                "it is called {:?}, and the one that reads {:?}",
                new.name, old.name
            );
            return Err(SwapCheck::Name.refused(file, reason));
        }
        let options = check_options(file, connector.description()).await;
        options.map_err(|e| SwapCheck::Options.failed(e))?;
        if connector.wants_http() && file.config().source.grants.describe().is_empty() {
            let reason = "it imports HTTP; grant an origin under [source.grants]".to_owned();
            return Err(SwapCheck::Grants.refused(file, reason));
        }
        let source = open_version(file, open.source.context(), &version).await;
        let source = source.map_err(|e| SwapCheck::Opening.failed(e))?;
        let schema = source.schema();
        if let Some(reason) = lost_column(&running.current.schema, &schema) {
            return Err(SwapCheck::Schema.refused(file, reason));
        }
        let fits = async {
            open.sink()?
                .check(open.name(), &schema)
                .await
                .map_err(|e| open.sink_error(e))
        };
        fits.await.map_err(|e| SwapCheck::Schema.failed(e))?;
        let goes_on = can_go_on(&source, &running.offset).await;
        goes_on.map_err(|e| SwapCheck::Offset.failed(e))?;
        if turn.is_some() {
            source.rest().await;
        }
        Ok(Some(Checked {
            reading: ReadingVersion { version, schema },
            source: Arc::new(source),
        }))
    }

    /// Keeps the bytes of both versions, offers the new one to the pipeline, and waits until it took over.
    pub(crate) async fn offer_version<F: SinkFactory>(
        &self,
        running: &Running<'_, F>,
        checked: &Checked,
        request: &SwapRequest,
        sender: &SuccessorSender<SandboxSource>,
    ) -> Result<Takeover, RuntimeError> {
        let location = &running.open.parts.checkpoint.location;
        // Whatever is durable of the swap can be run after a restart, also where a file was replaced.
        let versions = [&running.current.version, &checked.reading.version];
        for version in versions {
            let bytes = Bytes::from_owner(version.connector.bytes().clone());
            let kept = location
                .save_component(&version.connector.id().digest, bytes)
                .await;
            kept.map_err(|e| SwapCheck::Takeover.failed(e))?;
        }
        let successor = Successor {
            source: checked.source.clone(),
            version: checked.reading.version.version(),
            current: running.current.version.version(),
            configured: running.file.config().source.component.clone(),
            again: request.again,
            order: request.order.clone(),
        };
        let takeover = sender.offer(successor).await;
        let takeover = takeover.map_err(|e| SwapCheck::Takeover.failed(running.open.run_error(e)))?;
        let kept = versions.map(|version| &*version.connector.id().digest);
        if let Err(e) = location.prune_components(&kept).await {
            tracing::warn!(pipeline = %running.open.name(), error = %with_causes(&e), "copies of old versions stay");
        }
        Ok(takeover)
    }
}

/// Opens the stream of a pipeline file with a version, among the connections and tokens of the one before.
async fn open_version(
    file: &PipelineFile,
    context: &PipelineContext,
    version: &LoadedVersion,
) -> Result<SandboxSource, RuntimeError> {
    let config = &file.config().source;
    let options = config.options.clone().into();
    let opened = SandboxSource::open_in(
        context,
        version.connector.clone(),
        config.stream.as_deref(),
        &options,
    )
    .await;
    with_key(opened.map_err(|e| opening_error(file, e))?, file)
}

/// Why rows of a new schema are not those of the old one, or of it and more columns.
fn lost_column(old: &Schema, new: &Schema) -> Option<String> {
    old.fields().iter().find_map(|column| {
        let name = column.name();
        match new.column_with_name(name) {
            None => Some(format!("it has no column {name:?} any more")),
            Some((_, found)) if found.data_type() != column.data_type() => Some(format!(
                "its column {name:?} is {} and was {}",
                found.data_type(),
                column.data_type()
            )),
            Some((_, found)) if found.is_nullable() && !column.is_nullable() => {
                Some(format!("its column {name:?} may be null and never was"))
            }
            Some(_) => None,
        }
    })
}

impl<F: SinkFactory> OpenPipeline<F> {
    pub(crate) fn run_error(&self, source: PipelineError) -> RuntimeError {
        RuntimeError::Run {
            name: self.name().to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    #[test]
    fn a_new_schema_may_have_more_columns_and_lose_or_change_none() {
        let schema = |columns: &[(&str, DataType, bool)]| {
            let field =
                |(name, kind, nullable): &(&str, DataType, bool)| Field::new(*name, kind.clone(), *nullable);
            Schema::new(columns.iter().map(field).collect::<Vec<_>>())
        };
        let id = ("id", DataType::Int32, false);
        let name = ("name", DataType::Utf8, true);
        let old = schema(&[id.clone(), name.clone()]);
        let lost =
            |columns: &[(&str, DataType, bool)]| lost_column(&old, &schema(columns)).unwrap_or_default();
        assert_eq!(lost(&[id.clone(), name.clone()]), "");
        assert_eq!(
            lost(&[("more", DataType::Utf8, true), name.clone(), id.clone()]),
            ""
        );
        assert_eq!(
            lost(&[("id", DataType::Int32, false), ("name", DataType::Utf8, false)]),
            ""
        );
        assert!(lost(std::slice::from_ref(&id)).contains("no column \"name\""));
        assert!(lost(&[("id", DataType::Int64, false), name.clone()]).contains("is Int64 and was Int32"));
        assert!(lost(&[("id", DataType::Int32, true), name]).contains("may be null"));
    }
}
