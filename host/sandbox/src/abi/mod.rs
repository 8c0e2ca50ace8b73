//! The tracks of the contract that this host speaks.
//!
//! Each track is one file that only translates, and one entry of the list here, which gives it its arm of the two enums.
//! What a component may do and use is enforced in `instance`, which calls all tracks through these enums, and in
//! `capability`: nothing that a track returns is trusted.
//!
//! The track of the tests shows that a second one needs no more than that. No other build has it.

#[cfg(test)]
mod test_track;
mod v0_1;

use wasmtime::component::{Component, Linker, ResourceAny};
use wasmtime::{Engine, Store};

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

/// The package of the contract.
pub(crate) const PACKAGE: &str = "sandbar:connector";

/// Calls a macro with all tracks, newest last: this list is all that makes a track known to the host.
macro_rules! with_tracks {
    ($call:ident!($($argument:tt)*)) => {
        $call! {
            [
                V0_1 = v0_1,
                #[cfg(test)]
                Test = test_track,
            ]
            $($argument)*
        }
    };
}

macro_rules! define {
    ([$($(#[$condition:meta])* $track:ident = $file:ident,)+]) => {
        /// A component, linked to the capabilities and ready to be instantiated.
        pub(crate) enum Linked {
            $($(#[$condition])* $track($file::Linked),)+
        }

        /// The exports of one instance.
        pub(crate) enum Exports {
            $($(#[$condition])* $track($file::Exports),)+
        }

        const TRACKS: &[Track] = &[
            $($(#[$condition])* Track {
                name: $file::TRACK,
                link: |linker, component| $file::link(linker, component).map(Linked::$track),
            },)+
        ];

        impl Linked {
            pub(crate) fn track(&self) -> &'static str {
                match self {
                    $($(#[$condition])* Self::$track(_) => $file::TRACK,)+
                }
            }

            pub(crate) async fn instantiate(
                &self,
                store: &mut Store<HostState>,
            ) -> wasmtime::Result<Exports> {
                match self {
                    $($(#[$condition])* Self::$track(linked) => {
                        linked.instantiate(store).await.map(Exports::$track)
                    })+
                }
            }
        }
    };
}

macro_rules! call {
    ([$($(#[$condition:meta])* $track:ident = $file:ident,)+] $exports:expr, $inner:ident => $call:expr) => {
        match $exports {
            $($(#[$condition])* Exports::$track($inner) => $call,)+
        }
    };
}

/// Calls the same function of whichever track it is.
macro_rules! each_track {
    ($($argument:tt)*) => {
        with_tracks!(call!($($argument)*))
    };
}

with_tracks!(define!());

/// One track.
struct Track {
    /// Package and version: `0.1` stands for every release that is compatible with it, a version with a pre-release for
    /// itself alone.
    name: &'static str,
    link: fn(&mut Linker<HostState>, &Component) -> wasmtime::Result<Linked>,
}

/// Why a component is not linked.
pub(crate) enum Unlinked {
    /// It is made for this version of the contract, which no track is.
    OtherVersion(String),
    /// It exports no track, or imports what is not linked.
    NoSource(wasmtime::Error),
}

/// The names of all tracks, oldest first.
pub(crate) fn track_names() -> impl Iterator<Item = &'static str> {
    TRACKS.iter().map(|track| track.name)
}

impl Linked {
    /// Links a component to the newest track that its exports name.
    ///
    /// # Errors
    /// It does not export a track that this host speaks, or imports what is not linked.
    pub(crate) fn new(engine: &Engine, component: &Component) -> Result<Self, Unlinked> {
        let kind = component.component_type();
        let versions = |names: Vec<&str>| -> Vec<String> {
            let versions = names.into_iter().filter_map(version);
            versions.map(str::to_owned).collect()
        };
        let exported = versions(kind.exports(engine).map(|(name, _)| name).collect());
        let imported = versions(kind.imports(engine).map(|(name, _)| name).collect());
        let mut newest_first = TRACKS.iter().rev();
        let named = newest_first.find(|track| exported.iter().any(|version| track.speaks(version)));
        let linked = match named {
            Some(track) => {
                let mut linker = Linker::new(engine);
                capability::add_to_linker(&mut linker).and_then(|()| (track.link)(&mut linker, component))
            }
            None => Err(wasmtime::format_err!("it exports nothing of the contract")),
        };
        linked.map_err(|error| {
            let unknown = |version: &String| !TRACKS.iter().any(|track| track.speaks(version));
            match exported.into_iter().chain(imported).find(unknown) {
                Some(version) => Unlinked::OtherVersion(version),
                None => Unlinked::NoSource(error),
            }
        })
    }
}

impl Track {
    fn speaks(&self, version: &str) -> bool {
        let own = self.name.rsplit_once('@').map_or("", |(_, own)| own);
        match own.contains('-') {
            true => version == own,
            false => version
                .strip_prefix(own)
                .is_some_and(|rest| rest.starts_with('.') && !rest.contains('-')),
        }
    }
}

/// The version of the contract that an import or export names, if it is of the contract.
fn version(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    interface.starts_with('/').then_some(version)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_speaks_its_releases_and_a_pre_release_itself_alone() {
        let speaks = |name, version| {
            let link = |_: &mut _, _: &_| wasmtime::bail!("not linked");
            Track { name, link }.speaks(version)
        };
        let (released, test) = ("sandbar:connector@0.1", "sandbar:connector@1000.0.0-test");
        for (track, version, spoken) in [
            (released, "0.1.0", true),
            (released, "0.1.7", true),
            (released, "0.1.0-rc.1", false),
            (released, "0.10.0", false),
            (released, "0.2.0", false),
            (released, "1000.0.0-test", false),
            (test, "1000.0.0-test", true),
            (test, "1000.0.0", false),
            (test, "1000.0.0-test.1", false),
            (test, "0.1.0", false),
        ] {
            assert_eq!(speaks(track, version), spoken, "{track} {version}");
        }
    }

    #[test]
    fn only_names_of_the_contract_have_its_version() {
        assert_eq!(version("sandbar:connector/http@0.1.0"), Some("0.1.0"));
        for other in [
            "wasi:http/types@0.2.12",
            "sandbar:connector-x/http@0.1.0",
            "run",
            "",
        ] {
            assert_eq!(version(other), None, "{other}");
        }
    }
}
