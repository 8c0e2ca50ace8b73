//! Secrets that a file names without holding them.

use std::path::{Path, PathBuf};

use sandbar_pipeline::read_file;
use sandbar_policy::Secret;

/// The longest file of a secret. No header takes as much.
const MAX_BYTES: u64 = 64 << 10;

/// A header value that names where its secrets lie: `Bearer ${env:TOKEN}`, `${file:token.txt}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Env(String),
    File(PathBuf),
}

/// Why a secret can't be had. No message holds any part of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The value is the secret itself.
    #[error("holds no reference to a secret; secrets do not belong into a file that gets shared")]
    Literal,
    /// A reference is not closed.
    #[error("has a `${{` without its `}}`")]
    Unclosed,
    /// A reference of an unknown kind.
    #[error("has a reference of an unknown form: `${{{0}}}`")]
    UnknownForm(String),
    /// The environment variable is not set.
    #[error(
        "the environment variable {0} is not set; set it, or take the secret from a file with ${{file:path}}"
    )]
    MissingEnv(String),
    /// The file can't be read.
    #[error("can't read the secret file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What was found begins with a byte order mark, which some editors write and no remote takes.
    #[error(
        "{0} begins with a byte order mark, which would become a part of the secret; write it as UTF-8 without one"
    )]
    ByteOrderMark(String),
    /// What was found is no header value.
    #[error("{0} is empty or holds a character that no header may hold")]
    NotAHeader(String),
}

impl SecretRef {
    /// Parses a value; paths of files are relative to `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, SecretError> {
        if text.chars().any(char::is_control) {
            return Err(SecretError::NotAHeader("the text".to_owned()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (reference, after) = after.split_once('}').ok_or(SecretError::Unclosed)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match reference.split_once(':') {
                Some(("env", name)) if is_variable(name) => Part::Env(name.to_owned()),
                Some(("file", path)) if !path.is_empty() => Part::File(folder.join(path)),
                _ => return Err(SecretError::UnknownForm(reference.to_owned())),
            });
            rest = after;
        }
        if parts.is_empty() {
            return Err(SecretError::Literal);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The same for values that may be written out, as user names may.
    pub fn parse_open(text: &str, folder: &Path) -> Result<Self, SecretError> {
        match Self::parse(text, folder) {
            Err(SecretError::Literal) => Ok(Self {
                parts: vec![Part::Text(text.to_owned())],
            }),
            parsed => parsed,
        }
    }

    /// Fetches the secrets and puts the value together. White space at the end of a file does not count.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let mut value = Secret::default();
        for part in &self.parts {
            let found = part.resolve()?;
            match part {
                Part::Text(_) => value.push_text(&found),
                Part::Env(name) => value.push_secret(&format!("${{env:{name}}}"), &found),
                Part::File(path) => value.push_secret(&format!("${{file:{}}}", path.display()), &found),
            }
        }
        Ok(value)
    }
}

impl Part {
    fn resolve(&self) -> Result<String, SecretError> {
        let (found, place) = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Env(name) => match std::env::var(name) {
                Ok(found) => (found, format!("the environment variable {name}")),
                Err(std::env::VarError::NotPresent) => return Err(SecretError::MissingEnv(name.clone())),
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(SecretError::NotAHeader(format!(
                        "the environment variable {name}"
                    )));
                }
            },
            Self::File(path) => {
                let place = format!("the file {}", path.display());
                let failed = |source| SecretError::File {
                    path: path.clone(),
                    source,
                };
                let bytes = read_file(path, MAX_BYTES).map_err(failed)?;
                if matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
                    return Err(SecretError::ByteOrderMark(place));
                }
                let invalid = |_| failed(std::io::Error::other("it is not UTF-8"));
                let found = String::from_utf8(bytes).map_err(invalid)?;
                (found.trim_end().to_owned(), place)
            }
        };
        if found.starts_with('\u{feff}') {
            return Err(SecretError::ByteOrderMark(place));
        }
        if found.is_empty() || found.chars().any(char::is_control) {
            return Err(SecretError::NotAHeader(place));
        }
        Ok(found)
    }
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
