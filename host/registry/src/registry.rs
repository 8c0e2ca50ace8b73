use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sandbar_pipeline::{Clock, SystemClock};

use crate::blocking::blocking;
use crate::cache::{Cache, Kind};
use crate::credentials::usual_config;
use crate::digest;
use crate::files::{self, FileState};
use crate::http::Clients;
use crate::signature::verify;
use crate::{Access, OciReference, Reference, RegistryError, RegistryLogin, SignedBy};

type Result<T> = std::result::Result<T, RegistryError>;

const MAX_COMPONENT_BYTES: u64 = 256 << 20;
const MAX_CACHE_BYTES: u64 = 4 << 30;

/// Finds components by reference, and brings them to registries.
///
/// Without further settings it knows files and public registries. It may be shared; each call stands for itself.
pub struct Registry {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) cache: Option<Cache>,
    pub(crate) docker_config: Option<PathBuf>,
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) max_bytes: u64,
    pub(crate) timeouts: RegistryTimeouts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clients: Clients,
}

/// How long a registry may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryTimeouts {
    /// To look up its name and to connect, TLS included. 10 s by default.
    pub connect: Duration,
    /// Between any two pieces of an answer. 30 s by default.
    pub idle: Duration,
    /// For a manifest or another small answer, logins included. 60 s by default.
    pub answer: Duration,
    /// For the bytes of a component. 10 min by default.
    pub transfer: Duration,
}

impl Default for RegistryTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            transfer: Duration::from_secs(600),
        }
    }
}

/// A component that was found.
#[derive(Clone)]
pub struct Fetched {
    /// The reference that named it.
    pub reference: Reference,
    /// What the reference named at that moment; equal to what [`Registry::resolve`] gives as long as nothing changes.
    pub resolution: Resolution,
    /// The component.
    pub bytes: Arc<[u8]>,
    /// Digest of the component: `sha256:` and 64 digits.
    pub digest: String,
    /// Digest of the manifest that it came by. It is what an `oci://` reference is pinned by.
    pub manifest_digest: Option<String>,
    /// The text of its signature, as far as it is at hand: where keys were named it is the one that holds.
    pub signature: Option<String>,
    /// Who signed it, where keys were named.
    pub signed_by: Option<SignedBy>,
    /// Whether no registry had to be asked for it.
    pub from_cache: bool,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("reference", &self.reference)
            .field("digest", &self.digest)
            .field("manifest_digest", &self.manifest_digest)
            .field("signed_by", &self.signed_by)
            .field("from_cache", &self.from_cache)
            .finish_non_exhaustive()
    }
}

/// What a reference names at a moment. It is compared with an earlier one to notice a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution(Resolved);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resolved {
    File(FileState),
    /// Of a manifest, or of a component that is named by its digest.
    Digest(String),
}

impl Resolution {
    pub(crate) fn of_digest(digest: &str) -> Self {
        Self(Resolved::Digest(digest.to_owned()))
    }

    /// The digest, where the reference leads to one: of the manifest in a registry, or of the component.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        match &self.0 {
            Resolved::File(_) => None,
            Resolved::Digest(digest) => Some(digest),
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Resolved::File(state) => state.path.display().fmt(f),
            Resolved::Digest(digest) => f.write_str(digest),
        }
    }
}

/// A component that a registry was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The reference that names just this component.
    pub reference: OciReference,
    /// Digest of its manifest.
    pub manifest_digest: String,
    /// Digest of its bytes.
    pub component_digest: String,
}

/// A component on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// References that lead to it without a registry, the plainest first.
    pub references: Vec<String>,
    /// Digest of its bytes.
    pub digest: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Which folder it lies in.
    pub place: Place,
    /// Its file.
    pub path: PathBuf,
    /// Whether there is a signature. Whether it holds is for [`Registry::fetch`] to say.
    pub signed: bool,
    /// Why it can't be fetched, where something is wrong with its file.
    pub fault: Option<String>,
}

/// A folder that components lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// That of the operator.
    Folder,
    /// That of what was fetched before.
    Cache,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            folder: None,
            cache: None,
            docker_config: usual_config(),
            authorities: None,
            max_bytes: MAX_COMPONENT_BYTES,
            timeouts: RegistryTimeouts::default(),
            clock: Arc::new(SystemClock::default()),
            clients: Clients::default(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("folder", &self.folder)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Looks for names with a version, and for digests, in a folder: in `name@version.wasm` and `sha256-<64 digits>.wasm`,
    /// each with its signature beside it in a file of the same name and `.minisig`.
    #[must_use]
    pub fn with_components_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Keeps what registries give in a folder, which is created when missing. It must belong to this user alone; one that
    /// does not is not used, and the log says so.
    #[must_use]
    pub fn with_cache_folder(self, folder: &Path) -> Self {
        self.with_bounded_cache_folder(folder, MAX_CACHE_BYTES)
    }

    /// The same with another bound of all files together than 4 GiB, in bytes. What was of no use for longest makes room.
    #[must_use]
    pub fn with_bounded_cache_folder(mut self, folder: &Path, max_bytes: u64) -> Self {
        self.cache = Cache::open(folder, max_bytes);
        self
    }

    /// Looks up logins in another file than `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`; in none with `None`.
    #[must_use]
    pub fn with_docker_config(mut self, path: Option<&Path>) -> Self {
        self.docker_config = path.map(Path::to_owned);
        self
    }

    /// Refuses components that are longer, in bytes. The default is 256 MiB.
    #[must_use]
    pub fn with_max_component_bytes(mut self, max: u64) -> Self {
        self.max_bytes = max;
        self
    }

    /// Waits for registries as long as this.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: RegistryTimeouts) -> Self {
        self.timeouts = timeouts;
        self.clients = Clients::default();
        self
    }

    /// Trusts the authorities in a file of PEM certificates, beside those of this machine. The file is read when the first
    /// registry is asked.
    #[must_use]
    pub fn trusting_file(mut self, path: &Path) -> Self {
        self.authorities = Some(path.to_owned());
        self.clients = Clients::default();
        self
    }

    /// Takes the time from another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The components folder.
    #[must_use]
    pub fn components_folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Fetches a component. Tags are looked up anew each time. What is named by a digest comes from the cache when it is
    /// there, and no registry is asked.
    ///
    /// # Errors
    /// [`RegistryError::Builtin`] for a bare name; [`RegistryError::NotFound`], [`RegistryError::File`],
    /// [`RegistryError::TooLarge`], [`RegistryError::Artifact`] by what is found; [`RegistryError::Unavailable`],
    /// [`RegistryError::Login`], [`RegistryError::Answer`], [`RegistryError::Setup`] by what the registry does;
    /// [`RegistryError::Changed`] and [`RegistryError::OtherDigest`] when a digest does not fit;
    /// [`RegistryError::Signature`] when keys are named and none of them signed it.
    pub async fn fetch(&self, reference: &Reference, access: &Access<'_>) -> Result<Fetched> {
        match reference {
            Reference::Builtin(name) => Err(builtin(name)),
            Reference::Oci(oci) => self.fetch_oci(oci, access).await,
            Reference::Digest { digest, .. } => self.fetch_digest(reference, digest, access).await,
            Reference::Path(path) => self.fetch_file(reference, path.clone(), access).await,
            Reference::Folder { name, version } => {
                let path = self.folder_path(name, version).await?;
                self.fetch_file(reference, path, access).await
            }
        }
    }

    /// Says what a reference names just now, without reading the component: for a tag the registry is asked, and of a file
    /// length, time and place on the disk are looked at.
    ///
    /// # Errors
    /// As for [`Registry::fetch`], as far as it goes.
    pub async fn resolve(&self, reference: &Reference, login: Option<&RegistryLogin>) -> Result<Resolution> {
        let path = match reference {
            Reference::Builtin(name) => return Err(builtin(name)),
            Reference::Oci(oci) => return self.resolve_oci(oci, login).await,
            Reference::Digest { digest, .. } => return Ok(Resolution::of_digest(digest)),
            Reference::Path(path) => path.clone(),
            Reference::Folder { name, version } => self.folder_path(name, version).await?,
        };
        let component = reference.to_string();
        blocking(move || match files::state(&path) {
            Ok(state) => Ok(Resolution(Resolved::File(state))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(no_file(component, &path)),
            Err(error) => Err(RegistryError::File { path, error }),
        })
        .await
    }

    /// Brings a component to a registry, in the CNCF's format of WebAssembly artifacts. Its signature is put beside it
    /// under [`crate::signature_tag`], before the tag moves. Equal components have equal manifests: bringing one again
    /// changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::Artifact`] when the bytes are no component or the signature is none;
    /// [`RegistryError::OtherDigest`] when the reference has the digest of another manifest; or as for
    /// [`Registry::fetch`], by what the registry does.
    pub async fn push(
        &self,
        component: Arc<[u8]>,
        signature: Option<&str>,
        reference: &OciReference,
        login: Option<&RegistryLogin>,
    ) -> Result<Pushed> {
        self.push_oci(component, signature, reference, login).await
    }

    /// Lists the components of the components folder and those of the cache.
    ///
    /// # Errors
    /// [`RegistryError::File`] when the components folder can't be read.
    pub async fn list(&self) -> Result<Vec<Listed>> {
        let (folder, cache, max) = (self.folder.clone(), self.cache.clone(), self.max_bytes);
        blocking(move || {
            let mut listed = vec![];
            if let Some(folder) = folder {
                for (reference, path) in files::components(&folder)? {
                    listed.push(list_file(reference, path, max));
                }
            }
            if let Some(cache) = cache {
                listed.extend(list_cache(&cache, max));
            }
            Ok(listed)
        })
        .await
    }

    /// The longest component that this call may have.
    pub(crate) fn max(&self, access: &Access<'_>) -> u64 {
        access.max_bytes.unwrap_or(u64::MAX).min(self.max_bytes)
    }

    async fn fetch_file(&self, reference: &Reference, path: PathBuf, access: &Access<'_>) -> Result<Fetched> {
        let (component, max) = (reference.to_string(), self.max(access));
        let read = blocking(move || match files::read(&path, max) {
            Err(RegistryError::File { path, error }) if error.kind() == io::ErrorKind::NotFound => {
                Err(no_file(component, &path))
            }
            other => other.map(|read| (digest::sha256(&read.bytes), read)),
        });
        let (digest, read) = read.await?;
        let resolution = match reference {
            Reference::Digest { digest, .. } => Resolution::of_digest(digest),
            _ => Resolution(Resolved::File(read.state)),
        };
        self.checked(
            reference,
            resolution,
            digest,
            read.bytes.into(),
            read.signature,
            access,
        )
        .await
    }

    async fn checked(
        &self,
        reference: &Reference,
        resolution: Resolution,
        digest: String,
        bytes: Arc<[u8]>,
        signature: Option<String>,
        access: &Access<'_>,
    ) -> Result<Fetched> {
        if let Reference::Digest { digest: expected, .. } = reference
            && *expected != digest
        {
            return Err(RegistryError::Changed {
                component: reference.to_string(),
                what: "component",
                expected: expected.clone(),
                found: digest,
            });
        }
        let signed_by = match access.keys {
            Some(keys) => {
                let component = reference.to_string();
                let now = self.clock.now();
                Some(verify(keys, &component, &bytes, signature.clone(), now).await?)
            }
            None => None,
        };
        Ok(Fetched {
            reference: reference.clone(),
            resolution,
            bytes,
            digest,
            manifest_digest: None,
            signature,
            signed_by,
            from_cache: true,
        })
    }

    async fn fetch_digest(
        &self,
        reference: &Reference,
        digest: &str,
        access: &Access<'_>,
    ) -> Result<Fetched> {
        if let Some(folder) = &self.folder {
            let path = files::digest_path(folder, digest);
            match self.fetch_file(reference, path, access).await {
                Err(RegistryError::NotFound { .. }) => {}
                done => return done,
            }
        }
        let Some(bytes) = self.kept_component(digest, self.max(access)).await? else {
            return Err(self.no_digest(reference, digest).await);
        };
        let (cache, wanted) = (self.cache.clone(), digest.to_owned());
        let signature = blocking(move || {
            let cache = cache.as_ref();
            let manifest = cache.and_then(|cache| cache.manifest_of(&wanted));
            Ok(cache
                .zip(manifest)
                .and_then(|(cache, manifest)| cache.text(Kind::Signature, &manifest)))
        })
        .await?;
        let resolution = Resolution::of_digest(digest);
        let digest = digest.to_owned();
        self.checked(reference, resolution, digest, bytes.into(), signature, access)
            .await
    }

    async fn no_digest(&self, reference: &Reference, digest: &str) -> RegistryError {
        let component = reference.to_string();
        let layer = match self.cache.clone() {
            Some(cache) => {
                let digest = digest.to_owned();
                blocking(move || Ok(cache.layer_of(&digest))).await
            }
            None => Ok(None),
        };
        match layer {
            Ok(Some(layer)) => RegistryError::OtherDigest {
                component,
                reason: format!("it is the digest of a manifest; that of the component in it is {layer}"),
            },
            Ok(None) => {
                let folder = self.folder.as_ref();
                let looked = match folder.map(|folder| files::digest_path(folder, digest)) {
                    Some(path) => format!("there is no file {}", path.display()),
                    None => "no components folder is set".into(),
                };
                RegistryError::NotFound {
                    component,
                    reason: format!(
                        "{looked}, and it is not in the cache; oci://host/path@sha256:... names a registry that has it, by the digest of its manifest"
                    ),
                }
            }
            Err(error) => error,
        }
    }

    async fn folder_path(&self, name: &str, version: &str) -> Result<PathBuf> {
        let component = format!("{name}@{version}");
        let Some(folder) = self.folder.clone() else {
            return Err(RegistryError::NotFound {
                component,
                reason: "no components folder is set, where versions are looked for".into(),
            });
        };
        let path = files::version_path(&folder, name, version);
        let prefix = format!("{name}@");
        blocking(move || {
            if path.exists() {
                return Ok(path);
            }
            let others = files::components(&folder)?.into_iter();
            let others =
                others.filter_map(|(reference, _)| Some(reference.strip_prefix(&prefix)?.to_owned()));
            let others: Vec<_> = others.take(10).collect();
            let here = match others.is_empty() {
                true => "the folder has no version of it".into(),
                false => format!("the folder has {}", others.join(", ")),
            };
            Err(RegistryError::NotFound {
                component,
                reason: format!("there is no file {}; {here}", path.display()),
            })
        })
        .await
    }
}

fn builtin(name: &str) -> RegistryError {
    RegistryError::Builtin {
        name: name.to_owned(),
    }
}

fn no_file(component: String, path: &Path) -> RegistryError {
    let hint = match path.extension() {
        Some(extension) if extension == "wasm" => "",
        _ => "; a registry's components are written oci://host/path:tag",
    };
    RegistryError::NotFound {
        component,
        reason: format!("there is no file {}{hint}", path.display()),
    }
}

fn list_file(reference: String, path: PathBuf, max: u64) -> Listed {
    let read = files::read(&path, max);
    let (digest, bytes, signed, fault) = match &read {
        Ok(read) => {
            let digest = digest::sha256(&read.bytes);
            let other = reference.starts_with("sha256:") && reference != digest;
            let fault = other.then(|| format!("it was changed: its digest is {digest}"));
            (digest, read.bytes.len() as u64, read.signature.is_some(), fault)
        }
        Err(e) => (String::new(), 0, false, Some(e.to_string())),
    };
    Listed {
        references: vec![reference],
        digest,
        bytes,
        place: Place::Folder,
        path,
        signed,
        fault,
    }
}

fn list_cache(cache: &Cache, max: u64) -> Vec<Listed> {
    let manifests: Vec<_> = cache
        .digests(Kind::Manifest)
        .into_iter()
        .filter_map(|manifest| Some((cache.layer_of(&manifest)?, manifest)))
        .collect();
    let listed = cache.digests(Kind::Component).into_iter().map(|digest| {
        let of_it = || {
            manifests
                .iter()
                .filter(|(layer, _)| *layer == digest)
                .map(|(_, manifest)| manifest)
        };
        let pinned = of_it().filter_map(|manifest| {
            let origin = cache.text(Kind::Origin, manifest)?;
            let pinned = format!("{origin}@{manifest}");
            Reference::parse(&pinned)
                .ok()
                .map(|reference| reference.to_string())
        });
        let found = cache.component(&digest, max);
        Listed {
            references: pinned.chain([digest.clone()]).collect(),
            bytes: found.as_ref().map_or(0, |bytes| bytes.len() as u64),
            place: Place::Cache,
            path: cache.path(Kind::Component, &digest),
            signed: of_it().any(|manifest| cache.text(Kind::Signature, manifest).is_some()),
            fault: found.is_none().then(|| "it was changed, or is too long".into()),
            digest,
        }
    });
    listed.collect()
}
