use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use sandbar_pipeline::{is_ours, is_ours_alone, open_file, prune_folder};

/// A folder of compiled components, so that a component is compiled once per machine and engine.
///
/// wasmtime trusts a compiled file blindly. So the folder has to belong to this user alone (0700, created so),
/// each file carries the digest of its name and content, and what does not fit is compiled again. A cache that
/// can't be used is no error: it only costs time.
#[derive(Clone, Debug)]
pub struct ComponentCache {
    folder: PathBuf,
    /// Bytes of all files together.
    max: u64,
}

/// What the cache may take on the disk. The oldest files make room for new ones.
const MAX_BYTES: u64 = 1 << 30;

impl ComponentCache {
    /// Uses `folder`, which is created when missing. `None` when it can't be trusted or created.
    pub fn open(folder: &Path) -> Option<Self> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        if let Err(e) = created {
            tracing::debug!(folder = %folder.display(), error = %e, "no cache of compiled components");
            return None;
        }
        let meta = fs::symlink_metadata(folder).ok()?;
        if !meta.is_dir() || !is_ours_alone(&meta) {
            tracing::warn!(
                folder = %folder.display(),
                "the cache of compiled components is not used: it must belong to this user alone (chmod 700)"
            );
            return None;
        }
        Some(Self {
            folder: folder.to_owned(),
            max: MAX_BYTES,
        })
    }

    /// The usual folder of this user: `$XDG_CACHE_HOME/sandbar` or `~/.cache/sandbar`.
    pub fn user_folder() -> Option<PathBuf> {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache.join("sandbar"))
    }

    /// The compiled form of a component, when it is here and whole.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        let bytes = read_own(&path).inspect_err(|e| match e.kind() {
            io::ErrorKind::NotFound => {}
            _ => tracing::warn!(file = %path.display(), error = %e, "a compiled component is ignored"),
        });
        let bytes = bytes.ok()?;
        let (sum, compiled) = bytes.split_at_checked(32)?;
        if checksum(&path, compiled) != sum {
            tracing::warn!(file = %path.display(), "a compiled component that was changed is ignored");
            return None;
        }
        // SAFETY: `compiled` is what `store` got from `Component::serialize`. The file was written by this user, and nobody
        // else can change it (checked in `read_own`), the checksum above excludes damage and other components' files, and wasmtime itself refuses
        // the output of another version or configuration.
        #[expect(unsafe_code, reason = "the one place that trusts a file as machine code")]
        let component = unsafe { Component::deserialize(engine, compiled) };
        component
            .inspect_err(|e| tracing::debug!(file = %path.display(), error = %e, "compiled again"))
            .ok()
    }

    /// Keeps a compiled component. Failing is no error.
    pub(crate) fn store(&self, engine: &Engine, digest: &str, component: &Component) {
        let path = self.path(engine, digest);
        if let Err(e) = self.write(&path, component) {
            tracing::debug!(file = %path.display(), error = %e, "the compiled component is not cached");
        }
        if let Err(e) = prune_folder(&self.folder, &path, self.max) {
            tracing::debug!(folder = %self.folder.display(), error = %e, "the cache is not pruned");
        }
    }

    fn write(&self, path: &Path, component: &Component) -> io::Result<()> {
        let compiled = component.serialize().map_err(io::Error::other)?;
        // Writers that race write the same bytes under the same name; the rename makes either whole.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        file.write_all(&checksum(path, &compiled))?;
        file.write_all(&compiled)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }

    fn path(&self, engine: &Engine, digest: &str) -> PathBuf {
        use std::hash::{Hash, Hasher};
        // Keyed by what wasmtime says of engine and configuration; stable within one build of this program.
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let hex = digest.rsplit(':').next().unwrap_or(digest);
        self.folder.join(format!("{hex}-{:016x}.cwasm", hasher.finish()))
    }
}

/// Reads a file that this user wrote. Of the folder that was found out when it was opened; another one may lie at its name
/// by now, where others may rename what is in the folder above.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_file(path)?;
    if !is_ours(&file.metadata()?) {
        return Err(io::Error::other(
            "it belongs to somebody else, or others can write to it",
        ));
    }
    let mut bytes = vec![];
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Of the name too: another component's file, whole as it is, must not be taken for this one's.
fn checksum(path: &Path, compiled: &[u8]) -> [u8; 32] {
    let name = path.file_name().unwrap_or_default();
    Sha256::new()
        .chain_update(name.as_encoded_bytes())
        .chain_update([0])
        .chain_update(compiled)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests;
