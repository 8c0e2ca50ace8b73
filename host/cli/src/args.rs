use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use sandbar_runtime::{AddressSpace, WASMTIME_VERSION};

/// Reads REST APIs into Delta tables, exactly once, with connectors that can reach nothing but what you grant.
#[derive(Debug, Parser)]
#[command(name = "sandbar", version = version(), max_term_width = 100)]
pub(crate) struct Arguments {
    /// Say more on stderr: -v what happens, -vv every step. RUST_LOG, if set, decides instead.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it all with nothing to set up: an API, a sandboxed connector, a Delta table, growth, a second run.
    Demo(DemoArguments),
    /// Serve the demo's comments API in the foreground, for documentation, benchmarks and tests.
    DemoApi(DemoApiArguments),
    /// Run pipelines until stopped, until what exists is read, or for one micro-batch.
    Run(RunArguments),
    /// Find out everything that can be known without reading data.
    Check(FilesArguments),
    /// Show what a component is and what it can reach.
    Inspect(InspectArguments),
    /// Read rows and print them; write nothing anywhere.
    Preview(PreviewArguments),
    /// Show where pipelines stand.
    Status(StatusArguments),
    /// Set where the next micro-batch starts.
    Reset(ResetArguments),
    /// Read a running pipeline with another version of its component.
    Swap(SwapArguments),
    /// Start a pipeline of a run again that ended.
    Start(PipelineArguments),
    /// Stop one pipeline of a run.
    Stop(PipelineArguments),
    /// Let one pipeline of a run rest.
    Pause(PipelineArguments),
    /// Let a pipeline that rests go on.
    Resume(PipelineArguments),
    /// Let a run read its pipeline files again.
    Reload(ReloadArguments),
    /// Fetch a component from a registry.
    Pull(PullArguments),
    /// Bring a component to a registry.
    Push(PushArguments),
    /// List the components of this machine.
    Components(ComponentsArguments),
    /// Compile the component on stdin to stdout: the program does this in a process of its own.
    #[command(name = COMPILE_COMPONENT, hide = true)]
    CompileComponent(CompileArguments),
}

/// The command by which the program asks itself to compile.
pub(crate) const COMPILE_COMPONENT: &str = "compile-component";

#[derive(Debug, Args)]
pub(crate) struct CompileArguments {
    /// Bytes of stack that the component will have.
    pub(crate) stack: u64,
    /// Bytes of memory that compiling may take.
    pub(crate) memory: u64,
    /// The address space for its memories: "plenty" or "scarce".
    pub(crate) space: AddressSpace,
}

/// A size with its unit, in bytes.
fn size(text: &str) -> Result<u64, String> {
    let bytes = text
        .parse::<ByteSize>()
        .map_err(|_| "write a number and its unit, such as 4GiB".to_owned())?;
    match bytes.as_u64() < 1 << 20 {
        true => Err("write 1MiB or more".into()),
        false => Ok(bytes.as_u64()),
    }
}

/// Its own version, and that of what components run in.
fn version() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{} (wasmtime {WASMTIME_VERSION})", env!("CARGO_PKG_VERSION")));
    &TEXT
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Comments that the API has at first.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) rows: u64,
    /// Where the table, the checkpoint location and the pipeline file go.
    #[arg(long, default_value = "sandbar-demo")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoApiArguments {
    /// Comments at the start.
    #[arg(long, default_value_t = 500)]
    pub(crate) rows: u64,
    /// Port on 127.0.0.1; 0 picks a free one. The URL is printed.
    #[arg(long, default_value_t = 3000)]
    pub(crate) port: u16,
    /// Milliseconds that every answer takes.
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// Comments that appear per second.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) grow: f64,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Pipeline files, and folders of them, which are watched.
    #[arg(required = true, value_name = "FILE|DIR")]
    pub(crate) files: Vec<PathBuf>,
    /// Read what exists now, then end.
    #[arg(long, conflicts_with = "once")]
    pub(crate) available_now: bool,
    /// Read one micro-batch, then end.
    #[arg(long)]
    pub(crate) once: bool,
    /// Try pipelines that failed again, after pauses of 1 s to 5 min. With a folder this is always so.
    #[arg(long, conflicts_with_all = ["available_now", "once"])]
    pub(crate) restart: bool,
    /// The control socket, if it is not to lie among those of this user.
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// The most memory that the components of all pipelines may take together, such as 4GiB. Pipelines take turns then.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = ProgressFormat::Auto)]
    pub(crate) progress: ProgressFormat,
    /// Answer health probes on this address: /healthz and /readyz over HTTP.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressFormat {
    /// A line that moves on a terminal, nothing elsewhere.
    Auto,
    /// One JSON line per micro-batch on stdout.
    Json,
    /// Nothing.
    None,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArguments {
    /// Pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON line per pipeline on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Show which version read which micro-batches, and the swaps between them.
    #[arg(long)]
    pub(crate) history: bool,
    /// Print one JSON line per pipeline on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ControlArguments {
    /// The control socket of the run, if it is not among those of this user.
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PipelineArguments {
    /// The pipeline's name, or its file.
    pub(crate) pipeline: String,
    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArguments {
    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

#[derive(Debug, Args)]
pub(crate) struct SwapArguments {
    /// The pipeline's name, or its file.
    pub(crate) pipeline: String,
    /// The version: a path to a .wasm file, `name@version`, `oci://...`. Without it, what the pipeline file's reference
    /// leads to by now.
    #[arg(default_value = "")]
    pub(crate) reference: String,
    /// Why, for the history.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Take a version that failed before.
    #[arg(long)]
    pub(crate) again: bool,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// The user at the registry; the password comes from stdin. Without it, what `docker login` keeps.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// `oci://host/repository:tag`, or `@sha256:...`.
    pub(crate) reference: String,
    /// Write the component to this file, and its signature beside it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// A public key of minisign that must have signed it. May be given several times.
    #[arg(long, value_name = "RW...")]
    pub(crate) trust: Vec<String>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PushArguments {
    /// A path to a .wasm file, or any other reference. A signature beside it, in a file of the same name and `.minisig`, is
    /// brought along.
    pub(crate) component: String,
    /// `oci://host/repository:tag`.
    pub(crate) reference: String,
    /// The file of the signature, if it does not lie beside the component.
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ComponentsArguments {
    /// The folder of pipeline files, whose `components/` is looked into.
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Print one JSON line per component on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// A built-in component, such as `comments`, a path to a .wasm file, `name@version`, or `oci://...`.
    pub(crate) component: String,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArguments {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = 10)]
    pub(crate) rows: u64,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A table for people.
    Table,
    /// One JSON object per line.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// The offset, as JSON: '{"current": 20}' for comments.
    #[arg(long, value_name = "JSON")]
    pub(crate) to_offset: String,
    /// Don't ask.
    #[arg(long)]
    pub(crate) yes: bool,
}
