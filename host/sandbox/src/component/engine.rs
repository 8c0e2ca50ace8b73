use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::{Config, Engine};

use super::address_space::AddressSpace;
use crate::SandboxError;
use sandbar_egress::{Process, TICK};

/// The version of wasmtime that components run in, for whoever follows its advisories. A test compares it with
/// `Cargo.lock`.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// The WebAssembly engine that all components of a process share.
///
/// Everything that a source does not need is off: threads, garbage collection, exceptions, component-model
/// async. Less surface is less to trust.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    stack: u64,
    space: AddressSpace,
    process: Process,
    // Ends the ticker with the last clone.
    _ticker: Arc<Ticker>,
}

/// What a call into the host may use of the same stack, beside the component's own part.
const HOST_STACK: usize = 1536 << 10;

impl Sandbox {
    /// Sets up the engine and the thread that interrupts components. The stack is a property of the engine;
    /// `stack` is [`Limits::stack`](sandbar_policy::Limits::stack). How memories are laid out depends on what address space the
    /// process may have at this moment.
    ///
    /// It serves the process that it was made in. A fork of that has to make its own.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] where this machine can't run WebAssembly.
    pub fn new(stack: u64) -> Result<Self, SandboxError> {
        let space = AddressSpace::of_this_process();
        let engine = engine(stack, space)?;
        let ticker = Arc::new(Ticker::start(&engine)?);
        Ok(Self {
            engine,
            stack,
            space,
            process: Process::this(),
            _ticker: ticker,
        })
    }

    pub(crate) fn stack(&self) -> u64 {
        self.stack
    }

    pub(crate) fn space(&self) -> AddressSpace {
        self.space
    }

    /// The process that it serves.
    pub fn process(&self) -> Process {
        self.process
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// An engine that compiles for a [`Sandbox`] of this stack, in this process or another one of this program.
pub(crate) fn engine(stack: u64, space: AddressSpace) -> Result<Engine, SandboxError> {
    let stack = usize::try_from(stack).unwrap_or(usize::MAX);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .generate_address_map(false)
        .max_wasm_stack(stack)
        .async_stack_size(stack.saturating_add(HOST_STACK))
        // The compiler's threads are there once for all engines, and stay behind in a fork.
        .parallel_compilation(!Process::is_fork());
    space.configure(&mut config);
    Engine::new(&config).map_err(|e| SandboxError::Engine(format!("{e:#}")))
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
