//! The `sandbar` program. What it does is in `sandbar-runtime`; here are arguments, output and exit codes.

// They panic when nobody is there to read: see `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod commands;
mod control;
mod demo_api;
mod lines;
mod log;
mod output;
mod pipeline_files;
mod progress;
mod remedy;
mod service;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use miette::MietteHandlerOpts;
use sandbar_runtime::{AddressSpace, RuntimeError};

use crate::args::{Arguments, Command, CompileArguments};
use crate::control::RequestKind;
use crate::service::Notifications;

// What one thread allocates here another one frees, over and over: jemalloc gives it back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error("{context}")]
    Io {
        context: String,
        #[source]
        source: std::io::Error,
    },
    /// Everything about it was said already.
    #[error("failed")]
    Reported,
    /// The same, and the pipeline file was at fault.
    #[error("the pipeline file is wrong")]
    ReportedMistake,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and the version are results too.
        Err(e) => {
            let unread = e.print().is_err() && !e.use_stderr();
            let status = if unread { 1 } else { e.exit_code() };
            return ExitCode::from(u8::try_from(status).unwrap_or(2));
        }
    };
    // Before there are threads, and for children not to inherit it.
    let notify = Notifications::take_from_environment();
    save_address_space();
    if let Command::CompileComponent(CompileArguments { stack, memory, space }) = arguments.command {
        let status = sandbar_runtime::compile_from_stdin(stack, memory, space);
        return ExitCode::from(u8::try_from(status).unwrap_or(1));
    }
    log::start(arguments.verbose);
    // Snippets of pipeline files hold lines that are meant to be copied: they must not be wrapped.
    let _ = miette::set_hook(Box::new(|_| {
        Box::new(
            MietteHandlerOpts::new()
                .wrap_lines(false)
                .break_words(false)
                .build(),
        )
    }));
    // With one thread, a component that computes would leave none to the others.
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(execute(arguments.command, notify));
            // A reader that hangs in a blocking call must not keep the program from ending.
            runtime.shutdown_background();
            outcome
        }
        Err(source) => Err(CliError::Io {
            context: "the program can't start its threads".into(),
            source,
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => report(e),
    }
}

/// The C library sets 64 MiB of addresses aside for each thread in which C code allocates, which is little of them, since
/// Rust's memory comes from jemalloc. Where addresses are scarce, components need them.
fn save_address_space() {
    if AddressSpace::of_this_process() == AddressSpace::Plenty {
        return;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        #[expect(
            unsafe_code,
            reason = "the C library is told by a call alone, or by the environment at its start"
        )]
        // SAFETY: it takes two numbers, and nothing else runs yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

async fn execute(command: Command, notify: Notifications) -> Result<(), CliError> {
    match command {
        Command::Demo(arguments) => commands::demo::execute(arguments).await,
        Command::DemoApi(arguments) => commands::demo_api::execute(arguments).await,
        Command::Run(arguments) => commands::run::execute(arguments, notify).await,
        Command::Check(arguments) => commands::check::execute(arguments).await,
        Command::Inspect(arguments) => commands::inspect::execute(arguments).await,
        Command::Preview(arguments) => commands::preview::execute(arguments).await,
        Command::Status(arguments) => commands::status::execute(arguments).await,
        Command::Reset(arguments) => commands::reset::execute(arguments).await,
        Command::Swap(arguments) => commands::control::swap(arguments).await,
        Command::Start(arguments) => commands::control::execute(arguments, RequestKind::Start).await,
        Command::Stop(arguments) => commands::control::execute(arguments, RequestKind::Stop).await,
        Command::Pause(arguments) => commands::control::execute(arguments, RequestKind::Pause).await,
        Command::Resume(arguments) => commands::control::execute(arguments, RequestKind::Resume).await,
        Command::Reload(arguments) => commands::control::reload(arguments).await,
        Command::Pull(arguments) => commands::registry::pull(arguments).await,
        Command::Push(arguments) => commands::registry::push(arguments).await,
        Command::Components(arguments) => commands::registry::list(arguments).await,
        // It has its own way out, before there are threads.
        Command::CompileComponent(_) => Ok(()),
    }
}

/// Whether the command line, a pipeline file or the options are wrong.
fn is_mistake(error: &CliError) -> bool {
    match error {
        CliError::Usage(_) | CliError::ReportedMistake => true,
        CliError::Runtime(e) => e.is_configuration(),
        _ => false,
    }
}

/// Says what went wrong and picks the exit status: 1 the run failed, 2 the command line, file or options.
fn report(error: CliError) -> ExitCode {
    let code = if is_mistake(&error) { 2 } else { 1 };
    commands::show_error(error);
    ExitCode::from(code)
}
