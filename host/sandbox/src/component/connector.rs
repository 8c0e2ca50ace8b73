use std::sync::Arc;

use sandbar_egress::Process;
use sandbar_pipeline::{CheckpointLocation, ComponentId, SourceError};
use sandbar_policy::{Limits, sanitize};
use sha2::{Digest, Sha256};

use super::cache::ComponentCache;
use super::compile::{Compiler, compile};
use super::description::{Description, StreamInfo};
use super::engine::Sandbox;
use super::imports::{check_bytes, check_imports};
use crate::SandboxError;
use crate::abi::{self, Linked, Unlinked};
use crate::capability::PipelineContext;
use crate::error::Label;
use crate::import::Import;
use crate::instance::{Instance, sandbox_error};
use crate::open_options::OpenOptions;

/// The longest version that is shown. What a component calls its own is its choice.
const MAX_VERSION: usize = 80;

/// A loaded connector: checked, compiled, linked to the capabilities, and asked what it is.
///
/// It holds no state of a pipeline and can serve many.
pub struct Connector {
    pub(crate) sandbox: Sandbox,
    pub(crate) linked: Linked,
    pub(crate) label: Label,
    description: Description,
    id: ComponentId,
    imports: Vec<Import>,
    bytes: Arc<[u8]>,
    limits: Limits,
}

impl Connector {
    /// Checks, compiles (or takes from the cache), links and describes a component. `display_name` is its name in
    /// messages: a path, or the name of a built-in. The limits are those of loading,
    /// and of what it is asked without a pipeline.
    ///
    /// # Errors
    /// [`SandboxError::Load`] when the bytes are no component or export no track that this host speaks,
    /// [`SandboxError::ForbiddenImport`] when it imports what no source is given, [`SandboxError::Contract`] when its
    /// description breaks the contract, and [`SandboxError::Limit`] when it is too large, or compiling it takes too much.
    pub async fn load(
        sandbox: &Sandbox,
        component: &ComponentBytes,
        display_name: &str,
        compiler: &Compiler,
        cache: Option<&ComponentCache>,
        limits: &Limits,
    ) -> Result<Self, SandboxError> {
        sandbox.process().check()?;
        let (bytes, digest) = (component.bytes.clone(), component.digest.clone());
        let display_name = format!("{display_name} ({})", short(&digest));
        check_bytes(&bytes, &display_name)?;
        let compiled = compile(
            sandbox,
            bytes.clone(),
            &display_name,
            &digest,
            compiler,
            cache,
            limits,
        )
        .await?;
        let imports = check_imports(sandbox.engine(), &compiled, &display_name)?;
        let linked = Linked::new(sandbox.engine(), &compiled).map_err(|e| SandboxError::Load {
            component: display_name.clone(),
            reason: not_of_a_track(e),
        })?;
        let label = Label(display_name);
        let context = bare_context(limits);
        let mut instance = Instance::new(sandbox.engine(), &linked, &label, &context).await?;
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
            bytes,
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

    /// Whether it imports HTTP, by whichever interface.
    pub fn wants_http(&self) -> bool {
        let http = |import: &Import| {
            import.name.starts_with("wasi:http/") || import.name.starts_with("sandbar:connector/http@")
        };
        self.imports.iter().any(http)
    }

    /// Number of bytes of the component.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The component, as it was loaded.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The compatibility track of the contract that it speaks.
    pub fn track(&self) -> &'static str {
        self.linked.track()
    }

    /// The process in which it can be used.
    pub fn process(&self) -> Process {
        self.sandbox.process()
    }

    /// The streams that these options give access to, asked without any grant.
    ///
    /// # Errors
    /// As [`Connector::discover_in`].
    pub async fn discover(&self, options: &serde_json::Value) -> Result<Vec<StreamInfo>, SourceError> {
        self.discover_in(&bare_context(&self.limits), options).await
    }

    /// The streams that these options give access to, asked with the grants and credentials of a pipeline.
    ///
    /// # Errors
    /// [`SourceError::InvalidOptions`] or another error of the component where it returns one; [`SourceError::Sandbox`]
    /// when it breaks the contract or wants what is not granted.
    pub async fn discover_in(
        &self,
        context: &PipelineContext,
        options: &serde_json::Value,
    ) -> Result<Vec<StreamInfo>, SourceError> {
        check_process(self)?;
        let instance = Instance::new(self.sandbox.engine(), &self.linked, &self.label, context).await;
        instance
            .map_err(sandbox_error)?
            .discover(&options.to_string())
            .await
    }
}

/// A component's bytes with their digest, which is computed once.
#[derive(Clone)]
pub struct ComponentBytes {
    bytes: Arc<[u8]>,
    digest: String,
}

impl ComponentBytes {
    /// Takes the bytes and computes their digest. Blocks for some milliseconds with large ones.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let digest = format!("sha256:{:x}", Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest, as it is written everywhere: `sha256:` and 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Refuses in a fork of the process that made the connector's engine.
pub(crate) fn check_process(connector: &Connector) -> Result<(), SourceError> {
    let checked = connector.process().check();
    checked.map_err(|e| sandbox_error(e.into()))
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}

fn not_of_a_track(error: Unlinked) -> String {
    let names: Vec<_> = abi::track_names().collect();
    let known = match names.len() {
        1 => format!("the track {}", names.join("")),
        _ => format!("the tracks {}", names.join(", ")),
    };
    match error {
        Unlinked::OtherVersion(version) => format!(
            "it is made for {}@{}, and this host speaks {known}",
            abi::PACKAGE,
            sanitize(&version, MAX_VERSION)
        ),
        Unlinked::NoSource(error) => {
            let reason = sanitize(&error.root_cause().to_string(), 1 << 10);
            format!("it is no source of {known}: {reason}")
        }
    }
}

/// A context without any grant, for questions that are answered without a request.
fn bare_context(limits: &Limits) -> PipelineContext {
    let options = OpenOptions::new("-", serde_json::Value::Null).with_limits(limits.clone());
    PipelineContext::new(CheckpointLocation::memory(), &options)
}
