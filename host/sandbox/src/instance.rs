use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use sandbar_pipeline::{CheckpointLocation, SourceUsage};
use tracing::Level;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::capability::{CheckpointCapability, HttpCapability, HttpUsage, LogBudget, LogCapability};
use crate::clocks::{CoarseMonotonicClock, CoarseWallClock};
use crate::cpu::{CpuMeter, metered};
use crate::error::Label;
use crate::http_client::HttpClient;
use crate::limits::{MemoryLimiter, Violation, Violations};
use crate::process::Process;
use crate::redact::Redactor;
use crate::text::printable;
use crate::{Limits, SandboxError};

/// The largest answer to a request for random bytes.
const MAX_RANDOM: u64 = 64 << 10;

/// Bytes of one set of headers that a component makes. Each handle may be one.
const MAX_FIELDS: usize = 64 << 10;

/// What the instances of one pipeline share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) pipeline: Arc<str>,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) checkpoint: CheckpointLocation,
    pub(crate) limits: Limits,
    pub(crate) log: Arc<LogBudget>,
}

/// The host's side of one instance: everything that its imports can touch.
pub(crate) struct HostState {
    wasi: WasiCtx,
    table: ResourceTable,
    http_ctx: WasiHttpCtx,
    http: HttpCapability,
    pub(crate) checkpoint: CheckpointCapability,
    pub(crate) log: LogCapability,
    limiter: MemoryLimiter,
}

/// Watches over the calls into one instance: budget, deadline, violations.
///
/// After an error the instance is never called again; its store is dropped with everything in it.
pub(crate) struct Guard {
    pub(crate) label: Label,
    meter: Arc<CpuMeter>,
    usage: Arc<HttpUsage>,
    loads: Arc<AtomicU32>,
    violations: Violations,
    pub(crate) limits: Limits,
    redactor: Redactor,
    process: Process,
}

/// A store for one instance, and its guard.
pub(crate) fn new_store(
    engine: &Engine,
    label: &Label,
    surroundings: &Surroundings,
) -> (Store<HostState>, Guard) {
    let limits = &surroundings.limits;
    let mut http_ctx = WasiHttpCtx::new();
    http_ctx.set_field_size_limit(MAX_FIELDS);
    let violations = Violations::default();
    let component: Arc<str> = label.0.as_str().into();
    let redactor = surroundings.client.redactor().clone();
    let pipeline = surroundings.pipeline.clone();
    let log = LogCapability::new(pipeline, component, surroundings.log.clone(), redactor.clone());
    let wasi = WasiCtxBuilder::new()
        .max_random_size(MAX_RANDOM)
        .wall_clock(CoarseWallClock)
        .monotonic_clock(CoarseMonotonicClock::new())
        .stdout(log.lines(Level::INFO))
        .stderr(log.lines(Level::WARN))
        .build();
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits.handles as usize);
    let http = HttpCapability::new(surroundings.client.clone(), limits, violations.clone());
    let location = surroundings.checkpoint.clone();
    let checkpoint = CheckpointCapability::new(location, violations.clone(), redactor.clone());
    let meter = Arc::new(CpuMeter::default());
    let guard = Guard {
        label: label.clone(),
        meter: meter.clone(),
        usage: http.usage.clone(),
        loads: checkpoint.loads.clone(),
        violations: violations.clone(),
        limits: limits.clone(),
        redactor: redactor.clone(),
        process: Process::this(),
    };
    let state = HostState {
        wasi,
        table,
        http_ctx,
        http,
        checkpoint,
        log,
        limiter: MemoryLimiter::new(limits.memory, violations.clone()),
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(usize::try_from(limits.batch).unwrap_or(usize::MAX));
    store.set_max_component_handles(limits.handles as usize);
    store.set_epoch_deadline(1);
    let budget = limits.cpu;
    store.epoch_deadline_callback(move |_| {
        if meter.used_while_polled() > budget {
            violations.note(Violation::Limit {
                limit: format!("it computed for more than {budget:?}"),
                key: "cpu",
            });
            wasmtime::bail!("cpu limit");
        }
        Ok(UpdateDeadline::YieldCustom(1, meter.interrupt()))
    });
    (store, guard)
}

impl Guard {
    /// Awaits a call into the instance. An error means that the instance is done for.
    pub(crate) async fn run<T>(
        &self,
        call: &'static str,
        future: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, SandboxError> {
        self.process.check()?;
        let deadline = self.limits.deadline;
        self.usage.begin_call(call);
        self.meter.begin_call();
        self.loads.store(0, Ordering::Relaxed);
        let metered = metered(self.meter.clone(), future);
        let outcome = tokio::time::timeout(deadline, metered).await;
        if let Some(violation) = self.violations.take() {
            return Err(self.stopped(call, violation));
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(self.trapped(call, &e)),
            Err(_) => Err(self.stopped(
                call,
                Violation::Limit {
                    limit: format!("it took longer than {deadline:?}"),
                    key: "deadline",
                },
            )),
        }
    }

    /// Text from the component, fit to be shown: without control characters, and without secrets that the
    /// remote may have echoed.
    pub(crate) fn shown(&self, text: &str) -> String {
        printable(&self.redactor.redact(text), 4 << 10)
    }

    /// Whether a text holds one of the pipeline's credentials.
    pub(crate) fn finds_secret(&self, text: &str) -> bool {
        self.redactor.finds(text)
    }

    /// A broken promise that the host finds in an answer.
    pub(crate) fn contract(&self, call: &'static str, reason: impl Into<String>) -> SandboxError {
        self.stopped(call, Violation::Contract(reason.into()))
    }

    /// A limit that the host finds exceeded between two calls.
    pub(crate) fn over(&self, call: &'static str, limit: String, key: &'static str) -> SandboxError {
        self.stopped(call, Violation::Limit { limit, key })
    }

    /// What the instance used since the last call of this function. `decode` and `arrow_bytes` are left to the caller.
    pub(crate) fn take_usage(&self, store: &Store<HostState>) -> SourceUsage {
        let (requests, response_bytes) = self.usage.take();
        SourceUsage {
            guest: self.meter.take(),
            decode: Duration::ZERO,
            arrow_bytes: 0,
            response_bytes,
            requests,
            peak_memory: store.data().limiter.peak,
        }
    }

    fn stopped(&self, call: &'static str, violation: Violation) -> SandboxError {
        let component = self.label.clone();
        match violation {
            Violation::Limit { limit, key } => SandboxError::Limit {
                component,
                call,
                limit: self.shown(&limit),
                key,
            },
            Violation::Refused { what, remedy } => SandboxError::Refused {
                component,
                what: self.shown(&what),
                remedy,
            },
            Violation::Forbidden { what, why } => SandboxError::Forbidden {
                component,
                what: self.shown(&what),
                why,
            },
            Violation::Credential(reason) => SandboxError::Credential { component, reason },
            Violation::Remote(what) => SandboxError::Remote {
                component,
                call,
                what: self.shown(&what),
            },
            Violation::Unreachable { what, why } => SandboxError::Unreachable { component, what, why },
            Violation::Contract(reason) => SandboxError::Contract {
                component,
                call,
                reason: self.shown(&reason),
            },
        }
    }

    fn trapped(&self, call: &'static str, error: &wasmtime::Error) -> SandboxError {
        // wasmtime keeps the type of this error to itself.
        let too_much = error
            .chain()
            .any(|e| e.to_string().contains("fuel allocated for hostcalls"));
        if too_much {
            return self.stopped(
                call,
                Violation::Limit {
                    limit: format!("it handed over more than {} bytes at once", self.limits.batch),
                    key: "batch",
                },
            );
        }
        let no_handle = error.chain().any(|e| {
            let text = e.to_string();
            text.contains("store handle limit exceeded") || text.contains("resource table has no free keys")
        });
        if no_handle {
            return self.stopped(
                call,
                Violation::Limit {
                    limit: format!("it holds more than {} handles", self.limits.handles),
                    key: "handles",
                },
            );
        }
        if matches!(error.downcast_ref(), Some(Trap::StackOverflow)) {
            return self.stopped(
                call,
                Violation::Limit {
                    limit: format!("it ran out of its stack of {} bytes", self.limits.stack),
                    key: "stack",
                },
            );
        }
        if error.downcast_ref() == Some(&Errno::NOMEM) {
            return SandboxError::NoMemory {
                component: self.label.clone(),
                call,
            };
        }
        let reason = match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => {
                "it aborted, as a panic does (its last words are in the log)".to_owned()
            }
            Some(trap) => trap.to_string(),
            None => self.shown(&error.root_cause().to_string()),
        };
        SandboxError::Trap {
            component: self.label.clone(),
            call,
            reason,
        }
    }
}

impl HostState {
    /// Notes that a promise was broken in the use of HTTP.
    pub(crate) fn http_violation(&self, reason: String) {
        self.http.violations.note(Violation::Contract(reason));
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
