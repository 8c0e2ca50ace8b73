//! The track `sandbar:connector@0.1`.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::{Handle, RawBatch, RawDescription, RawLimit, RawRows, RawSchema, RawStream, Returned};
use crate::capability::HostState;
use crate::guest_error::GuestError;

mod imports;

mod bindings {
    #![allow(missing_docs)]
    wasmtime::component::bindgen!({
        path: "wit/v0.1",
        world: "source",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
        with: {
            "sandbar:connector/http.response": crate::capability::http::HeldResponse,
            "sandbar:connector/http.pending": crate::capability::http::PendingResponse,
            "sandbar:connector/rows.held-rows": crate::capability::HeldRows,
        },
    });
}

use bindings::exports::sandbar::connector::connector as wit;
use bindings::sandbar::connector::{http, log, progress_note, rows, values};

pub(super) const TRACK: &str = "sandbar:connector@0.1";

/// A component of this track, ready to be instantiated.
pub(crate) struct Linked(bindings::SourcePre<HostState>);

/// The exports of an instance of this track.
pub(crate) struct Exports(bindings::Source);

/// Links the contract's own interfaces. Fails when the component does not export the contract.
pub(super) fn link(linker: &mut Linker<HostState>, component: &Component) -> wasmtime::Result<Linked> {
    values::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    rows::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    http::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    progress_note::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    Ok(Linked(bindings::SourcePre::new(
        linker.instantiate_pre(component)?,
    )?))
}

impl Linked {
    pub(super) async fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        Ok(Exports(self.0.instantiate_async(store).await?))
    }
}

type Guest<'a> = &'a mut Store<HostState>;

impl Exports {
    fn connector(&self) -> &wit::Guest {
        self.0.sandbar_connector_connector()
    }

    pub(super) async fn describe(&self, store: Guest<'_>) -> wasmtime::Result<RawDescription> {
        let described = self.connector().call_describe(store).await?;
        Ok(RawDescription {
            name: described.name,
            version: described.version,
            summary: described.summary,
            options_schema: described.options_schema,
        })
    }

    pub(super) async fn discover(&self, store: Guest<'_>, options: &str) -> Returned<Vec<RawStream>> {
        let streams = self.connector().call_discover(store, &options.to_owned()).await?;
        Ok(streams
            .map(|streams| streams.into_iter().map(RawStream::from).collect())
            .map_err(GuestError::from))
    }

    pub(super) async fn open(
        &self,
        store: Guest<'_>,
        stream: Option<&str>,
        options: &str,
    ) -> Returned<Handle> {
        let opened = self
            .connector()
            .source()
            .call_open(store, stream, &options.to_owned())
            .await?;
        Ok(opened.map_err(GuestError::from))
    }

    pub(super) async fn info(&self, store: Guest<'_>, source: Handle) -> wasmtime::Result<RawStream> {
        let info = self.connector().source().call_info(store, source).await?;
        Ok(info.into())
    }

    pub(super) async fn reads_ranges(&self, store: Guest<'_>, source: Handle) -> wasmtime::Result<bool> {
        let reading = self.connector().source().call_reading(store, source).await?;
        Ok(matches!(reading, wit::Reading::Ranges))
    }

    pub(super) async fn check(&self, store: Guest<'_>, source: Handle) -> Returned<()> {
        let checked = self.connector().source().call_check(store, source).await?;
        Ok(checked.map_err(GuestError::from))
    }

    pub(super) async fn schema(&self, store: Guest<'_>, source: Handle) -> Returned<RawSchema> {
        let schema = self.connector().source().call_schema(store, source).await?;
        let raw = |schema| match schema {
            values::Schema::Text(text) => RawSchema::Text(text),
            values::Schema::ArrowIpc(bytes) => RawSchema::ArrowIpc(bytes),
        };
        Ok(schema.map(raw).map_err(GuestError::from))
    }

    pub(super) async fn initial_offset(&self, store: Guest<'_>, source: Handle) -> Returned<String> {
        let offset = self
            .connector()
            .source()
            .call_initial_offset(store, source)
            .await?;
        Ok(offset.map_err(GuestError::from))
    }

    pub(super) async fn latest_offset(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        max_rows: Option<u64>,
    ) -> Returned<String> {
        let offset = self
            .connector()
            .source()
            .call_latest_offset(store, source, &start.to_owned(), max_rows)
            .await?;
        Ok(offset.map_err(GuestError::from))
    }

    pub(super) async fn batch_end(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        latest: &str,
        limit: RawLimit,
    ) -> Returned<String> {
        let offset = self
            .connector()
            .source()
            .call_batch_end(store, source, &start.to_owned(), &latest.to_owned(), limit.into())
            .await?;
        Ok(offset.map_err(GuestError::from))
    }

    pub(super) async fn partitions(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        end: &str,
    ) -> Returned<Vec<String>> {
        let partitions = self
            .connector()
            .source()
            .call_partitions(store, source, &start.to_owned(), &end.to_owned())
            .await?;
        Ok(partitions.map_err(GuestError::from))
    }

    pub(super) async fn read(&self, store: Guest<'_>, source: Handle, partition: &str) -> Returned<Handle> {
        let batches = self
            .connector()
            .source()
            .call_read(store, source, &partition.to_owned())
            .await?;
        Ok(batches.map_err(GuestError::from))
    }

    pub(super) async fn read_from(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        limit: RawLimit,
    ) -> Returned<Handle> {
        let batches = self
            .connector()
            .source()
            .call_read_from(store, source, &start.to_owned(), limit.into())
            .await?;
        Ok(batches.map_err(GuestError::from))
    }

    pub(super) async fn next(&self, mut store: Guest<'_>, batches: Handle) -> Returned<Option<RawBatch>> {
        let next = self.connector().batches().call_next(&mut store, batches).await?;
        let batch = match next {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error.into())),
        };
        let rows = match batch.rows {
            wit::BatchRows::Json(text) => RawRows::Json(text),
            wit::BatchRows::ArrowIpc(bytes) => RawRows::ArrowIpc(bytes),
            wit::BatchRows::Held(held) => RawRows::Held(store.data_mut().table.delete(held)?),
        };
        Ok(Ok(Some(RawBatch { rows, end: batch.end })))
    }

    pub(super) async fn commit(&self, store: Guest<'_>, source: Handle, end: &str) -> Returned<()> {
        let committed = self
            .connector()
            .source()
            .call_commit(store, source, &end.to_owned())
            .await?;
        Ok(committed.map_err(GuestError::from))
    }
}

impl From<RawLimit> for wit::ReadLimit {
    fn from(limit: RawLimit) -> Self {
        Self {
            max_rows: limit.max_rows,
            max_bytes: limit.max_bytes,
        }
    }
}

impl From<wit::StreamInfo> for RawStream {
    fn from(stream: wit::StreamInfo) -> Self {
        Self {
            name: stream.name,
            summary: stream.summary,
            key: stream.key,
        }
    }
}

impl From<values::Error> for GuestError {
    fn from(error: values::Error) -> Self {
        match error {
            values::Error::InvalidOptions(text) => Self::InvalidOptions(text),
            values::Error::Unauthorized(text) => Self::Unauthorized(text),
            values::Error::Unavailable(unavailable) => Self::Unavailable {
                message: unavailable.message,
                retry_after_ms: unavailable.retry_after_ms,
            },
            values::Error::Malformed(text) => Self::Malformed(text),
            values::Error::OffsetLost(text) => Self::OffsetLost(text),
            values::Error::Internal(text) => Self::Internal(text),
        }
    }
}

impl From<GuestError> for values::Error {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::InvalidOptions(text) => Self::InvalidOptions(text),
            GuestError::Unauthorized(text) => Self::Unauthorized(text),
            GuestError::Unavailable {
                message,
                retry_after_ms,
            } => Self::Unavailable(values::Unavailable {
                message,
                retry_after_ms,
            }),
            GuestError::Malformed(text) => Self::Malformed(text),
            GuestError::OffsetLost(text) => Self::OffsetLost(text),
            GuestError::Internal(text) => Self::Internal(text),
        }
    }
}
