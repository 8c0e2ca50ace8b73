use std::io;
use std::path::PathBuf;

/// The reason for which a component was not found, not taken or not pushed.
///
/// What a remote says is cut and made fit to be shown. No variant holds a password or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The text names no component.
    #[error("{text:?} is no reference to a component: {reason}")]
    Reference {
        /// The text, cut where it is long.
        text: String,
        /// What is wrong with it, and how it is written.
        reason: String,
    },
    /// The reference is a bare name, which only the program that brings the component along can look up.
    #[error(
        "{name} is a bare name, and those are of built-in components; a file is written ./{name}.wasm, one of the components folder {name}@1.0.0"
    )]
    Builtin {
        /// The name.
        name: String,
    },
    /// There is no such component.
    #[error("there is no component {component}: {reason}")]
    NotFound {
        /// The reference.
        component: String,
        /// Where it was looked for, and what to do.
        reason: String,
    },
    /// A file can't be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Something is longer than it may be.
    #[error("{what} has more than {max} bytes")]
    TooLarge {
        /// What it is, and of which component.
        what: String,
        /// The most that it may have.
        max: u64,
    },
    /// A registry gave no answer, or one that may be another one in a while.
    #[error("{what}: {reason}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// What came of it.
        reason: String,
    },
    /// A registry wants to know who asks, or does not let them.
    #[error("{registry} {reason}")]
    Login {
        /// The registry's host.
        registry: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// A registry answered in a way that no registry should.
    #[error("{what}: {reason}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// What lies there is no WebAssembly component in the form of the CNCF's artifacts.
    #[error("{component} is no component: {reason}")]
    Artifact {
        /// The reference.
        component: String,
        /// What it is instead, or what it lacks.
        reason: String,
    },
    /// Bytes are not those of their digest.
    #[error("the {what} of {component} was changed: its digest is {found}, and {expected} was expected")]
    Changed {
        /// The reference.
        component: String,
        /// `manifest`, `component` or `signature`.
        what: &'static str,
        /// The digest that was asked for, or that the registry promised.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// The digest of one thing stands where that of another one belongs.
    #[error("{component}: {reason}")]
    OtherDigest {
        /// The reference.
        component: String,
        /// Which digest it is, and which is wanted.
        reason: String,
    },
    /// No trusted key vouches for the component.
    #[error("{component} {fault}")]
    Signature {
        /// The reference.
        component: String,
        /// What is wrong, and what to do.
        fault: SignatureFault,
    },
    /// A trusted key is none.
    #[error(
        "{text:?} is no public key: {reason}; a key of minisign is one line that starts with RW, the second one of its .pub file"
    )]
    Key {
        /// The text, cut where it is long.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something on this machine is not set up for registries: Docker's configuration, certificates.
    #[error("{what}: {reason}")]
    Setup {
        /// The file or program.
        what: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

impl RegistryError {
    /// Whether the same call may go well in a while, with nothing changed here.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// What is wrong with a signature. Key ids are written as `minisign` writes them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// There is none.
    #[error("is not signed; trusted are the keys {trusted}. {REMEDY}")]
    Unsigned {
        /// Ids of the trusted keys.
        trusted: String,
    },
    /// It is none that can be read.
    #[error("has a signature that can't be read: {reason}. {REMEDY}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// It is of a key that is not trusted.
    #[error(
        "is signed by the key {key_id}, and trusted are {trusted}. Trust that key too, or sign with a trusted one: {REMEDY}"
    )]
    OtherKey {
        /// Id of the key that made it, as it says itself.
        key_id: String,
        /// Ids of the trusted keys.
        trusted: String,
    },
    /// It is of other bytes, or was changed, or only claims to be of the key.
    #[error(
        "has a signature that says it is by the key {key_id}, and is not one of these bytes by that key: either was changed, or the signature is of another version. {REMEDY}"
    )]
    Wrong {
        /// Id of the key that it claims.
        key_id: String,
    },
    /// Its time is over.
    #[error("has a signature by the key {key_id} that expired ({expires}). {REMEDY}")]
    Expired {
        /// Id of the key that made it.
        key_id: String,
        /// The end of its time, as the signature says it.
        expires: String,
    },
    /// Nobody can tell when its time is over.
    #[error(
        "has a signature by the key {key_id} with expires:{expires}, which is no time: write expires:2027-01-31 or expires:2027-01-31T12:00:00Z. {REMEDY}"
    )]
    Expiry {
        /// Id of the key that made it.
        key_id: String,
        /// What it says.
        expires: String,
    },
}

const REMEDY: &str = "To sign: minisign -S -s <secret key> -m <file>.wasm -t 'expires:<date>', which writes <file>.wasm.minisig beside the file; sandbar push takes both to a registry";
