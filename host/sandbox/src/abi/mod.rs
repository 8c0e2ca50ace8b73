//! The tracks of the contract that this host speaks.
//!
//! Each track is one file that only translates, and one arm of the two enums here. What a component may do and use is
//! enforced in `instance`, which calls all tracks through these enums: nothing that a track returns is trusted.

mod v0_1;

use wasmtime::Store;
use wasmtime::component::{Component, Linker, ResourceAny};

use crate::capability::{self, HeldRows, HostState};
use crate::guest_error::GuestError;

/// A handle to a source or a reader that lives in the instance.
pub(crate) type Handle = ResourceAny;

/// What the component returns from a call: a value, or its own error.
pub(crate) type Returned<T> = wasmtime::Result<Result<T, GuestError>>;

/// A component's description of itself, as it was returned.
pub(crate) struct RawDescription {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    pub(crate) options_schema: String,
}

/// A stream, as it was returned.
pub(crate) struct RawStream {
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) key: Vec<String>,
}

/// The schema of a stream, as it was returned.
pub(crate) enum RawSchema {
    /// Text in Spark's DDL.
    Text(String),
    /// An Arrow IPC stream without a batch.
    ArrowIpc(Vec<u8>),
}

/// Rows, as they were returned.
pub(crate) enum RawRows {
    /// JSON text.
    Json(String),
    /// An Arrow IPC stream.
    ArrowIpc(Vec<u8>),
    /// Rows that the host read for the component.
    Held(HeldRows),
}

/// A batch of rows, as it was returned.
pub(crate) struct RawBatch {
    pub(crate) rows: RawRows,
    /// The offset that the batch reaches, as JSON text.
    pub(crate) end: Option<String>,
}

/// The most that a call may read.
#[derive(Clone, Copy)]
pub(crate) struct RawLimit {
    pub(crate) max_rows: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
}

/// A component, linked to the capabilities and ready to be instantiated.
pub(crate) enum Linked {
    V0_1(v0_1::Linked),
}

/// The exports of one instance.
pub(crate) enum Exports {
    V0_1(v0_1::Exports),
}

/// The package of the contract.
pub(crate) const PACKAGE: &str = "sandbar:connector";

/// All tracks, newest last.
pub(crate) const TRACKS: [&str; 1] = [v0_1::TRACK];

/// Calls the same function of whichever track it is.
macro_rules! each_track {
    ($value:expr, $inner:ident => $call:expr) => {
        match $value {
            Self::V0_1($inner) => $call,
        }
    };
}

impl Linked {
    /// Links a component of any track.
    ///
    /// # Errors
    /// It does not export a track that this host speaks, or imports what is not linked.
    pub(crate) fn new(linker: &mut Linker<HostState>, component: &Component) -> wasmtime::Result<Self> {
        capability::add_to_linker(linker)?;
        v0_1::link(linker, component).map(Self::V0_1)
    }

    pub(crate) fn track(&self) -> &'static str {
        match self {
            Self::V0_1(_) => v0_1::TRACK,
        }
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Exports> {
        match self {
            Self::V0_1(linked) => linked.instantiate(store).await.map(Exports::V0_1),
        }
    }
}

impl Exports {
    pub(crate) async fn describe(&self, store: &mut Store<HostState>) -> wasmtime::Result<RawDescription> {
        each_track!(self, exports => exports.describe(store).await)
    }

    pub(crate) async fn discover(
        &self,
        store: &mut Store<HostState>,
        options: &str,
    ) -> Returned<Vec<RawStream>> {
        each_track!(self, exports => exports.discover(store, options).await)
    }

    pub(crate) async fn open(
        &self,
        store: &mut Store<HostState>,
        stream: Option<&str>,
        options: &str,
    ) -> Returned<Handle> {
        each_track!(self, exports => exports.open(store, stream, options).await)
    }

    pub(crate) async fn check(&self, store: &mut Store<HostState>, source: Handle) -> Returned<()> {
        each_track!(self, exports => exports.check(store, source).await)
    }

    pub(crate) async fn info(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
    ) -> wasmtime::Result<RawStream> {
        each_track!(self, exports => exports.info(store, source).await)
    }

    /// Whether the stream is read by ranges; else it is read sequentially.
    pub(crate) async fn reads_ranges(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
    ) -> wasmtime::Result<bool> {
        each_track!(self, exports => exports.reads_ranges(store, source).await)
    }

    pub(crate) async fn schema(&self, store: &mut Store<HostState>, source: Handle) -> Returned<RawSchema> {
        each_track!(self, exports => exports.schema(store, source).await)
    }

    pub(crate) async fn initial_offset(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
    ) -> Returned<String> {
        each_track!(self, exports => exports.initial_offset(store, source).await)
    }

    pub(crate) async fn latest_offset(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        start: &str,
        max_rows: Option<u64>,
    ) -> Returned<String> {
        each_track!(self, exports => exports.latest_offset(store, source, start, max_rows).await)
    }

    pub(crate) async fn batch_end(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        start: &str,
        latest: &str,
        limit: RawLimit,
    ) -> Returned<String> {
        each_track!(self, exports => exports.batch_end(store, source, start, latest, limit).await)
    }

    pub(crate) async fn partitions(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        start: &str,
        end: &str,
    ) -> Returned<Vec<String>> {
        each_track!(self, exports => exports.partitions(store, source, start, end).await)
    }

    pub(crate) async fn read(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        partition: &str,
    ) -> Returned<Handle> {
        each_track!(self, exports => exports.read(store, source, partition).await)
    }

    pub(crate) async fn read_from(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        start: &str,
        limit: RawLimit,
    ) -> Returned<Handle> {
        each_track!(self, exports => exports.read_from(store, source, start, limit).await)
    }

    pub(crate) async fn next(
        &self,
        store: &mut Store<HostState>,
        batches: Handle,
    ) -> Returned<Option<RawBatch>> {
        each_track!(self, exports => exports.next(store, batches).await)
    }

    pub(crate) async fn commit(
        &self,
        store: &mut Store<HostState>,
        source: Handle,
        end: &str,
    ) -> Returned<()> {
        each_track!(self, exports => exports.commit(store, source, end).await)
    }
}
