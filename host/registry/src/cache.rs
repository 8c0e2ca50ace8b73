use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sandbar_pipeline::{is_ours, is_ours_alone, open_file, prune_folder};

use crate::artifact::{MAX_MANIFEST_BYTES, component_layer};
use crate::digest;
use crate::signature::MAX_SIGNATURE_BYTES;

/// A folder of what registries gave before: manifests, components and signatures by digest.
///
/// The folder belongs to this user alone (0700, created so). What is read from it is hashed each time, and what does not fit
/// its name counts as missing. A cache that can't be used is no error: it only costs a download.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// Bytes of all files together.
    max: u64,
}

/// What is kept under a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Under its own digest.
    Manifest,
    /// Under its own digest.
    Component,
    /// Under the digest of the manifest that it belongs to.
    Signature,
    /// Where a manifest was fetched from, for people; under the manifest's digest.
    Origin,
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Component => "wasm",
            Self::Signature => "minisig",
            Self::Origin => "origin",
        }
    }
}

const MAX_ORIGIN_BYTES: u64 = 4 << 10;

impl Cache {
    /// Uses `folder`, which is created when missing. `None` when it can't be trusted or created.
    pub(crate) fn open(folder: &Path, max: u64) -> Option<Self> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        if let Err(e) = created {
            tracing::warn!(folder = %folder.display(), error = %e, "no cache of components");
            return None;
        }
        let meta = fs::symlink_metadata(folder).ok()?;
        if !meta.is_dir() || !is_ours_alone(&meta) {
            tracing::warn!(
                folder = %folder.display(),
                "the cache of components is not used: it must belong to this user alone (chmod 700)"
            );
            return None;
        }
        Some(Self {
            folder: folder.to_owned(),
            max,
        })
    }

    /// The file under a digest.
    pub(crate) fn path(&self, kind: Kind, digest: &str) -> PathBuf {
        let hex = digest::hex(digest).unwrap_or("none");
        self.folder.join(format!("sha256-{hex}.{}", kind.extension()))
    }

    /// A manifest that is here and whole.
    pub(crate) fn manifest(&self, digest: &str) -> Option<Vec<u8>> {
        self.whole(Kind::Manifest, digest, MAX_MANIFEST_BYTES)
    }

    /// A component of at most `max` bytes that is here and whole.
    pub(crate) fn component(&self, digest: &str, max: u64) -> Option<Vec<u8>> {
        self.whole(Kind::Component, digest, max)
    }

    /// A text beside a manifest. Nothing says that it is whole.
    pub(crate) fn text(&self, kind: Kind, digest: &str) -> Option<String> {
        let bytes = self.read(kind, digest, MAX_SIGNATURE_BYTES.max(MAX_ORIGIN_BYTES))?;
        String::from_utf8(bytes).ok()
    }

    fn whole(&self, kind: Kind, digest: &str, max: u64) -> Option<Vec<u8>> {
        let bytes = self.read(kind, digest, max)?;
        if digest::sha256(&bytes) == digest {
            return Some(bytes);
        }
        tracing::warn!(file = %self.path(kind, digest).display(), "a cached file that was changed is ignored");
        None
    }

    fn read(&self, kind: Kind, digest: &str, max: u64) -> Option<Vec<u8>> {
        let path = self.path(kind, digest);
        read_own(&path, max)
            .inspect_err(|e| match e.kind() {
                io::ErrorKind::NotFound => {}
                _ => tracing::warn!(file = %path.display(), error = %e, "a cached file is ignored"),
            })
            .ok()
    }

    /// Says that what lies under a digest was of use, so that it outlives what was not.
    pub(crate) fn touch(&self, kind: Kind, digest: &str, now: SystemTime) {
        let file = fs::File::options().append(true).open(self.path(kind, digest));
        let _ = file.and_then(|file| file.set_modified(now));
    }

    /// Keeps bytes. Failing is no error.
    pub(crate) fn store(&self, kind: Kind, digest: &str, bytes: &[u8], now: SystemTime) {
        let path = self.path(kind, digest);
        if let Err(e) = self.write(&path, bytes, now) {
            tracing::warn!(file = %path.display(), error = %e, "what a registry gave is not cached");
        }
        if let Err(e) = prune_folder(&self.folder, &path, self.max) {
            tracing::warn!(folder = %self.folder.display(), error = %e, "the cache is not pruned");
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], now: SystemTime) -> io::Result<()> {
        // Writers that race write equal bytes under one name; the rename makes either whole.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        file.write_all(bytes)?;
        file.as_file().set_modified(now)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }

    /// The digest of the component in a manifest that is here.
    pub(crate) fn layer_of(&self, manifest: &str) -> Option<String> {
        let bytes = self.manifest(manifest)?;
        component_layer("", &bytes).ok().map(|layer| layer.digest)
    }

    /// The digest of a manifest that is here, and that a component is in.
    pub(crate) fn manifest_of(&self, component: &str) -> Option<String> {
        let mut manifests = self.digests(Kind::Manifest).into_iter();
        manifests.find(|manifest| self.layer_of(manifest).as_deref() == Some(component))
    }

    /// Digests of all that is kept of a kind, in order.
    pub(crate) fn digests(&self, kind: Kind) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return vec![];
        };
        let digest_of = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let stem = name.to_str()?.strip_suffix(kind.extension())?.strip_suffix('.')?;
            let hex = stem.strip_prefix("sha256-").filter(|hex| digest::is_hex(hex))?;
            Some(format!("sha256:{hex}"))
        };
        let mut digests: Vec<_> = entries.filter_map(digest_of).collect();
        digests.sort();
        digests
    }
}

/// Reads a file that this user wrote. Of the folder that was found out when it was opened; another one may lie at its name
/// by now, where others may rename what is in the folder above.
fn read_own(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = open_file(path)?;
    if !is_ours(&file.metadata()?) {
        return Err(io::Error::other(
            "it belongs to somebody else, or others can write to it",
        ));
    }
    let mut bytes = vec![];
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > max {
        true => Err(io::Error::other(format!("it has more than {max} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
