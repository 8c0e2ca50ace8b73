//! What a program of any language expects of its process: an empty environment, an exit, standard streams that are no
//! terminal. What it writes to them goes into the log.

use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::cli;

use super::{Capability, HostState};

pub(super) const CAPABILITY: Capability = Capability {
    imports: &[
        ("wasi:cli/environment", "an empty environment, no arguments"),
        ("wasi:cli/exit", "end itself"),
        ("wasi:cli/stdin", "an empty standard input"),
        ("wasi:cli/stdout", "write lines to the log"),
        ("wasi:cli/stderr", "write lines to the log"),
        ("wasi:cli/terminal-input", "learn that there is no terminal"),
        ("wasi:cli/terminal-output", "learn that there is no terminal"),
        ("wasi:cli/terminal-stdin", "learn that there is no terminal"),
        ("wasi:cli/terminal-stdout", "learn that there is no terminal"),
        ("wasi:cli/terminal-stderr", "learn that there is no terminal"),
    ],
    add_to_linker,
};

fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    cli::environment::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, HostState::cli)
}
