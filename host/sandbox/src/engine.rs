use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::SandboxError;

/// How often a running component is interrupted to look at its budget and to let others run.
const TICK: Duration = Duration::from_millis(10);

/// The WebAssembly engine that all components of a process share.
///
/// Everything that a source does not need is off: threads, garbage collection, exceptions, component-model
/// async. Less surface is less to trust.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    // Ends the ticker with the last clone.
    _ticker: Arc<Ticker>,
}

/// What a call into the host may use of the same stack, beside the component's own part.
const HOST_STACK: usize = 1536 << 10;

impl Sandbox {
    /// Sets up the engine and the thread that interrupts components. The stack is a property of the engine;
    /// `stack` is [`Limits::stack`](crate::Limits::stack).
    ///
    /// # Errors
    /// [`SandboxError::Engine`] where this machine can't run WebAssembly.
    pub fn new(stack: u64) -> Result<Self, SandboxError> {
        let stack = usize::try_from(stack).unwrap_or(usize::MAX);
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .wasm_component_model(true)
            .concurrency_support(false)
            .generate_address_map(false)
            .max_wasm_stack(stack)
            .async_stack_size(stack.saturating_add(HOST_STACK));
        let engine = Engine::new(&config).map_err(|e| SandboxError::Engine(format!("{e:#}")))?;
        let ticker = Arc::new(Ticker::start(&engine)?);
        Ok(Self {
            engine,
            _ticker: ticker,
        })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: &Engine) -> Result<Self, SandboxError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("sandbar-epoch".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "a thread of its own, beside all runtimes"
                    )]
                    std::thread::sleep(TICK);
                    match weak.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })
            .map_err(|e| SandboxError::Engine(format!("the epoch thread can't be started: {e}")))?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
