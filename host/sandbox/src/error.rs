use std::fmt;

use sandbar_egress::Forked;
use sandbar_policy::{LimitKey, PolicyError, Remedy};

use crate::import::Import;

/// What the host says when it can't use a component, or has to stop it.
///
/// What the component itself answers is a [`sandbar_pipeline::SourceError`] and never one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The engine can't be set up on this machine.
    #[error("the WebAssembly engine can't be set up: {0}")]
    Engine(String),
    /// The bytes are not a component that this host can run.
    #[error("component {component}: {reason}")]
    Load {
        /// Which one: a path or a name, and the digest.
        component: String,
        /// Why not.
        reason: String,
    },
    /// The component imports something that no component is given.
    #[error(
        "component {component} wants {}, which a source is never given; nothing was run{}",
        list(imports),
        toolchain.map_or_else(String::new, |command| format!(
            "; the runtime of its language imports more than it calls: build the component with {command}"
        ))
    )]
    ForbiddenImport {
        /// Which component.
        component: String,
        /// All that it imports and is not given.
        imports: Vec<Import>,
        /// The command that builds such a component without them, where its toolchain is known.
        toolchain: Option<&'static str>,
    },
    /// The component trapped.
    #[error("component {component} failed in {call}: {reason}")]
    Trap {
        /// Which component.
        component: Label,
        /// The function that the host had called.
        call: &'static str,
        /// What happened.
        reason: String,
    },
    /// The component came to one of its limits.
    #[error("component {component} was stopped in {call}: {limit}")]
    Limit {
        /// Which component.
        component: Label,
        /// The function that the host had called.
        call: &'static str,
        /// Which limit, with its value.
        limit: String,
        /// The limit.
        key: LimitKey,
    },
    /// The component asked for something that it is not granted.
    #[error("component {component} was refused {what}")]
    Refused {
        /// Which component.
        component: Label,
        /// What it asked for; URLs without their query.
        what: String,
        /// The grant that is missing.
        remedy: Remedy,
    },
    /// The component asked for something that no grant allows.
    #[error("component {component} was refused {what}: {why}")]
    Forbidden {
        /// Which component.
        component: Label,
        /// What it asked for; URLs without their query.
        what: String,
        /// Why it is never allowed.
        why: String,
    },
    /// A credential that the host adds can't be had.
    #[error("component {component} can't be served: {reason}")]
    Credential {
        /// Which component.
        component: Label,
        /// Which credential, and why not. Never its value.
        reason: String,
    },
    /// A remote harms this host instead of answering.
    #[error("component {component} was stopped in {call}: {what}")]
    Remote {
        /// Which component.
        component: Label,
        /// The function that the host had called.
        call: &'static str,
        /// Which remote, without its query, and what it did.
        what: String,
    },
    /// What the component asked for can't be reached from here, however often it is tried.
    #[error("component {component} can't be given {what}: {why}")]
    Unreachable {
        /// Which component.
        component: Label,
        /// What it asked for; URLs without their query.
        what: String,
        /// Why not, and what helps.
        why: String,
    },
    /// The component broke a promise of the contract.
    #[error("component {component} breaks the contract in {call}: {reason}")]
    Contract {
        /// Which component.
        component: Label,
        /// The function that the host had called.
        call: &'static str,
        /// What it did.
        reason: String,
    },
    /// The machine, or the limit of this process, has no memory left for the component.
    #[error(
        "there is no memory for component {component} in {call}: this process may have no more address space, or the machine \
         has none left; raise the process's limit (`ulimit -v`), or lower `parallelism` under [source.limits]"
    )]
    NoMemory {
        /// Which component.
        component: Label,
        /// The function that the host had called.
        call: &'static str,
    },
    /// The process is a fork of the one that made the engine.
    #[error(transparent)]
    Forked(#[from] Forked),
    /// A grant, limit or credential is not well-formed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl SandboxError {
    /// What an operator can allow so that the same does not happen again; `None` where nothing helps but another component,
    /// remote or machine.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::Limit { key, .. } => Some(Remedy::Raise(*key)),
            Self::Refused { remedy, .. } => Some(remedy.clone()),
            _ => None,
        }
    }
}

/// A component's name in messages: name, version and the beginning of its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(pub(crate) String);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The most imports that a message names.
const SHOWN: usize = 20;

/// Imports with what they allow.
fn list(imports: &[Import]) -> String {
    let named = imports
        .iter()
        .take(SHOWN)
        .map(|import| format!("{} ({})", import.name, import.plain));
    let named: Vec<_> = named.collect();
    match imports.len().saturating_sub(SHOWN) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
