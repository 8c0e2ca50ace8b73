//! The track `sandbar:connector@0.1`.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::{GuestError, Handle, RawBatch, RawDescription, RawLimit, RawStream, Returned};
use crate::capability::HostState;

mod bindings {
    #![allow(missing_docs)]
    wasmtime::component::bindgen!({
        path: "wit/v0.1",
        world: "source",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use bindings::exports::sandbar::connector::connector as wit;
use bindings::sandbar::connector::{checkpoint, log, types};

pub(super) const TRACK: &str = "sandbar:connector@0.1";

/// A component of this track, ready to be instantiated.
pub(crate) struct Linked(bindings::SourcePre<HostState>);

/// The exports of an instance of this track.
pub(crate) struct Exports(bindings::Source);

/// Links the contract's own interfaces. Fails when the component does not export the contract.
pub(super) fn link(linker: &mut Linker<HostState>, component: &Component) -> wasmtime::Result<Linked> {
    checkpoint::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    types::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
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
        let raw = |stream: wit::StreamInfo| RawStream {
            name: stream.name,
            summary: stream.summary,
            key: stream.key,
        };
        Ok(streams
            .map(|streams| streams.into_iter().map(raw).collect())
            .map_err(GuestError::from))
    }

    pub(super) async fn open(&self, store: Guest<'_>, stream: &str, options: &str) -> Returned<Handle> {
        let opened = self
            .connector()
            .source()
            .call_open(store, stream, &options.to_owned())
            .await?;
        Ok(opened.map_err(GuestError::from))
    }

    pub(super) async fn check(&self, store: Guest<'_>, source: Handle) -> Returned<()> {
        let checked = self.connector().source().call_check(store, source).await?;
        Ok(checked.map_err(GuestError::from))
    }

    pub(super) async fn schema(&self, store: Guest<'_>, source: Handle) -> Returned<Vec<u8>> {
        let schema = self.connector().source().call_schema(store, source).await?;
        Ok(schema.map_err(GuestError::from))
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
        up_to: Option<&str>,
        limit: RawLimit,
    ) -> Returned<Option<String>> {
        let up_to = up_to.map(str::to_owned);
        let offset = self
            .connector()
            .source()
            .call_latest_offset(store, source, &start.to_owned(), up_to.as_ref(), limit.into())
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

    pub(super) async fn next(&self, store: Guest<'_>, batches: Handle) -> Returned<Option<RawBatch>> {
        let next = self.connector().batches().call_next(store, batches).await?;
        let raw = |batch: wit::Batch| RawBatch {
            rows: batch.rows,
            end: batch.end,
        };
        Ok(next.map(|batch| batch.map(raw)).map_err(GuestError::from))
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

impl From<wit::Error> for GuestError {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidOptions(text) => Self::InvalidOptions(text),
            wit::Error::Unauthorized(text) => Self::Unauthorized(text),
            wit::Error::Unavailable(unavailable) => Self::Unavailable {
                message: unavailable.message,
                retry_after_ms: unavailable.retry_after_ms,
            },
            wit::Error::Malformed(text) => Self::Malformed(text),
            wit::Error::OffsetLost(text) => Self::OffsetLost(text),
            wit::Error::Internal(text) => Self::Internal(text),
        }
    }
}

impl types::Host for HostState {}

impl checkpoint::Host for HostState {
    async fn load(&mut self) -> wasmtime::Result<Result<Option<String>, types::Error>> {
        Ok(self.progress_note.load().await.map_err(types::Error::Internal))
    }

    async fn save(&mut self, progress: String) -> wasmtime::Result<Result<(), types::Error>> {
        Ok(self
            .progress_note
            .save(&progress)
            .await
            .map_err(types::Error::Internal))
    }
}

impl log::Host for HostState {
    async fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => tracing::Level::TRACE,
            log::Level::Debug => tracing::Level::DEBUG,
            log::Level::Info => tracing::Level::INFO,
            log::Level::Warn => tracing::Level::WARN,
            log::Level::Error => tracing::Level::ERROR,
        };
        self.log.log(level, &message);
        Ok(())
    }
}
