use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandbar_pipeline::{open_file, read_file};

use crate::RegistryError;
use crate::digest;
use crate::signature::MAX_SIGNATURE_BYTES;

/// Files that one components folder is looked through for.
const MAX_ENTRIES: usize = 10_000;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMark {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileMark {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// A component's file and its signature's, as they are just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) path: PathBuf,
    component: FileMark,
    signature: Option<FileMark>,
}

/// A component's file, read.
pub(crate) struct ReadComponent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Option<String>,
    pub(crate) state: FileState,
}

/// The file of a component's signature.
pub(crate) fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

pub(crate) fn state(path: &Path) -> io::Result<FileState> {
    let component = FileMark::of(&fs::metadata(path)?);
    Ok(FileState {
        path: path.to_owned(),
        component,
        signature: signature_mark(path),
    })
}

fn signature_mark(path: &Path) -> Option<FileMark> {
    fs::metadata(signature_path(path)).ok().as_ref().map(FileMark::of)
}

/// Reads a component of at most `max` bytes, and the signature beside it.
pub(crate) fn read(path: &Path, max: u64) -> Result<ReadComponent, RegistryError> {
    let unread = |error| RegistryError::File {
        path: path.to_owned(),
        error,
    };
    let file = open_file(path).map_err(unread)?;
    let component = FileMark::of(&file.metadata().map_err(unread)?);
    let mut bytes = vec![];
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unread)?;
    if bytes.len() as u64 > max {
        return Err(RegistryError::TooLarge {
            what: path.display().to_string(),
            max,
        });
    }
    let signature = signature_mark(path);
    Ok(ReadComponent {
        bytes,
        signature: read_signature(path)?,
        state: FileState {
            path: path.to_owned(),
            component,
            signature,
        },
    })
}

fn read_signature(path: &Path) -> Result<Option<String>, RegistryError> {
    let path = signature_path(path);
    let bytes = match read_file(&path, MAX_SIGNATURE_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RegistryError::File { path, error }),
    };
    // What is no text is no signature either, and that is said where it is verified.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Where a folder has a version of a component.
pub(crate) fn version_path(folder: &Path, name: &str, version: &str) -> PathBuf {
    folder.join(format!("{name}@{version}.wasm"))
}

/// Where a folder has the component of a digest.
pub(crate) fn digest_path(folder: &Path, digest: &str) -> PathBuf {
    let hex = digest::hex(digest).unwrap_or("none");
    folder.join(format!("sha256-{hex}.wasm"))
}

/// Names of the components in a folder that a reference can name, each with its file, in order.
pub(crate) fn components(folder: &Path) -> Result<Vec<(String, PathBuf)>, RegistryError> {
    let failed = |error| RegistryError::File {
        path: folder.to_owned(),
        error,
    };
    let entries = match fs::read_dir(folder) {
        // A machine on which none was put has none.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(failed)?,
    };
    let mut found = vec![];
    for (number, entry) in entries.enumerate() {
        if number >= MAX_ENTRIES {
            return Err(failed(io::Error::other(format!(
                "it holds more than {MAX_ENTRIES} files"
            ))));
        }
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".wasm")) else {
            continue;
        };
        let text = match stem.strip_prefix("sha256-") {
            Some(hex) if digest::is_hex(hex) => format!("sha256:{hex}"),
            _ => stem.to_owned(),
        };
        let named = crate::Reference::parse(&text);
        if matches!(
            named,
            Ok(crate::Reference::Folder { .. } | crate::Reference::Digest { .. })
        ) {
            found.push((text, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
