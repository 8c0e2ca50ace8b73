//! The track of the tests: see `tests/track`, where its WIT is.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker};

use super::{Handle, RawBatch, RawDescription, RawLimit, RawRows, RawSchema, RawStream, Returned};
use crate::capability::HostState;
use crate::capability::http::RawRequest;
use crate::guest_error::GuestError;

mod bindings {
    #![allow(missing_docs)]
    wasmtime::component::bindgen!({
        path: "../../tests/track/wit",
        world: "source",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use bindings::exports::sandbar::connector::sources as wit;
use bindings::sandbar::connector::values::{self, Failure, Helper};
use bindings::sandbar::connector::{http, progress_note};

pub(super) const TRACK: &str = "sandbar:connector@1000.0.0-test";

/// A component of this track, ready to be instantiated.
pub(crate) struct Linked(bindings::SourcePre<HostState>);

/// The exports of an instance of this track.
pub(crate) struct Exports(bindings::Source);

/// Links the track's own interfaces. Fails when the component does not export the track.
pub(super) fn link(linker: &mut Linker<HostState>, component: &Component) -> wasmtime::Result<Linked> {
    values::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    http::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    progress_note::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
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
    fn sources(&self) -> &wit::Guest {
        self.0.sandbar_connector_sources()
    }

    pub(super) async fn describe(&self, store: Guest<'_>) -> wasmtime::Result<RawDescription> {
        let about = self.sources().call_introduce(store).await?;
        let (major, minor, patch) = about.release;
        Ok(RawDescription {
            name: about.id,
            version: format!("{major}.{minor}.{patch}"),
            summary: String::new(),
            options_schema: about.options,
        })
    }

    pub(super) async fn discover(&self, store: Guest<'_>, options: &str) -> Returned<Vec<RawStream>> {
        let tables = self.sources().call_tables(store, &options.to_owned()).await?;
        Ok(tables
            .map(|tables| tables.into_iter().map(RawStream::from).collect())
            .map_err(GuestError::from))
    }

    pub(super) async fn open(
        &self,
        store: Guest<'_>,
        stream: Option<&str>,
        options: &str,
    ) -> Returned<Handle> {
        let source = self.sources().source();
        let opened = source.call_open(store, stream, &options.to_owned()).await?;
        Ok(opened.map_err(GuestError::from))
    }

    pub(super) async fn info(&self, store: Guest<'_>, source: Handle) -> wasmtime::Result<RawStream> {
        let table = self.sources().source().call_table(store, source).await?;
        Ok(table.into())
    }

    pub(super) async fn reads_ranges(&self, store: Guest<'_>, source: Handle) -> wasmtime::Result<bool> {
        let table = self.sources().source().call_table(store, source).await?;
        Ok(table.ranged)
    }

    pub(super) async fn check(&self, store: Guest<'_>, source: Handle) -> Returned<()> {
        let probed = self.sources().source().call_probe(store, source).await?;
        Ok(probed.map_err(GuestError::from))
    }

    pub(super) async fn schema(&self, store: Guest<'_>, source: Handle) -> Returned<RawSchema> {
        let columns = self.sources().source().call_columns(store, source).await?;
        Ok(columns.map(RawSchema::Text).map_err(GuestError::from))
    }

    pub(super) async fn initial_offset(&self, store: Guest<'_>, source: Handle) -> Returned<String> {
        let offset = self.sources().source().call_begin(store, source).await?;
        Ok(offset.map_err(GuestError::from))
    }

    pub(super) async fn latest_offset(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        max_rows: Option<u64>,
    ) -> Returned<String> {
        let limit = RawLimit {
            max_rows,
            max_bytes: None,
        };
        self.end(store, source, start, None, limit).await
    }

    pub(super) async fn batch_end(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        latest: &str,
        limit: RawLimit,
    ) -> Returned<String> {
        self.end(store, source, start, Some(latest), limit).await
    }

    /// One function here for two of the host's.
    async fn end(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        latest: Option<&str>,
        limit: RawLimit,
    ) -> Returned<String> {
        let (start, latest) = (start.to_owned(), latest.map(str::to_owned));
        let sources = self.sources().source();
        let offset = sources
            .call_end(store, source, &start, latest.as_ref(), limit.into())
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
        let (start, end) = (start.to_owned(), end.to_owned());
        let parts = self
            .sources()
            .source()
            .call_parts(store, source, &start, &end)
            .await?;
        Ok(parts.map_err(GuestError::from))
    }

    pub(super) async fn read(&self, store: Guest<'_>, source: Handle, partition: &str) -> Returned<Handle> {
        let piece = wit::Piece::Part(partition.to_owned());
        self.pages(store, source, piece).await
    }

    pub(super) async fn read_from(
        &self,
        store: Guest<'_>,
        source: Handle,
        start: &str,
        limit: RawLimit,
    ) -> Returned<Handle> {
        let piece = wit::Piece::Onwards((start.to_owned(), limit.into()));
        self.pages(store, source, piece).await
    }

    async fn pages(&self, store: Guest<'_>, source: Handle, piece: wit::Piece) -> Returned<Handle> {
        let pages = self.sources().source().call_read(store, source, &piece).await?;
        Ok(pages.map_err(GuestError::from))
    }

    pub(super) async fn next(&self, store: Guest<'_>, batches: Handle) -> Returned<Option<RawBatch>> {
        let page = self.sources().pages().call_next(store, batches).await?;
        let batch = |page: wit::Page| RawBatch {
            rows: RawRows::Json(page.rows),
            end: page.end,
        };
        Ok(page.map(|page| page.map(batch)).map_err(GuestError::from))
    }

    pub(super) async fn commit(&self, store: Guest<'_>, source: Handle, end: &str) -> Returned<()> {
        let done = self
            .sources()
            .source()
            .call_done(store, source, &end.to_owned())
            .await?;
        Ok(done.map_err(GuestError::from))
    }
}

impl values::Host for HostState {}

impl http::Host for HostState {
    async fn get(&mut self, url: String) -> wasmtime::Result<Result<String, Failure>> {
        let request = RawRequest {
            method: "GET".to_owned(),
            url,
            headers: vec![],
            body: None,
            timeout: None,
        };
        let response = self.send_request(request).await;
        let text = response.and_then(|response| {
            response.error_for_status()?;
            Ok(String::from_utf8_lossy(&response.text()?).into_owned())
        });
        Ok(text.map_err(Failure::from))
    }
}

impl progress_note::Host for HostState {
    async fn keep(&mut self, note: String) -> wasmtime::Result<Result<(), Failure>> {
        let saved = self.progress_note.save(&note).await;
        Ok(saved.map_err(|text| GuestError::Internal(text).into()))
    }
}

impl From<RawLimit> for wit::Limit {
    fn from(limit: RawLimit) -> Self {
        Self {
            rows: limit.max_rows,
            bytes: limit.max_bytes,
        }
    }
}

impl From<wit::Table> for RawStream {
    fn from(table: wit::Table) -> Self {
        Self {
            name: table.title,
            summary: String::new(),
            key: table.keyed_by,
        }
    }
}

impl From<Failure> for GuestError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later((message, seconds)) => Self::Unavailable {
                message,
                retry_after_ms: seconds.map(|seconds| u64::from(seconds) * 1_000),
            },
            Failure::Never((Helper::Options, text)) => Self::InvalidOptions(text),
            Failure::Never((Helper::Credentials, text)) => Self::Unauthorized(text),
            Failure::Never((Helper::Remote, text)) => Self::Malformed(text),
            Failure::Never((Helper::Position, text)) => Self::OffsetLost(text),
            Failure::Never((Helper::Author, text)) => Self::Internal(text),
        }
    }
}

impl From<GuestError> for Failure {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Unavailable {
                message,
                retry_after_ms,
            } => {
                let seconds = retry_after_ms.map(|ms| u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX));
                Self::Later((message, seconds))
            }
            GuestError::InvalidOptions(text) => Self::Never((Helper::Options, text)),
            GuestError::Unauthorized(text) => Self::Never((Helper::Credentials, text)),
            GuestError::Malformed(text) => Self::Never((Helper::Remote, text)),
            GuestError::OffsetLost(text) => Self::Never((Helper::Position, text)),
            GuestError::Internal(text) => Self::Never((Helper::Author, text)),
        }
    }
}
