//! The adapter for components of the track `sandbar:connector@0.1`.
//!
//! It only translates. What a component may do and use is enforced in `instance`, at the one point that all
//! tracks share.

use std::time::Duration;

use sandbar_pipeline::{Offset, Partition, ReadLimit, SourceError};
use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, Linker, ResourceAny};

use crate::SandboxError;
use crate::connector::{Description, StreamInfo};
use crate::instance::{Guard, HostState};

mod bindings {
    #![allow(missing_docs)]
    wasmtime::component::bindgen!({
        path: "../../wit/v0.1",
        world: "source",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

use bindings::exports::sandbar::connector::connector as wit;
use bindings::sandbar::connector::{checkpoint, log, types};

/// A component of this track, linked to the capabilities and ready to be instantiated.
pub(crate) struct Linked(bindings::SourcePre<HostState>);

/// One instance, with its guard.
pub(crate) struct Instance {
    store: Store<HostState>,
    exports: bindings::Source,
    pub(crate) guard: Guard,
}

/// A handle to something that lives in the instance.
pub(crate) type Handle = ResourceAny;

/// What the component answers: a value, or its own error.
type Answer<T> = Result<T, SourceError>;

/// The most parts of one range, and what they may take together.
const MAX_PARTITIONS: usize = 100_000;
const MAX_PARTITION_BYTES: usize = 16 << 20;

/// Links a component. Fails when it does not export the contract.
pub(crate) fn link(linker: &mut Linker<HostState>, component: &Component) -> wasmtime::Result<Linked> {
    checkpoint::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    types::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
    Ok(Linked(bindings::SourcePre::new(
        linker.instantiate_pre(component)?,
    )?))
}

macro_rules! call {
    ($self:ident, $name:literal, $method:ident $(, $argument:expr)*) => {{
        let Self { store, exports, guard } = $self;
        let source = exports.sandbar_connector_connector().source();
        let answer = guard.run($name, source.$method(store, $($argument),*)).await;
        answer.map_err(host_error)?.map_err(|e| source_error(guard, e))
    }};
}

impl Instance {
    pub(crate) async fn new(
        linked: &Linked,
        mut store: Store<HostState>,
        guard: Guard,
    ) -> Result<Self, SandboxError> {
        let exports = guard
            .run("instantiation", linked.0.instantiate_async(&mut store))
            .await?;
        Ok(Self {
            store,
            exports,
            guard,
        })
    }

    pub(crate) async fn describe(&mut self) -> Result<Description, SandboxError> {
        let connector = self.exports.sandbar_connector_connector();
        let said = self
            .guard
            .run("describe", connector.call_describe(&mut self.store))
            .await?;
        Description::check(said.name, said.version, said.summary, &said.options_schema)
            .map_err(|reason| self.guard.contract("describe", reason))
    }

    pub(crate) async fn discover(&mut self, options: &String) -> Answer<Vec<StreamInfo>> {
        let connector = self.exports.sandbar_connector_connector();
        let answer = self
            .guard
            .run("discover", connector.call_discover(&mut self.store, options))
            .await;
        let streams = answer
            .map_err(host_error)?
            .map_err(|e| source_error(&self.guard, e))?;
        let shown = |text: String| self.guard.shown(&text);
        Ok(streams
            .into_iter()
            .map(|stream| StreamInfo {
                name: shown(stream.name),
                summary: shown(stream.summary),
                key: stream.key.into_iter().map(shown).collect(),
            })
            .collect())
    }

    #[expect(clippy::ptr_arg, reason = "the generated function takes strings so")]
    pub(crate) async fn open(&mut self, stream: &String, options: &String) -> Answer<Handle> {
        call!(self, "open", call_open, stream, options)
    }

    pub(crate) async fn check(&mut self, source: Handle) -> Answer<()> {
        call!(self, "check", call_check, source)
    }

    pub(crate) async fn schema(&mut self, source: Handle) -> Answer<Vec<u8>> {
        call!(self, "schema", call_schema, source)
    }

    pub(crate) async fn initial_offset(&mut self, source: Handle) -> Answer<Offset> {
        let text = call!(self, "initial-offset", call_initial_offset, source)?;
        self.offset("initial-offset", &text)
    }

    pub(crate) async fn latest_offset(
        &mut self,
        source: Handle,
        start: &Offset,
        up_to: Option<&Offset>,
        limit: ReadLimit,
    ) -> Answer<Option<Offset>> {
        let start = start.to_string();
        let up_to = up_to.map(ToString::to_string);
        let (up_to, limit) = (up_to.as_ref(), read_limit(limit));
        let text = call!(
            self,
            "latest-offset",
            call_latest_offset,
            source,
            &start,
            up_to,
            limit
        )?;
        text.map(|text| self.offset("latest-offset", &text)).transpose()
    }

    pub(crate) async fn partitions(
        &mut self,
        source: Handle,
        start: &Offset,
        end: &Offset,
    ) -> Answer<Vec<Partition>> {
        let (start, end) = (start.to_string(), end.to_string());
        let texts = call!(self, "partitions", call_partitions, source, &start, &end)?;
        // Looked at before they are parsed: a value takes many times the room of its text.
        let bytes = texts.iter().map(String::len).sum::<usize>();
        if texts.len() > MAX_PARTITIONS || bytes > MAX_PARTITION_BYTES {
            let reason = format!(
                "it gave {} partitions of {bytes} bytes; {MAX_PARTITIONS} of {MAX_PARTITION_BYTES} bytes together are allowed",
                texts.len()
            );
            return Err(host_error(self.guard.contract("partitions", reason)));
        }
        texts
            .iter()
            .map(|text| Partition::parse(text).map_err(|e| host_error(self.guard.contract("partitions", e))))
            .collect()
    }

    pub(crate) async fn read(&mut self, source: Handle, partition: &Partition) -> Answer<Handle> {
        let partition = partition.to_string();
        call!(self, "read", call_read, source, &partition)
    }

    pub(crate) async fn read_from(
        &mut self,
        source: Handle,
        start: &Offset,
        limit: ReadLimit,
    ) -> Answer<Handle> {
        let start = start.to_string();
        let limit = read_limit(limit);
        call!(self, "read-from", call_read_from, source, &start, limit)
    }

    /// The IPC bytes of the next batch and the offset that it reaches.
    pub(crate) async fn next(&mut self, batches: Handle) -> Answer<Option<(Vec<u8>, Option<Offset>)>> {
        let reader = self.exports.sandbar_connector_connector().batches();
        let next = reader.call_next(&mut self.store, batches);
        let answer = self.guard.run("next", next).await;
        let answer = answer.map_err(host_error)?;
        let Some(batch) = answer.map_err(|e| source_error(&self.guard, e))? else {
            return Ok(None);
        };
        let end = batch.end.map(|text| self.offset("next", &text)).transpose()?;
        Ok(Some((batch.rows, end)))
    }

    pub(crate) async fn commit(&mut self, source: Handle, end: &Offset) -> Answer<()> {
        let end = end.to_string();
        self.store.data_mut().checkpoint.set_in_commit(true);
        let answer = self.commit_allowed(source, &end).await;
        self.store.data_mut().checkpoint.set_in_commit(false);
        answer
    }

    pub(crate) fn take_usage(&self) -> sandbar_pipeline::SourceUsage {
        self.guard.take_usage(&self.store)
    }

    async fn commit_allowed(&mut self, source: Handle, end: &String) -> Answer<()> {
        call!(self, "commit", call_commit, source, end)
    }

    fn offset(&self, call: &'static str, text: &str) -> Answer<Offset> {
        if self.guard.finds_secret(text) {
            let reason = "its offset holds a credential";
            return Err(host_error(self.guard.contract(call, reason)));
        }
        let most = self.guard.limits.offset;
        if text.len() as u64 > most {
            let limit = format!("it gave an offset of {} bytes and may give {most}", text.len());
            return Err(host_error(self.guard.over(call, limit, "offset")));
        }
        Offset::parse(text).map_err(|e| host_error(self.guard.contract(call, e)))
    }
}

fn host_error(error: SandboxError) -> SourceError {
    SourceError::Sandbox(Box::new(error))
}

fn source_error(guard: &Guard, error: wit::Error) -> SourceError {
    let shown = |text: String| guard.shown(&text);
    match error {
        wit::Error::InvalidOptions(text) => SourceError::InvalidOptions(shown(text)),
        wit::Error::Unauthorized(text) => SourceError::Unauthorized(shown(text)),
        wit::Error::Unavailable(unavailable) => SourceError::Unavailable {
            message: shown(unavailable.message),
            retry_after: unavailable.retry_after_ms.map(Duration::from_millis),
        },
        wit::Error::Malformed(text) => SourceError::Malformed(shown(text)),
        wit::Error::OffsetLost(text) => SourceError::OffsetLost(shown(text)),
        wit::Error::Internal(text) => SourceError::Internal(shown(text)),
    }
}

fn read_limit(limit: ReadLimit) -> wit::ReadLimit {
    wit::ReadLimit {
        max_rows: limit.max_rows,
        max_bytes: limit.max_bytes,
    }
}

impl types::Host for HostState {}

impl checkpoint::Host for HostState {
    async fn load(&mut self) -> wasmtime::Result<Result<Option<String>, types::Error>> {
        Ok(self.checkpoint.load().await.map_err(types::Error::Internal))
    }

    async fn save(&mut self, progress: String) -> wasmtime::Result<Result<(), types::Error>> {
        Ok(self
            .checkpoint
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
