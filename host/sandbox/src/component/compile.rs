//! Compiling, which is where an attacker gets the most out of a byte: a component of 100 KB can keep the compiler busy
//! for minutes and take gigabytes (many locals that are all changed in deeply nested loops). The compiler can't be
//! stopped half way, so a program of its own does it, which can.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use rustix::process::{Resource, Rlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::address_space::{self, AddressSpace};
use super::cache::ComponentCache;
use super::complexity;
use super::engine::{Sandbox, engine};
use crate::SandboxError;
use crate::error::Label;
use sandbar_policy::sanitize;
use sandbar_policy::{LimitKey, Limits};

/// Who compiles components.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// A thread of this process. Of [`Limits::compile_time`] it only stops waiting, and
    /// [`Limits::compile_memory`] is not kept: for components that are trusted, and tests.
    #[default]
    InProcess,
    /// A program that calls [`compile_from_stdin`]: the same build of it as this one, since its output is trusted as
    /// machine code. It gets no environment, and is killed when its time is over.
    Program {
        /// The program.
        path: PathBuf,
        /// What it is told to do that; the stack, the memory and the address space follow.
        arguments: Vec<OsString>,
    },
}

/// The longest compiled component.
const MAX_COMPILED: u64 = 1 << 30;
/// What is read of the other program's last words.
const MAX_SAID: u64 = 4 << 10;
/// How the other program says that the bytes are no component.
const REFUSED: i32 = 2;

/// Compiles the component on stdin, for an engine of this stack and address space, and writes what comes of it to stdout,
/// with no more than so many bytes of memory: the other side of [`Compiler::Program`]. The exit status is for the process
/// to end with.
pub fn compile_from_stdin(stack: u64, memory: u64, space: AddressSpace) -> i32 {
    bound_this_process(memory);
    let compiled = || {
        let mut bytes = vec![];
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|e| (1, e.to_string()))?;
        let engine = engine(stack, space).map_err(|e| (1, e.to_string()))?;
        let compiled = engine.precompile_component(&bytes);
        let compiled = compiled.map_err(|e| (REFUSED, format!("{e:#}")))?;
        let written = std::io::stdout().lock().write_all(&compiled);
        written.map_err(|e| (1, e.to_string()))
    };
    match compiled() {
        Ok(()) => 0,
        Err((status, reason)) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            status
        }
    }
}

/// Where a bound can't be set, the clock of the process that waits is still there.
fn bound_this_process(memory: u64) {
    let max = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    // A lower limit of whoever started the program stays.
    let _ = rustix::process::setrlimit(Resource::As, max(within_limit(memory)));
    let _ = rustix::process::setrlimit(Resource::Core, max(0));
    // Pipelines that are at work come first.
    let _ = rustix::process::nice(5);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

/// So much memory, or what this process may have at most.
fn within_limit(memory: u64) -> u64 {
    address_space::limit().map_or(memory, |max| max.min(memory))
}

pub(crate) async fn compile(
    sandbox: &Sandbox,
    bytes: Arc<[u8]>,
    display_name: &str,
    digest: &str,
    compiler: &Compiler,
    cache: Option<&ComponentCache>,
    limits: &Limits,
) -> Result<Component, SandboxError> {
    let over = |limit: String, key: LimitKey| SandboxError::Limit {
        component: Label(display_name.to_owned()),
        call: "loading",
        limit,
        key,
    };
    if bytes.len() as u64 > limits.component_size {
        let limit = format!("it has more than {} bytes", limits.component_size);
        return Err(over(limit, LimitKey::ComponentSize));
    }
    let failed = |failure: Failure| match failure {
        Failure::Refused(reason) => SandboxError::Load {
            component: display_name.to_owned(),
            reason: sanitize(&reason, 1 << 10),
        },
        Failure::Memory => {
            let max = within_limit(limits.compile_memory);
            let whose = match max < limits.compile_memory {
                true => ", all that this process may have (`ulimit -v`)",
                false => "",
            };
            let limit = format!("compiling it took more than {max} bytes of memory{whose}");
            over(limit, LimitKey::CompileMemory)
        }
    };
    let work = look_or_compile(sandbox, bytes, digest, compiler, cache, limits);
    match tokio::time::timeout(limits.compile_time, work).await {
        Ok(compiled) => compiled.map_err(failed),
        Err(_) => {
            let limit = format!("compiling it took longer than {:?}", limits.compile_time);
            Err(over(limit, LimitKey::CompileTime))
        }
    }
}

/// Why nothing was compiled.
enum Failure {
    Refused(String),
    Memory,
}

async fn look_or_compile(
    sandbox: &Sandbox,
    bytes: Arc<[u8]>,
    digest: &str,
    compiler: &Compiler,
    cache: Option<&ComponentCache>,
    limits: &Limits,
) -> Result<Component, Failure> {
    let engine = sandbox.engine().clone();
    let place = cache.map(|cache| (cache.clone(), digest.to_owned()));
    let (looked, looked_in, known) = (engine.clone(), place.clone(), bytes.clone());
    let found = blocking(move || {
        complexity::check(&known).map_err(Failure::Refused)?;
        Ok(looked_in.and_then(|(cache, digest)| cache.load(&looked, &digest)))
    });
    if let Some(component) = found.await? {
        return Ok(component);
    }
    let compiled = match compiler {
        Compiler::InProcess => None,
        Compiler::Program { path, arguments } => {
            let mut command = Command::new(path);
            command.args(arguments);
            command.args([sandbox.stack().to_string(), limits.compile_memory.to_string()]);
            command.arg(sandbox.space().to_string());
            Some(ask(command, bytes.clone()).await?)
        }
    };
    blocking(move || {
        let component = match compiled {
            Some(compiled) => trust(&engine, &compiled)?,
            None => Component::from_binary(&engine, &bytes).map_err(|e| no_component(&format!("{e:#}")))?,
        };
        if let Some((cache, digest)) = place {
            cache.store(&engine, &digest, &component);
        }
        Ok(component)
    })
    .await
}

fn trust(engine: &Engine, compiled: &[u8]) -> Result<Component, Failure> {
    // SAFETY: these bytes are what `compile_from_stdin` wrote in a process of the program that the embedder named, which is
    // this one in the same build; nothing else had the other end of the pipe. wasmtime refuses the output of another
    // version or configuration.
    #[expect(unsafe_code, reason = "machine code from this program's own compiler")]
    let component = unsafe { Component::deserialize(engine, compiled) };
    component.map_err(|e| Failure::Refused(format!("what the compiler wrote can't be used: {e:#}")))
}

/// Asks the other program. Dropped half way, it kills it.
async fn ask(mut command: Command, bytes: Arc<[u8]>) -> Result<Vec<u8>, Failure> {
    let unusable = |e: std::io::Error| Failure::Refused(format!("the compiler can't be asked: {e}"));
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(unusable)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A process that died tells so by its status.
            let _ = stdin.write_all(&bytes).await;
        }
    };
    let ((), compiled, said) = tokio::join!(write, read(stdout, MAX_COMPILED), read(stderr, MAX_SAID));
    let (compiled, said) = (compiled.map_err(unusable)?, said.map_err(unusable)?);
    let status = child.wait().await.map_err(unusable)?;
    match status.success() {
        true => Ok(compiled),
        false => Err(why(status, &String::from_utf8_lossy(&said))),
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    if let Some(from) = from {
        from.take(max).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn why(status: ExitStatus, said: &str) -> Failure {
    match status.code() {
        Some(REFUSED) => no_component(said),
        // An allocation that fails aborts the process, and threads that can't be made panic.
        None => Failure::Memory,
        Some(_) if said.contains("memory") || said.contains("Resource temporarily unavailable") => {
            Failure::Memory
        }
        Some(code) => Failure::Refused(format!("the compiler failed ({code}): {said}")),
    }
}

fn no_component(reason: &str) -> Failure {
    Failure::Refused(format!("it is no WebAssembly component: {reason}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Failure::Refused(format!("the compiler failed: {e}"))))
}
