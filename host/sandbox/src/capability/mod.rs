//! The capabilities that a component may be given. One file for each, and one list of all: what is not on the list can
//! be neither imported nor linked.
//!
//! A capability names its imports with what they allow in plain words, which is what the check of imports and
//! `sandbar inspect` go by, and it links them. Interfaces of the contract itself are typed by its track, so `abi` links
//! those.

mod clocks;
mod context;
pub(crate) mod http;
mod io;
mod log;
mod memory;
mod process;
mod progress_note;
mod random;
mod rows;
mod wasi_http;
mod wasi_http_types;

use sandbar_egress::{HttpSession, Redactor};
use sandbar_policy::{Violation, Violations};
use tracing::Level;
use wasmtime::ResourceLimiter;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub use context::PipelineContext;
pub(crate) use log::LogCapability;
pub(crate) use memory::MemoryAccount;
use memory::MemoryLimiter;
pub(crate) use progress_note::ProgressNoteCapability;
pub use rows::HeldRows;
pub(crate) use rows::{RawColumn, RawSelection, RowsCapability, Unread};
use wasi_http::HttpCapability;

use crate::guest_error::GuestError;

/// One capability.
pub(crate) struct Capability {
    /// Its interfaces without version, each with what it allows in plain words.
    pub(crate) imports: &'static [(&'static str, &'static str)],
    /// Links its interfaces, those of the contract excepted.
    add_to_linker: fn(&mut Linker<HostState>) -> wasmtime::Result<()>,
}

/// All capabilities.
pub(crate) const CAPABILITIES: &[Capability] = &[
    progress_note::CAPABILITY,
    log::CAPABILITY,
    http::CAPABILITY,
    rows::CAPABILITY,
    wasi_http::CAPABILITY,
    io::CAPABILITY,
    clocks::CAPABILITY,
    random::CAPABILITY,
    process::CAPABILITY,
];

/// Links everything that a component may import, but for the contract's own interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    CAPABILITIES
        .iter()
        .try_for_each(|capability| (capability.add_to_linker)(linker))
}

/// For interfaces of the contract, which the track links because it types them.
fn linked_by_track(_: &mut Linker<HostState>) -> wasmtime::Result<()> {
    Ok(())
}

/// The host's side of one instance: everything that its imports can touch.
pub(crate) struct HostState {
    wasi: WasiCtx,
    /// Resources of the host that the instance holds.
    pub(crate) table: ResourceTable,
    http_ctx: WasiHttpCtx,
    http: HttpCapability,
    pub(crate) session: HttpSession,
    pub(crate) rows: RowsCapability,
    pub(crate) progress_note: ProgressNoteCapability,
    pub(crate) log: LogCapability,
    pub(crate) memory: MemoryAccount,
    limiter: MemoryLimiter,
}

impl HostState {
    pub(crate) fn new(component: &str, context: &PipelineContext, violations: Violations) -> Self {
        let limits = &context.limits;
        let redactor = context.client.redactor().clone();
        let log = LogCapability::new(
            context.pipeline.clone(),
            component.into(),
            context.log.clone(),
            redactor.clone(),
        );
        let mut wasi = WasiCtxBuilder::new();
        random::bound(&mut wasi);
        clocks::make_coarse(&mut wasi, &context.clock);
        wasi.stdout(log.lines(Level::INFO)).stderr(log.lines(Level::WARN));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles as usize);
        let session = HttpSession::new(context.client.clone(), violations.clone());
        let memory = MemoryAccount::new(limits.memory, violations.clone());
        Self {
            wasi: wasi.build(),
            table,
            http_ctx: wasi_http::context(),
            http: HttpCapability::new(session.clone()),
            session,
            rows: RowsCapability::new(limits.batch, memory.clone()),
            progress_note: ProgressNoteCapability::new(context.checkpoint.clone(), violations, redactor),
            log,
            limiter: MemoryLimiter(memory.clone()),
            memory,
        }
    }

    /// Begins a call into the instance: what is counted for each call is counted anew.
    pub(crate) fn begin_call(&self, call: &str) {
        self.http.begin_call(call);
        self.progress_note.begin_call();
    }

    /// Requests and bytes of response bodies since the last call of this function.
    pub(crate) fn take_http_usage(&self) -> (u64, u64) {
        self.http.take_usage()
    }

    /// The most memory that the instance has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory.peak()
    }

    pub(crate) fn memory_limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limiter
    }

    /// Gives the component a handle to what it asked for, or an error in the words of its track.
    pub(crate) fn keep<T: Send + 'static, E: From<GuestError>>(
        &mut self,
        asked: Result<T, GuestError>,
    ) -> wasmtime::Result<Result<Resource<T>, E>> {
        match asked {
            Ok(value) => Ok(Ok(self.table.push(value)?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    /// Records that a promise was broken in the use of HTTP.
    fn record_http_violation(&self, reason: String) {
        self.http.record(Violation::Contract(reason));
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http,
            table: &mut self.table,
            ctx: &mut self.http_ctx,
        }
    }
}

/// Redacts and bounds text of a component before it is shown.
pub(crate) fn redacted(redactor: &Redactor, text: &str, max: usize) -> String {
    sandbar_policy::sanitize(&redactor.redact(text), max)
}
