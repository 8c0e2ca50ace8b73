//! The control socket of a run: how `sandbar swap`, `pause` and the others speak to the process that runs a pipeline.
//!
//! One request and one response, each a line of JSON. The socket lies in a folder of its user alone, can be opened by that
//! user alone, and the server asks the system besides who is at the other end.

mod client;
mod protocol;
mod server;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sandbar_runtime::is_ours_alone;

use crate::CliError;

pub(crate) use client::ask;
pub(crate) use protocol::{Request, RequestKind, Response};
pub(crate) use server::{ControlServer, Controlled};

/// The folder of the sockets of this user's runs.
pub(crate) fn folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|path| path.is_absolute()) {
        Some(path) => path.join("sandbar"),
        None => std::env::temp_dir().join(format!("sandbar-{}", rustix::process::geteuid().as_raw())),
    }
}

/// The folder, created when it is missing. One that others can look into is refused: they could put a socket there.
fn owned_folder() -> Result<PathBuf, CliError> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = folder();
    let failed = |source| CliError::Io {
        context: format!("the folder of control sockets {}", folder.display()),
        source,
    };
    // It has its mode from the start: another run that begins at the same time must not find it open to others.
    let mut new = std::fs::DirBuilder::new();
    new.recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    let found = std::fs::symlink_metadata(&folder).map_err(failed)?;
    match found.is_dir() && is_ours_alone(&found) {
        true => Ok(folder),
        false => Err(failed(std::io::Error::other(
            "it is not a folder of this user alone (mode 0700)",
        ))),
    }
}
