//! Which version of a component a pipeline reads with, and where its bytes come from.

use std::path::Path;
use std::sync::Arc;

use sandbar_pipeline::{
    CheckpointLocation, RefusedVersion, StartVersion, Version, VersionRecord, with_causes,
};
use sandbar_registry::{Access, Reference, Registry, RegistryError, RegistryLogin, Resolution, TrustedKeys};
use sandbar_sandbox::{ComponentBytes, Connector};

use crate::config::PipelineFile;
use crate::loaded_version::{FoundComponent, LoadedVersion, StartingVersion};
use crate::runtime::hash;
use crate::{Runtime, RuntimeError};

/// The folder beside a pipeline file in which components lie by name and version.
const COMPONENTS: &str = "components";

impl Runtime {
    /// Loads the component that a pipeline file names, after it was compared with the file's pin and its trusted keys: a
    /// foreign one is neither compiled nor asked anything.
    ///
    /// # Errors
    /// As [`Runtime::load`]; [`RuntimeError::Config`] when the digest is another one than the file's, or no trusted key
    /// signed it; [`RuntimeError::Registry`] when it can't be fetched.
    pub async fn load_for(&self, file: &PipelineFile) -> Result<Arc<Connector>, RuntimeError> {
        Ok(self.load_named(file).await?.connector)
    }

    pub(crate) async fn load_named(&self, file: &PipelineFile) -> Result<LoadedVersion, RuntimeError> {
        let found = self.fetch(file, &file.config().source.component).await?;
        self.load_found(file, found).await
    }

    /// Loads a component by a reference as it stands in pipeline files; relative ones begin in `folder`.
    ///
    /// # Errors
    /// As [`Runtime::load`], and [`RuntimeError::Registry`] when it can't be fetched.
    pub async fn load_reference(
        &self,
        reference: &str,
        folder: &Path,
    ) -> Result<Arc<Connector>, RuntimeError> {
        match Reference::parse(reference)? {
            Reference::Builtin(name) => self.load(&name, None).await,
            Reference::Path(path) => self.load(reference, Some(&folder.join(path))).await,
            other => {
                let fetched = self.registry(folder).fetch(&other, &Access::default()).await?;
                self.load_bytes(reference, fetched.bytes).await
            }
        }
    }

    /// Where components are found that are not built in, for pipeline files in this folder.
    pub fn registry(&self, folder: &Path) -> Registry {
        let registry = Registry::default()
            .with_components_folder(&folder.join(COMPONENTS))
            .with_clock(self.clock());
        match self.registry_cache() {
            Some(cache) => registry.with_cache_folder(cache),
            None => registry,
        }
    }

    /// The version to start with, and what is known of versions before it.
    pub(crate) async fn start_version(
        &self,
        file: &PipelineFile,
        location: &CheckpointLocation,
    ) -> Result<StartingVersion, RuntimeError> {
        let source = &file.config().source;
        // Whoever only looks is shown all the rest. A run asks again, and ends with the error.
        let loaded = location.load_versions().await;
        let unread = loaded.is_err();
        let mut record = loaded.unwrap_or_default();
        let interrupted = record
            .as_mut()
            .is_some_and(|record| record.interrupt(self.clock().milliseconds()));
        let recorded = match &record {
            Some(record) => record.at_start(&source.component, source.digest.as_deref()),
            None => StartVersion::Configured,
        };
        let version = match recorded {
            StartVersion::Recorded(version) => self.load_recorded(file, location, version).await?,
            StartVersion::Configured => {
                let record = record.as_ref();
                self.load_configured(file, location, record, interrupted).await?
            }
        };
        Ok(StartingVersion {
            version,
            record,
            interrupted,
            unread,
        })
    }

    /// What the file names, unless it failed before or has still to prove itself: then the version that is known to work.
    /// Of a probation that was `interrupted` a run says so itself; for whoever only looks, it may be that of another
    /// process at work.
    async fn load_configured(
        &self,
        file: &PipelineFile,
        location: &CheckpointLocation,
        record: Option<&VersionRecord>,
        interrupted: bool,
    ) -> Result<LoadedVersion, RuntimeError> {
        let source = &file.config().source;
        let found = self.fetch(file, &source.component).await?;
        let digest = found.bytes.digest();
        let held_back = record.filter(|record| record.holds_back(digest) && source.digest.is_none());
        let Some(record) = held_back else {
            return self.load_found(file, found).await;
        };
        let refused = record.refuses(digest);
        if record.configured != source.component {
            return match refused {
                Some(refused) => Err(refuse_configured(file, refused)),
                None => self.load_found(file, found).await,
            };
        }
        if let Some(refused) = refused.filter(|_| !interrupted) {
            tracing::warn!(
                pipeline = %file.config().name, refused = %digest, runs = %record.current.component.digest,
                "the component that the file names failed before, so the version before it runs: {}", refused.reason
            );
        }
        self.load_recorded(file, location, record.current.clone()).await
    }

    /// A version that a swap kept in the checkpoint location. What lies there is believed only as far as its digest and
    /// its signature go.
    async fn load_recorded(
        &self,
        file: &PipelineFile,
        location: &CheckpointLocation,
        version: Version,
    ) -> Result<LoadedVersion, RuntimeError> {
        let source = &file.config().source;
        let digest = &version.component.digest;
        let kept = location
            .load_component(digest, source.limits.component_size)
            .await?;
        let bytes = match kept {
            Some(kept) => Some(hashed(Arc::from(&kept[..])).await?).filter(|kept| kept.digest() == digest),
            None => None,
        };
        let found = match bytes {
            Some(bytes) => {
                let found = FoundComponent {
                    bytes,
                    signature: version.signature,
                    reference: version.reference,
                };
                self.verify(file, &found)?;
                found
            }
            // The copy is gone or damaged.
            None => {
                let found = self.fetch(file, &version.reference).await?;
                if found.bytes.digest() != digest {
                    return Err(RuntimeError::VersionLost {
                        version: Box::new(version.component),
                        reference: version.reference,
                        found: found.bytes.digest().to_owned(),
                    });
                }
                found
            }
        };
        self.load_found(file, found).await
    }

    pub(crate) async fn load_found(
        &self,
        file: &PipelineFile,
        found: FoundComponent,
    ) -> Result<LoadedVersion, RuntimeError> {
        let FoundComponent {
            bytes,
            signature,
            reference,
        } = found;
        let limits = &file.config().source.limits;
        let connector = self.load_component(&reference, bytes, limits).await?;
        Ok(LoadedVersion {
            connector,
            signature,
            reference,
        })
    }

    /// Finds a component for a pipeline, and compares it with the file's pin and its trusted keys.
    pub(crate) async fn fetch(
        &self,
        file: &PipelineFile,
        reference: &str,
    ) -> Result<FoundComponent, RuntimeError> {
        let source = &file.config().source;
        let parsed = parse(file, reference)?;
        let (bytes, signature) = match &parsed {
            Reference::Builtin(name) => (self.read(name, None, &source.limits).await?, None),
            Reference::Path(path) if source.trust.is_empty() => {
                (self.read(reference, Some(path), &source.limits).await?, None)
            }
            _ => self.fetch_from_registry(file, reference, &parsed).await?,
        };
        let found = FoundComponent {
            bytes,
            signature,
            reference: reference.to_owned(),
        };
        // What is too long was not read to its end, and is refused by whoever loads it.
        let whole = found.bytes.bytes().len() as u64 <= source.limits.component_size;
        if let Some(pin) = source.digest.as_ref().filter(|_| whole) {
            let digest = found.bytes.digest();
            if pin != digest {
                let message = format!("the component has the digest {digest}");
                let help = "compare where the component came from; write the new digest only if you trust it";
                return Err(file.error_at("source.digest", &message, Some(help)).into());
            }
        }
        Ok(found)
    }

    async fn fetch_from_registry(
        &self,
        file: &PipelineFile,
        reference: &str,
        parsed: &Reference,
    ) -> Result<(ComponentBytes, Option<String>), RuntimeError> {
        let source = &file.config().source;
        let keys = trusted_keys(file)?;
        let login = login(file)?;
        let access = Access {
            login: login.as_ref(),
            keys: keys.as_ref(),
            max_bytes: Some(source.limits.component_size),
        };
        let fetched = self.registry_of(file).fetch(parsed, &access).await;
        let fetched = fetched.map_err(|e| registry_error(file, reference, e))?;
        Ok((hashed(fetched.bytes).await?, fetched.signature))
    }

    /// What a reference names at this moment, for whoever watches it. `None` for what does not change.
    pub(crate) async fn resolve(
        &self,
        file: &PipelineFile,
        reference: &str,
    ) -> Result<Option<Resolution>, RuntimeError> {
        let parsed = parse(file, reference)?;
        if matches!(parsed, Reference::Builtin(_)) || parsed.is_pinned() {
            return Ok(None);
        }
        let login = login(file)?;
        let resolved = self.registry_of(file).resolve(&parsed, login.as_ref()).await;
        Ok(Some(resolved.map_err(|e| registry_error(file, reference, e))?))
    }

    /// Compares a component with the keys that the file trusts.
    fn verify(&self, file: &PipelineFile, found: &FoundComponent) -> Result<(), RuntimeError> {
        let builtin = matches!(parse(file, &found.reference)?, Reference::Builtin(_));
        let Some(keys) = trusted_keys(file)?.filter(|_| !builtin) else {
            return Ok(());
        };
        let (reference, bytes) = (&found.reference, found.bytes.bytes());
        let verified = keys.verify(reference, bytes, found.signature.as_deref(), self.clock().now());
        verified.map(drop).map_err(|e| registry_error(file, reference, e))
    }

    fn registry_of(&self, file: &PipelineFile) -> Registry {
        let registry = self.registry(file.folder());
        match &file.config().source.registry.ca_file {
            Some(path) => registry.trusting_file(path),
            None => registry,
        }
    }
}

/// A reference of a pipeline file. Relative paths begin in its folder.
fn parse(file: &PipelineFile, reference: &str) -> Result<Reference, RuntimeError> {
    match Reference::parse(reference) {
        Ok(Reference::Path(path)) => Ok(Reference::Path(file.folder().join(path))),
        Ok(other) => Ok(other),
        Err(e) if reference == file.config().source.component => {
            Err(file.error_at("source.component", &e.to_string(), None).into())
        }
        Err(e) => Err(e.into()),
    }
}

fn trusted_keys(file: &PipelineFile) -> Result<Option<TrustedKeys>, RuntimeError> {
    let trust = &file.config().source.trust;
    if trust.is_empty() {
        return Ok(None);
    }
    let keys = TrustedKeys::parse(trust);
    keys.map(Some)
        .map_err(|e| file.error_at("source.trust", &e.to_string(), None).into())
}

fn login(file: &PipelineFile) -> Result<Option<RegistryLogin>, RuntimeError> {
    let Some((username, password)) = &file.config().source.registry.login else {
        return Ok(None);
    };
    let secret = |of: &crate::config::SecretRef, key: &str| {
        let resolved = of.resolve();
        resolved.map_err(|e| file.error_at(key, &e.to_string(), None))
    };
    Ok(Some(RegistryLogin {
        username: secret(username, "source.registry.username")?,
        password: secret(password, "source.registry.password")?,
    }))
}

/// An error of the registry, shown in the file where that is at fault.
fn registry_error(file: &PipelineFile, reference: &str, error: RegistryError) -> RuntimeError {
    let key = match &error {
        RegistryError::File { path, error } => {
            let source = std::io::Error::new(error.kind(), error.to_string());
            return RuntimeError::ComponentFile {
                path: path.clone(),
                source,
            };
        }
        RegistryError::Signature { .. } => "source.trust",
        RegistryError::Reference { .. } | RegistryError::NotFound { .. }
            if reference == file.config().source.component =>
        {
            "source.component"
        }
        RegistryError::Login { .. } => "source.registry",
        _ => return error.into(),
    };
    file.error_at(key, &with_causes(&error), None).into()
}

fn refuse_configured(file: &PipelineFile, refused: &RefusedVersion) -> RuntimeError {
    let id = &refused.component;
    let message = format!(
        "{} {} ({}) failed before: {}",
        id.name, id.version, id.digest, refused.reason
    );
    let help = format!(
        "name another version, or pin this one to run it all the same: digest = {:?}",
        id.digest
    );
    file.error_at("source.component", &message, Some(&help)).into()
}

async fn hashed(bytes: Arc<[u8]>) -> Result<ComponentBytes, RuntimeError> {
    let component = hash(move || Ok(bytes)).await;
    component.map_err(|e| RuntimeError::Source(sandbar_pipeline::SourceError::Sandbox(Box::new(e))))
}
