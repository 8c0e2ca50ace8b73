use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use sandbar_policy::{is_unprintable, sanitize};

use crate::RegistryError;
use crate::digest;

/// The longest reference in bytes.
const MAX_BYTES: usize = 4096;
/// The longest name or version.
const MAX_NAME: usize = 128;
/// The longest path in a registry, as its specification has it.
const MAX_REPOSITORY: usize = 255;
const SCHEME: &str = "oci://";

/// What names a component.
///
/// | written | means |
/// |---|---|
/// | `comments` | a component that the program brings along |
/// | `./feed.wasm`, `parts/feed.wasm`, `feed.wasm` | a file: whatever has a slash or ends in `.wasm` |
/// | `feed@1.2.0` | `feed@1.2.0.wasm` in the components folder |
/// | `sha256:<64 digits>`, `feed@sha256:<64 digits>` | the component with that digest, in the components folder or in the cache |
/// | `oci://host[:port]/path:tag` | what a registry has under the tag, just now |
/// | `oci://host[:port]/path[:tag]@sha256:<64 digits>` | the manifest with that digest, for ever |
///
/// Its text is parsed to an equal reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A bare name.
    Builtin(String),
    /// A file.
    Path(PathBuf),
    /// A file of the components folder.
    Folder {
        /// The component's name.
        name: String,
        /// Its version.
        version: String,
    },
    /// The digest of a component's bytes.
    Digest {
        /// A name for people, which nothing depends on.
        name: Option<String>,
        /// `sha256:` and 64 digits.
        digest: String,
    },
    /// An artifact of a registry.
    Oci(OciReference),
}

/// An artifact of a registry. It has a tag, a digest, or both; with both the digest counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OciReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`RegistryError::Reference`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let wrong = |reason: &str| RegistryError::Reference {
            text: sanitize(text, 200),
            reason: reason.to_owned(),
        };
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(wrong("it is empty or has more than 4096 bytes"));
        }
        if text.chars().any(is_unprintable) {
            return Err(wrong("it has characters that can't be printed"));
        }
        if let Some(rest) = text.strip_prefix(SCHEME) {
            return OciReference::parse_rest(rest)
                .map(Self::Oci)
                .map_err(|reason| wrong(&reason));
        }
        if text.contains("://") {
            return Err(wrong("a registry's components are written oci://host/path:tag"));
        }
        if text.contains(['/', '\\']) || text.ends_with(".wasm") {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        let name_of = |name: &str| match is_name(name) {
            true => Ok(name.to_owned()),
            false => Err(wrong(
                "a name has letters, digits, '.', '_' and '-', begins with a letter or a digit, and has 128 bytes at most",
            )),
        };
        if text.starts_with("sha256:") || text.contains("@sha256:") {
            let (name, digest) = match text.split_once('@') {
                Some((name, digest)) => (Some(name_of(name)?), digest),
                None => (None, text),
            };
            return match digest::hex(digest) {
                Some(_) => Ok(Self::Digest {
                    name,
                    digest: digest.to_owned(),
                }),
                None => Err(wrong(DIGEST_FORM)),
            };
        }
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self::Builtin(name_of(text)?));
        };
        match is_version(version) {
            true => Ok(Self::Folder {
                name: name_of(name)?,
                version: version.to_owned(),
            }),
            false => Err(wrong(
                "a version has letters, digits, '.', '_', '+' and '-', begins with a letter or a digit, and has 128 bytes at most",
            )),
        }
    }

    /// Whether it names the same bytes for ever.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Digest { .. } => true,
            Self::Oci(reference) => reference.digest.is_some(),
            Self::Builtin(_) | Self::Path(_) | Self::Folder { .. } => false,
        }
    }
}

const DIGEST_FORM: &str = "a digest is sha256: and 64 digits of 0-9 and a-f";

impl OciReference {
    /// The registry: a host, with its port where one is named.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if it names one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, if it names one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The same, pinned to a manifest. What is no digest is left out.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        Self {
            digest: digest::hex(digest).map(|_| digest.to_owned()),
            ..self.clone()
        }
    }

    /// Whether the registry is on this machine, and spoken to without TLS.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(split_port(&self.registry).0)
    }

    fn parse_rest(text: &str) -> Result<Self, String> {
        let (text, digest) = match text.split_once('@') {
            Some((text, digest)) => match digest::hex(digest) {
                Some(_) => (text, Some(digest.to_owned())),
                // A user's name and password before the host would look like this.
                None => return Err(format!("behind the @ stands no digest: {DIGEST_FORM}")),
            },
            None => (text, None),
        };
        let (registry, path) = text
            .split_once('/')
            .ok_or("it has no path behind the host: write oci://host/path:tag")?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        if !is_registry(registry) {
            return Err(
                "its host is none: a name or an address, with :port where it is not the usual one".into(),
            );
        }
        if repository.len() > MAX_REPOSITORY || !repository.split('/').all(is_component) {
            return Err(
                "a path in a registry has small letters and digits, with '.', '_', '__' or '-' between them, in parts between slashes"
                    .into(),
            );
        }
        if tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag has letters, digits, '.', '_' and '-', begins with neither '.' nor '-', and has 128 bytes at most".into());
        }
        if tag.is_none() && digest.is_none() {
            return Err("it has neither a tag nor a digest: write oci://host/path:tag".into());
        }
        Ok(Self {
            registry: registry.to_ascii_lowercase(),
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

/// `localhost`, or an address of this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// The host and the text of the port, if there is one.
fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = split_port(text);
    let is_port = |port: &str| !port.starts_with(['0', '+']) && port.parse::<u16>().is_ok();
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // A URL reads a last label of digits as a part of an address: 127.1, 0x7f000001.
        None => {
            let last = host.rsplit('.').next().unwrap_or_default();
            let like_address = last.starts_with(|c: char| c.is_ascii_digit());
            host.len() <= 253
                && host.split('.').all(is_label)
                && (!like_address || host.parse::<std::net::Ipv4Addr>().is_ok())
        }
    };
    is_host && port.is_none_or(is_port)
}

/// A part of a repository's path, as the distribution specification has it:
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn is_component(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    let well_formed = ends.is_some_and(|(first, last)| is_plain(*first) && is_plain(*last));
    let separators = part.split(|c: char| c.is_ascii() && is_plain(c as u8));
    let is_separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    well_formed && separators.into_iter().all(is_separator)
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_name(text: &str) -> bool {
    is_word(text, b"._-")
}

fn is_version(text: &str) -> bool {
    is_word(text, b"._+-")
}

fn is_word(text: &str, others: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        Self::parse(text)
    }
}

impl FromStr for OciReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        match Reference::parse(text)? {
            Reference::Oci(reference) => Ok(reference),
            _ => Err(RegistryError::Reference {
                text: sanitize(text, 200),
                reason: "a registry's components are written oci://host/path:tag".into(),
            }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
            Self::Folder { name, version } => write!(f, "{name}@{version}"),
            Self::Digest { name: None, digest } => f.write_str(digest),
            Self::Digest {
                name: Some(name),
                digest,
            } => write!(f, "{name}@{digest}"),
            Self::Oci(reference) => reference.fmt(f),
        }
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
