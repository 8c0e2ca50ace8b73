//! One instance of a component, and the one place where everything that it returns is checked.

mod guard;

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sandbar_egress::thread_time;
use sandbar_pipeline::{Offset, Partition, ReadLimit, SourceError, SourceUsage};
use sandbar_policy::{LimitKey, Violations};
use sandbar_rows::Selection;
use wasmtime::{Engine, Store};

use crate::SandboxError;
use crate::abi::{Exports, Handle, Linked, RawBatch, RawLimit, RawRows, RawSchema, RawStream};
use crate::arrow::{decode_rows, decode_schema, parse_schema};
use crate::capability::{HostState, PipelineContext, Unread};
use crate::component::{Description, StreamInfo};
use crate::error::Label;
use crate::guest_error::GuestError;
pub(crate) use guard::Guard;

/// An instance with its guard. After an error of the sandbox it is never called again; its store is dropped with
/// everything in it.
pub(crate) struct Instance {
    store: Store<HostState>,
    exports: Exports,
    pub(crate) guard: Guard,
    /// Time that rows took which were handed over, since it was last asked for.
    decode: Duration,
}

/// A value, or the component's own error, or an error of the sandbox.
type Answer<T> = Result<T, SourceError>;

/// The most streams that are taken.
const MAX_STREAMS: usize = 10_000;

/// The most parts of one range, and the bytes of all of them together.
const MAX_PARTITIONS: usize = 100_000;
const MAX_PARTITION_BYTES: usize = 16 << 20;

/// Awaits a call of the exports under the guard: a value, or an error of the sandbox.
macro_rules! run {
    ($self:ident, $name:literal, $method:ident($($argument:expr),*)) => {{
        let Self { store, exports, guard, .. } = $self;
        store.data().begin_call($name);
        guard.run($name, exports.$method(store $(, $argument)*)).await
    }};
}

/// The same for functions that may return an error of their own.
macro_rules! call {
    ($self:ident, $name:literal, $method:ident($($argument:expr),*)) => {{
        let returned = run!($self, $name, $method($($argument),*));
        returned.map_err(sandbox_error)?.map_err(|e| own_error(&$self.guard, e))
    }};
}

impl Instance {
    /// Makes an instance of a linked component.
    pub(crate) async fn new(
        engine: &Engine,
        linked: &Linked,
        label: &Label,
        context: &PipelineContext,
    ) -> Result<Self, SandboxError> {
        let violations = Violations::default();
        let state = HostState::new(&label.0, context, violations.clone());
        let mut store = Store::new(engine, state);
        let guard = Guard::over(&mut store, label, context, violations);
        let exports = guard.run("instantiation", linked.instantiate(&mut store)).await?;
        Ok(Self {
            store,
            exports,
            guard,
            decode: Duration::ZERO,
        })
    }

    pub(crate) async fn describe(&mut self) -> Result<Description, SandboxError> {
        let raw = run!(self, "describe", describe())?;
        Description::check(raw.name, raw.version, raw.summary, &raw.options_schema)
            .map_err(|reason| self.guard.contract_violation("describe", reason))
    }

    pub(crate) async fn discover(&mut self, options: &str) -> Answer<Vec<StreamInfo>> {
        let streams = call!(self, "discover", discover(options))?;
        if streams.len() > MAX_STREAMS {
            let reason = format!("it gave {} streams; {MAX_STREAMS} are allowed", streams.len());
            return Err(self.broken("discover", reason));
        }
        Ok(streams
            .into_iter()
            .map(|stream| self.stream_info(stream))
            .collect())
    }

    pub(crate) async fn open(&mut self, stream: Option<&str>, options: &str) -> Answer<Handle> {
        call!(self, "open", open(stream, options))
    }

    pub(crate) async fn info(&mut self, source: Handle) -> Result<StreamInfo, SandboxError> {
        let stream = run!(self, "info", info(source))?;
        Ok(self.stream_info(stream))
    }

    pub(crate) async fn reads_ranges(&mut self, source: Handle) -> Result<bool, SandboxError> {
        run!(self, "reading", reads_ranges(source))
    }

    pub(crate) async fn check(&mut self, source: Handle) -> Answer<()> {
        call!(self, "check", check(source))
    }

    pub(crate) async fn schema(&mut self, source: Handle) -> Answer<SchemaRef> {
        let schema = match call!(self, "schema", schema(source))? {
            RawSchema::Text(text) => parse_schema(&text),
            RawSchema::ArrowIpc(ipc) => decode_schema(ipc),
        };
        schema.map_err(|e| self.broken("schema", e))
    }

    /// Makes the schema of the stream known to whatever reads rows for the component.
    pub(crate) fn set_schema(&mut self, schema: SchemaRef) {
        self.store.data_mut().rows.set_schema(schema);
    }

    pub(crate) async fn initial_offset(&mut self, source: Handle) -> Answer<Offset> {
        let text = call!(self, "initial-offset", initial_offset(source))?;
        self.offset("initial-offset", &text)
    }

    pub(crate) async fn latest_offset(
        &mut self,
        source: Handle,
        start: &Offset,
        max_rows: Option<u64>,
    ) -> Answer<Offset> {
        let start = start.to_string();
        let text = call!(self, "latest-offset", latest_offset(source, &start, max_rows))?;
        self.offset("latest-offset", &text)
    }

    pub(crate) async fn batch_end(
        &mut self,
        source: Handle,
        start: &Offset,
        latest: &Offset,
        limit: ReadLimit,
    ) -> Answer<Offset> {
        let (start, latest, limit) = (start.to_string(), latest.to_string(), raw(limit));
        let text = call!(self, "batch-end", batch_end(source, &start, &latest, limit))?;
        self.offset("batch-end", &text)
    }

    pub(crate) async fn partitions(
        &mut self,
        source: Handle,
        start: &Offset,
        end: &Offset,
    ) -> Answer<Vec<Partition>> {
        let (start, end) = (start.to_string(), end.to_string());
        let texts = call!(self, "partitions", partitions(source, &start, &end))?;
        // Checked before they are parsed: a value takes many times the room of its text.
        let bytes = texts.iter().map(String::len).sum::<usize>();
        if texts.len() > MAX_PARTITIONS || bytes > MAX_PARTITION_BYTES {
            let reason = format!(
                "it gave {} partitions of {bytes} bytes; {MAX_PARTITIONS} of {MAX_PARTITION_BYTES} bytes together are allowed",
                texts.len()
            );
            return Err(self.broken("partitions", reason));
        }
        texts
            .iter()
            .map(|text| Partition::parse(text).map_err(|e| self.broken("partitions", e)))
            .collect()
    }

    pub(crate) async fn read(&mut self, source: Handle, partition: &Partition) -> Answer<Handle> {
        let partition = partition.to_string();
        call!(self, "read", read(source, &partition))
    }

    pub(crate) async fn read_from(
        &mut self,
        source: Handle,
        start: &Offset,
        limit: ReadLimit,
    ) -> Answer<Handle> {
        let (start, limit) = (start.to_string(), raw(limit));
        call!(self, "read-from", read_from(source, &start, limit))
    }

    /// The rows of the next batch in the declared schema, the bytes that they crossed in, and the offset that they reach.
    pub(crate) async fn next(
        &mut self,
        batches: Handle,
        declared: &SchemaRef,
    ) -> Answer<Option<(Vec<RecordBatch>, u64, Option<Offset>)>> {
        let Some(RawBatch { rows, end }) = call!(self, "next", next(batches))? else {
            return Ok(None);
        };
        let end = end.map(|text| self.offset("next", &text)).transpose()?;
        let began = thread_time();
        let taken = self.take_rows(rows, declared);
        self.decode += thread_time().saturating_sub(began);
        let (rows, bytes) = taken?;
        Ok(Some((rows, bytes, end)))
    }

    /// The rows that the component handed over, and the bytes that they crossed in.
    fn take_rows(&mut self, rows: RawRows, declared: &SchemaRef) -> Answer<(Vec<RecordBatch>, u64)> {
        match rows {
            RawRows::ArrowIpc(ipc) => {
                let bytes = ipc.len() as u64;
                let rows = decode_rows(ipc, declared).map_err(|e| self.broken("next", e))?;
                Ok((rows, bytes))
            }
            RawRows::Json(text) => {
                let reader = &mut self.store.data_mut().rows;
                let held = reader.read(text.as_bytes(), Selection::default());
                let held = held.map_err(|unread| self.unread(unread))?;
                Ok((vec![held.rows], text.len() as u64))
            }
            RawRows::Held(held) => {
                let bytes = held.rows.get_array_memory_size() as u64;
                Ok((vec![held.rows], bytes))
            }
        }
    }

    /// Why rows that the component handed over as text are not taken. What is wrong with them is its own error.
    fn unread(&self, unread: Unread) -> SourceError {
        match unread {
            Unread::Rows(error) => {
                SourceError::Malformed(self.guard.sanitize(&format!("rows of the component: {error}")))
            }
            Unread::TooLarge | Unread::Memory => sandbox_error(self.guard.recorded("next")),
            Unread::NoSchema => self.broken("next", "it gave rows before its schema"),
        }
    }

    /// Lets the component save its progress note. At no other time may it do so.
    pub(crate) async fn commit(&mut self, source: Handle, end: &Offset) -> Answer<()> {
        let end = end.to_string();
        self.store.data_mut().progress_note.set_in_commit(true);
        let answer = self.commit_allowed(source, &end).await;
        self.store.data_mut().progress_note.set_in_commit(false);
        answer
    }

    async fn commit_allowed(&mut self, source: Handle, end: &str) -> Answer<()> {
        call!(self, "commit", commit(source, end))
    }

    /// What the instance used since the last call of this function. `arrow_bytes` is left to the caller.
    pub(crate) fn take_usage(&mut self) -> SourceUsage {
        let state = self.store.data_mut();
        let (requests, response_bytes) = state.take_http_usage();
        let in_calls = state.rows.take_decode();
        SourceUsage {
            guest: self.guard.take_cpu().saturating_sub(in_calls),
            decode: in_calls + std::mem::take(&mut self.decode),
            arrow_bytes: 0,
            response_bytes,
            requests,
            peak_memory: state.peak_memory(),
        }
    }

    /// A stream, with texts that are fit to be shown.
    fn stream_info(&self, stream: RawStream) -> StreamInfo {
        let sanitize = |text: String| self.guard.sanitize(&text);
        StreamInfo {
            name: sanitize(stream.name),
            summary: sanitize(stream.summary),
            key: stream.key.into_iter().map(sanitize).collect(),
        }
    }

    fn offset(&self, call: &'static str, text: &str) -> Answer<Offset> {
        if self.guard.finds_secret(text) {
            return Err(self.broken(call, "its offset holds a credential"));
        }
        let max = self.guard.limits.offset;
        if text.len() as u64 > max {
            let limit = format!("it gave an offset of {} bytes and may give {max}", text.len());
            return Err(sandbox_error(self.guard.limit_exceeded(
                call,
                limit,
                LimitKey::Offset,
            )));
        }
        Offset::parse(text).map_err(|e| self.broken(call, e))
    }

    fn broken(&self, call: &'static str, reason: impl Into<String>) -> SourceError {
        sandbox_error(self.guard.contract_violation(call, reason))
    }
}

/// The error of the sandbox, as a source's.
pub(crate) fn sandbox_error(error: SandboxError) -> SourceError {
    SourceError::Sandbox(Box::new(error))
}

/// The component's own error, with its text made fit to be shown.
fn own_error(guard: &Guard, error: GuestError) -> SourceError {
    let sanitize = |text: String| guard.sanitize(&text);
    match error {
        GuestError::InvalidOptions(text) => SourceError::InvalidOptions(sanitize(text)),
        GuestError::Unauthorized(text) => SourceError::Unauthorized(sanitize(text)),
        GuestError::Unavailable {
            message,
            retry_after_ms,
        } => SourceError::Unavailable {
            message: sanitize(message),
            retry_after: retry_after_ms.map(Duration::from_millis),
        },
        GuestError::Malformed(text) => SourceError::Malformed(sanitize(text)),
        GuestError::OffsetLost(text) => SourceError::OffsetLost(sanitize(text)),
        GuestError::Internal(text) => SourceError::Internal(sanitize(text)),
    }
}

fn raw(limit: ReadLimit) -> RawLimit {
    RawLimit {
        max_rows: limit.max_rows,
        max_bytes: limit.max_bytes,
    }
}
