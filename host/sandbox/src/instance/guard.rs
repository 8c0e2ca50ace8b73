use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use sandbar_egress::{CpuMeter, Process, Redactor, metered};
use sandbar_policy::{LimitKey, Limits, Violation, Violations};
use wasmtime::{Store, Trap, UpdateDeadline};

use crate::SandboxError;
use crate::capability::{HostState, PipelineContext, redacted};
use crate::error::Label;

/// The longest text of a component that is shown, in bytes.
const MAX_TEXT: usize = 4 << 10;

/// Watches over the calls into one instance: budget, deadline, violations.
///
/// After an error the instance is never called again; its store is dropped with everything in it.
pub(crate) struct Guard {
    pub(crate) label: Label,
    meter: Arc<CpuMeter>,
    violations: Violations,
    pub(crate) limits: Limits,
    redactor: Redactor,
    process: Process,
}

impl Guard {
    /// Puts the store of a new instance under its limits.
    pub(crate) fn over(
        store: &mut Store<HostState>,
        label: &Label,
        context: &PipelineContext,
        violations: Violations,
    ) -> Self {
        let limits = context.limits.clone();
        let meter = Arc::new(CpuMeter::default());
        store.limiter(HostState::memory_limiter);
        store.set_hostcall_fuel(usize::try_from(limits.batch).unwrap_or(usize::MAX));
        store.set_max_component_handles(limits.handles as usize);
        store.set_epoch_deadline(1);
        let (budget, ticked, recorded) = (limits.cpu, meter.clone(), violations.clone());
        store.epoch_deadline_callback(move |_| {
            if ticked.used_while_polled() > budget {
                recorded.record(Violation::Limit {
                    limit: format!("it computed for more than {budget:?}"),
                    key: LimitKey::Cpu,
                });
                wasmtime::bail!("cpu limit");
            }
            Ok(UpdateDeadline::YieldCustom(1, ticked.yield_on_tick()))
        });
        Self {
            label: label.clone(),
            meter,
            violations,
            limits,
            redactor: context.client.redactor().clone(),
            process: Process::this(),
        }
    }

    /// Awaits a call into the instance. An error means that the instance is done for.
    pub(crate) async fn run<T>(
        &self,
        call: &'static str,
        future: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, SandboxError> {
        self.process.check()?;
        let deadline = self.limits.deadline;
        self.meter.begin_call();
        let metered = metered(self.meter.clone(), future);
        let outcome = tokio::time::timeout(deadline, metered).await;
        if let Some(violation) = self.violations.take() {
            return Err(self.error(call, violation));
        }
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(e)) => Err(self.trapped(call, &e)),
            Err(_) => Err(self.error(
                call,
                Violation::Limit {
                    limit: format!("it took longer than {deadline:?}"),
                    key: LimitKey::Deadline,
                },
            )),
        }
    }

    /// Text from the component, fit to be shown: without control characters, and without secrets that the
    /// remote may have echoed.
    pub(crate) fn sanitize(&self, text: &str) -> String {
        redacted(&self.redactor, text, MAX_TEXT)
    }

    /// Whether a text holds one of the pipeline's credentials.
    pub(crate) fn finds_secret(&self, text: &str) -> bool {
        self.redactor.finds(text)
    }

    /// A broken promise that the host finds in an answer.
    pub(crate) fn contract_violation(&self, call: &'static str, reason: impl Into<String>) -> SandboxError {
        self.error(call, Violation::Contract(reason.into()))
    }

    /// A limit that the host finds exceeded between two calls.
    pub(crate) fn limit_exceeded(&self, call: &'static str, limit: String, key: LimitKey) -> SandboxError {
        self.error(call, Violation::Limit { limit, key })
    }

    /// What was recorded between two calls.
    pub(crate) fn recorded(&self, call: &'static str) -> SandboxError {
        let reason = "it handed over what can't be taken";
        let violation = self.violations.take();
        self.error(
            call,
            violation.unwrap_or_else(|| Violation::Contract(reason.into())),
        )
    }

    /// Processor time since the last call of this function.
    pub(crate) fn take_cpu(&self) -> Duration {
        self.meter.take()
    }

    fn error(&self, call: &'static str, violation: Violation) -> SandboxError {
        let component = self.label.clone();
        match violation {
            Violation::Limit { limit, key } => SandboxError::Limit {
                component,
                call,
                limit: self.sanitize(&limit),
                key,
            },
            Violation::NotGranted { what, remedy } => SandboxError::Refused {
                component,
                what: self.sanitize(&what),
                remedy,
            },
            Violation::Forbidden { what, why } => SandboxError::Forbidden {
                component,
                what: self.sanitize(&what),
                why,
            },
            Violation::Credential(reason) => SandboxError::Credential { component, reason },
            Violation::Remote(what) => SandboxError::Remote {
                component,
                call,
                what: self.sanitize(&what),
            },
            Violation::Unreachable { what, why } => SandboxError::Unreachable { component, what, why },
            Violation::Contract(reason) => SandboxError::Contract {
                component,
                call,
                reason: self.sanitize(&reason),
            },
        }
    }

    fn trapped(&self, call: &'static str, error: &wasmtime::Error) -> SandboxError {
        // wasmtime keeps the type of this error to itself.
        let too_much = error
            .chain()
            .any(|e| e.to_string().contains("fuel allocated for hostcalls"));
        if too_much {
            return self.error(
                call,
                Violation::Limit {
                    limit: format!("it handed over more than {} bytes at once", self.limits.batch),
                    key: LimitKey::Batch,
                },
            );
        }
        let no_handle = error.chain().any(|e| {
            let text = e.to_string();
            text.contains("store handle limit exceeded") || text.contains("resource table has no free keys")
        });
        if no_handle {
            return self.error(
                call,
                Violation::Limit {
                    limit: format!("it holds more than {} handles", self.limits.handles),
                    key: LimitKey::Handles,
                },
            );
        }
        if matches!(error.downcast_ref(), Some(Trap::StackOverflow)) {
            return self.error(
                call,
                Violation::Limit {
                    limit: format!("it ran out of its stack of {} bytes", self.limits.stack),
                    key: LimitKey::Stack,
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
            None => self.sanitize(&error.root_cause().to_string()),
        };
        SandboxError::Trap {
            component: self.label.clone(),
            call,
            reason,
        }
    }
}
