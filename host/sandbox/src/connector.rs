use std::sync::Arc;

use sandbar_pipeline::{CheckpointLocation, ComponentId, SourceError};
use sha2::{Digest, Sha256};
use wasmtime::component::Linker;

use crate::cache::ComponentCache;
use crate::capability::{LogBudget, shadow_http_types};
use crate::compile::{Compiler, compile};
use crate::engine::Sandbox;
use crate::error::Label;
use crate::http_client::HttpClient;
use crate::imports::{Import, check_imports};
use crate::instance::{HostState, Surroundings, new_store};
use crate::process::Process;
use crate::text::printable;
use crate::{Grants, Limits, SandboxError, options_schema, v0_1};

/// The most streams that are taken.
const MAX_STREAMS: usize = 10_000;
const TRACK: &str = "sandbar:connector@0.1";

/// A loaded connector: checked, compiled, linked to the capabilities, and asked what it is.
///
/// It holds no state of a pipeline and can serve many.
pub struct Connector {
    pub(crate) sandbox: Sandbox,
    pub(crate) linked: v0_1::Linked,
    pub(crate) label: Label,
    description: Description,
    id: ComponentId,
    imports: Vec<Import>,
    size: usize,
    limits: Limits,
}

/// What a connector says of itself, checked.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// Kebab-case name.
    pub name: String,
    /// SemVer version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of the options.
    pub options_schema: serde_json::Value,
}

/// One stream that a connector can read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StreamInfo {
    /// The name for the pipeline file.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Columns that tell rows apart.
    pub key: Vec<String>,
}

impl Connector {
    /// Checks, compiles (or takes from the cache), links and describes a component. `shown` is its name in
    /// messages: a path, or the name of a built-in. The limits are those of loading,
    /// and of what it is asked without a pipeline.
    ///
    /// # Errors
    /// The bytes are no component, it imports what no source is given, it does not export the contract, or
    /// what it says of itself breaks the contract.
    pub async fn load(
        sandbox: &Sandbox,
        bytes: Arc<[u8]>,
        shown: &str,
        compiler: &Compiler,
        cache: Option<&ComponentCache>,
        limits: &Limits,
    ) -> Result<Self, SandboxError> {
        sandbox.process().check()?;
        let digest = digest(&bytes);
        let shown = format!("{shown} ({})", short(&digest));
        let size = bytes.len();
        let component = compile(sandbox, bytes, &shown, &digest, compiler, cache, limits).await?;
        let imports = check_imports(sandbox.engine(), &component, &shown)?;
        let mut linker = Linker::<HostState>::new(sandbox.engine());
        let linked = add_wasi(&mut linker)
            .and_then(|()| v0_1::link(&mut linker, &component))
            .map_err(|e| SandboxError::Load {
                component: shown.clone(),
                reason: not_of_the_track(&imports, &e),
            })?;
        let label = Label(shown);
        let mut instance = bare_instance(sandbox, &linked, &label, limits).await?;
        let description = instance.describe().await?;
        let id = ComponentId {
            name: description.name.clone(),
            version: description.version.clone(),
            digest,
        };
        let label = Label(format!("{} {} ({})", id.name, id.version, short(&id.digest)));
        Ok(Self {
            sandbox: sandbox.clone(),
            linked,
            label,
            description,
            id,
            imports,
            size,
            limits: limits.clone(),
        })
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Name, version and digest.
    pub fn id(&self) -> &ComponentId {
        &self.id
    }

    /// Everything that it imports.
    pub fn imports(&self) -> &[Import] {
        &self.imports
    }

    /// Bytes of the component.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The compatibility track of the contract that it speaks.
    pub fn track(&self) -> &'static str {
        TRACK
    }

    /// The stream that is meant: the named one, or the only one that there is. Empty where that is not known.
    pub(crate) async fn stream_name(&self, named: &str, options: &serde_json::Value) -> String {
        if !named.is_empty() {
            return named.to_owned();
        }
        match self.discover(options).await.as_deref() {
            Ok([only]) => only.name.clone(),
            _ => String::new(),
        }
    }

    /// The process in which it can be used.
    pub fn process(&self) -> Process {
        self.sandbox.process()
    }

    /// The streams that these options give access to, asked without any grant.
    ///
    /// # Errors
    /// What the component answers, or that it wanted the network.
    pub async fn discover(&self, options: &serde_json::Value) -> Result<Vec<StreamInfo>, SourceError> {
        check_process(self)?;
        let mut instance = bare_instance(&self.sandbox, &self.linked, &self.label, &self.limits)
            .await
            .map_err(|e| SourceError::Sandbox(Box::new(e)))?;
        let streams = instance.discover(&options.to_string()).await?;
        if streams.len() > MAX_STREAMS {
            let reason = format!("it gave {} streams; {MAX_STREAMS} are allowed", streams.len());
            let error = instance.guard.contract("discover", reason);
            return Err(SourceError::Sandbox(Box::new(error)));
        }
        Ok(streams)
    }
}

impl Description {
    pub(crate) fn check(
        name: String,
        version: String,
        summary: String,
        options_schema: &str,
    ) -> Result<Self, String> {
        let kebab = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !kebab {
            return Err(format!("its name {:?} is not kebab-case", printable(&name, 80)));
        }
        if version.len() > 64 || semver::Version::parse(&version).is_err() {
            return Err(format!("its version {:?} is not SemVer", printable(&version, 80)));
        }
        let options_schema =
            options_schema::parse(options_schema).map_err(|reason| format!("its options-schema {reason}"))?;
        Ok(Self {
            name,
            version,
            summary: printable(&summary, 1 << 10),
            options_schema,
        })
    }
}

/// The digest of a component's bytes, as it is written everywhere: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Refuses in a fork of the process that made the connector's engine.
pub(crate) fn check_process(connector: &Connector) -> Result<(), SourceError> {
    let checked = connector.process().check();
    checked.map_err(|e| SourceError::Sandbox(Box::new(e)))
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn not_of_the_track(imports: &[Import], error: &wasmtime::Error) -> String {
    let reason = printable(&error.root_cause().to_string(), 1 << 10);
    let (package, _) = TRACK.split_once('@').unwrap_or((TRACK, ""));
    let other = imports.iter().find_map(|import| {
        let (interface, version) = import.name.split_once('@')?;
        let ours = version.starts_with("0.1.");
        (interface.starts_with(package) && !ours).then_some(version)
    });
    match other {
        Some(version) => {
            format!("it is made for {package}@{version}, and this host speaks the track {TRACK}")
        }
        None => format!("it is no source of the track {TRACK}: {reason}"),
    }
}

/// The interfaces of `imports::ALLOWED`, and no others.
fn add_wasi(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    use wasmtime_wasi::WasiView;
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::p2::bindings::{cli, random};
    use wasmtime_wasi::random::WasiRandom;

    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |s| s.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |s| s.ctx().ctx.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, HostState::cli)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    shadow_http_types(linker)
}

/// An instance without any grant, for questions that are answered without a request.
async fn bare_instance(
    sandbox: &Sandbox,
    linked: &v0_1::Linked,
    label: &Label,
    limits: &Limits,
) -> Result<v0_1::Instance, SandboxError> {
    let limits = limits.clone();
    let surroundings = Surroundings {
        pipeline: "-".into(),
        client: HttpClient::new(Grants::default(), vec![], &limits)?,
        checkpoint: CheckpointLocation::memory(),
        log: LogBudget::new(limits.log),
        limits,
    };
    let (store, guard) = new_store(sandbox.engine(), label, &surroundings);
    v0_1::Instance::new(linked, store, guard).await
}
