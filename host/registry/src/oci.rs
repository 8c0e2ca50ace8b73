//! Components of registries: fetched, resolved and pushed.

use std::sync::Arc;

use bytes::Bytes;

use crate::artifact::{
    EMPTY_CONFIG, component_config, component_layer, component_manifest, signature_layer, signature_manifest,
    signature_tag,
};
use crate::blocking::blocking;
use crate::cache::Kind;
use crate::credentials::Login;
use crate::digest;
use crate::distribution::{Manifest, Purpose, Session};
use crate::signature::{is_readable, verify};
use crate::{
    Access, Fetched, OciReference, Pushed, Reference, Registry, RegistryError, RegistryLogin, Resolution,
    TrustedKeys,
};

type Result<T> = std::result::Result<T, RegistryError>;

/// A component with its manifest, and whether a registry was asked for either.
struct Found {
    manifest_digest: String,
    digest: String,
    bytes: Arc<[u8]>,
    asked: bool,
}

impl Registry {
    fn session<'a>(
        &'a self,
        reference: &'a OciReference,
        login: Option<&'a RegistryLogin>,
        purpose: Purpose,
    ) -> Result<Session<'a>> {
        let login = login.map_or(Login::Docker(self.docker_config.as_ref()), Login::Given);
        Session::new(self, reference, login, purpose)
    }

    pub(crate) async fn fetch_oci(&self, reference: &OciReference, access: &Access<'_>) -> Result<Fetched> {
        let mut session = self.session(reference, access.login, Purpose::Pull)?;
        let found = self.find(&mut session, reference, self.max(access)).await?;
        let (signature, signed_by) = match access.keys {
            Some(keys) => self.signature(&mut session, reference, &found, keys).await?,
            None => (self.kept_signature(&found.manifest_digest).await?, None),
        };
        Ok(Fetched {
            reference: Reference::Oci(reference.clone()),
            resolution: Resolution::of_digest(&found.manifest_digest),
            digest: found.digest,
            bytes: found.bytes,
            manifest_digest: Some(found.manifest_digest),
            signature,
            signed_by,
            from_cache: !found.asked,
        })
    }

    async fn find(&self, session: &mut Session<'_>, reference: &OciReference, max: u64) -> Result<Found> {
        let kept = match reference.digest() {
            Some(digest) => self.kept_manifest(reference, digest).await?,
            None => None,
        };
        let asked = kept.is_none();
        let manifest = match kept {
            Some(manifest) => manifest,
            None => self.ask_manifest(session, reference).await?,
        };
        let layer = component_layer(&reference.to_string(), &manifest.bytes)?;
        if layer.size > max {
            return Err(RegistryError::TooLarge {
                what: format!("the component of {reference}"),
                max,
            });
        }
        let (bytes, fetched) = match self.kept_component(&layer.digest, max).await? {
            Some(bytes) => (bytes, false),
            None => (session.blob("component", &layer).await?, true),
        };
        let bytes: Arc<[u8]> = bytes.into();
        let origin = format!("oci://{}/{}", reference.registry(), reference.repository());
        self.keep(Kind::Component, &layer.digest, fetched, Arc::clone(&bytes))
            .await?;
        let found = Found {
            manifest_digest: manifest.digest,
            digest: layer.digest,
            bytes,
            asked: asked || fetched,
        };
        self.keep(
            Kind::Manifest,
            &found.manifest_digest,
            asked,
            manifest.bytes.into(),
        )
        .await?;
        let origin = origin.into_bytes().into();
        self.keep(Kind::Origin, &found.manifest_digest, asked, origin)
            .await?;
        Ok(found)
    }

    /// A manifest that a registry has just now.
    async fn ask_manifest(&self, session: &mut Session<'_>, reference: &OciReference) -> Result<Manifest> {
        let name = name_of(reference)?;
        match session.manifest(name).await {
            Ok(Some(manifest)) => Ok(manifest),
            Ok(None) => {
                let other = other_digest(session, reference).await;
                Err(other.unwrap_or_else(|| missing(reference)))
            }
            // Some registries break when a component is asked for as a manifest.
            Err(e) if e.is_transient() && session.is_answered() => {
                let other = other_digest(session, reference).await;
                let is_sure = reference.tag().is_some();
                Err(other
                    .filter(|_| is_sure)
                    .unwrap_or_else(|| unresolved(reference, e)))
            }
            Err(e) => Err(unresolved(reference, e)),
        }
    }

    async fn signature(
        &self,
        session: &mut Session<'_>,
        reference: &OciReference,
        found: &Found,
        keys: &TrustedKeys,
    ) -> Result<(Option<String>, Option<crate::SignedBy>)> {
        let name = reference.to_string();
        let now = self.clock.now();
        let kept = self.kept_signature(&found.manifest_digest).await?;
        if let Some(text) = kept.clone()
            && let Ok(signed_by) = verify(keys, &name, &found.bytes, Some(text.clone()), now).await
        {
            return Ok((Some(text), Some(signed_by)));
        }
        let text = match self
            .ask_signature(session, reference, &found.manifest_digest)
            .await
        {
            Ok(text) => text,
            // What is wrong with the one that is here is more to the point.
            Err(e) if e.is_transient() && kept.is_some() => kept,
            Err(RegistryError::Unavailable { what, reason }) => {
                return Err(RegistryError::Unavailable {
                    what: format!("the signature of {reference}"),
                    reason: format!("it could not be looked up ({what}: {reason}), and is not in the cache"),
                });
            }
            Err(other) => return Err(other),
        };
        let signed_by = verify(keys, &name, &found.bytes, text.clone(), now).await?;
        if let Some(text) = &text {
            let bytes = text.clone().into_bytes().into();
            self.keep(Kind::Signature, &found.manifest_digest, true, bytes)
                .await?;
        }
        Ok((text, Some(signed_by)))
    }

    async fn ask_signature(
        &self,
        session: &mut Session<'_>,
        reference: &OciReference,
        manifest_digest: &str,
    ) -> Result<Option<String>> {
        let Some(manifest) = session.manifest(&signature_tag(manifest_digest)).await? else {
            return Ok(None);
        };
        let layer = signature_layer(&reference.to_string(), &manifest.bytes)?;
        let bytes = session.blob("signature", &layer).await?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(crate) async fn resolve_oci(
        &self,
        reference: &OciReference,
        login: Option<&RegistryLogin>,
    ) -> Result<Resolution> {
        let tag = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => return Ok(Resolution::of_digest(digest)),
            (None, Some(tag)) => tag,
            (None, None) => name_of(reference)?,
        };
        let mut session = self.session(reference, login, Purpose::Pull)?;
        let found = session.manifest_digest(tag).await;
        match found.map_err(|e| unresolved(reference, e))? {
            Some(digest) => Ok(Resolution::of_digest(&digest)),
            None => Err(missing(reference)),
        }
    }

    pub(crate) async fn push_oci(
        &self,
        component: Arc<[u8]>,
        signature: Option<&str>,
        reference: &OciReference,
        login: Option<&RegistryLogin>,
    ) -> Result<Pushed> {
        let wrong = |reason: String| RegistryError::Artifact {
            component: format!("what is to be {reference}"),
            reason,
        };
        if component.len() as u64 > self.max_bytes {
            return Err(RegistryError::TooLarge {
                what: format!("what is to be {reference}"),
                max: self.max_bytes,
            });
        }
        if signature.is_some_and(|text| !is_readable(text)) {
            return Err(wrong("its signature is no text of minisign".into()));
        }
        let bytes = Bytes::from_owner(Arc::clone(&component));
        let repository = reference.repository().to_owned();
        let (config, manifest, component_digest) = blocking(move || {
            let config = component_config(&component).map_err(wrong_at)?;
            let manifest = component_manifest(&repository, &config, &component);
            Ok((config, manifest, digest::sha256(&component)))
        })
        .await
        .map_err(|e| match e {
            RegistryError::Artifact { reason, .. } => wrong(reason),
            other => other,
        })?;
        let manifest_digest = digest::sha256(&manifest);
        if reference.digest().is_some_and(|digest| digest != manifest_digest) {
            return Err(RegistryError::OtherDigest {
                component: reference.to_string(),
                reason: format!("the manifest of this component has the digest {manifest_digest}"),
            });
        }
        let mut session = self.session(reference, login, Purpose::Push)?;
        session.push_blob(config.into()).await?;
        session.push_blob(bytes).await?;
        // Before the tag moves: whoever sees the component sees its signature.
        if let Some(text) = signature {
            if let Some(other) = session.manifest(&signature_tag(&manifest_digest)).await?
                && signature_layer(&reference.to_string(), &other.bytes).is_err()
            {
                return Err(RegistryError::Artifact {
                    component: format!("{} under {}", reference, signature_tag(&manifest_digest)),
                    reason: "a signature of another program lies there already, and is not written over"
                        .into(),
                });
            }
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let of_signature = signature_manifest(reference.repository(), &bytes);
            session.push_blob(Bytes::from_static(EMPTY_CONFIG)).await?;
            session.push_blob(bytes).await?;
            session
                .push_manifest(&signature_tag(&manifest_digest), of_signature)
                .await?;
        }
        let name = reference.tag().unwrap_or(&manifest_digest);
        session.push_manifest(name, manifest).await?;
        Ok(Pushed {
            reference: reference.pinned(&manifest_digest),
            manifest_digest,
            component_digest,
        })
    }

    async fn kept_manifest(&self, reference: &OciReference, digest: &str) -> Result<Option<Manifest>> {
        let Some(cache) = self.cache.clone() else {
            return Ok(None);
        };
        let (component, digest, now) = (reference.to_string(), digest.to_owned(), self.clock.now());
        blocking(move || {
            if let Some(bytes) = cache.manifest(&digest) {
                cache.touch(Kind::Manifest, &digest, now);
                return Ok(Some(Manifest { bytes, digest }));
            }
            match cache.manifest_of(&digest) {
                Some(manifest) => Err(RegistryError::OtherDigest {
                    component,
                    reason: format!(
                        "{digest} is the digest of a component, and behind the @ belongs that of its manifest, {manifest}"
                    ),
                }),
                None => Ok(None),
            }
        })
        .await
    }

    pub(crate) async fn kept_component(&self, digest: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let Some(cache) = self.cache.clone() else {
            return Ok(None);
        };
        let (digest, now) = (digest.to_owned(), self.clock.now());
        blocking(move || {
            let bytes = cache.component(&digest, max);
            if bytes.is_some() {
                cache.touch(Kind::Component, &digest, now);
            }
            Ok(bytes)
        })
        .await
    }

    async fn kept_signature(&self, manifest_digest: &str) -> Result<Option<String>> {
        let Some(cache) = self.cache.clone() else {
            return Ok(None);
        };
        let digest = manifest_digest.to_owned();
        blocking(move || Ok(cache.text(Kind::Signature, &digest))).await
    }

    /// Keeps what is new.
    async fn keep(&self, kind: Kind, digest: &str, is_new: bool, bytes: Arc<[u8]>) -> Result<()> {
        let Some(cache) = self.cache.clone().filter(|_| is_new) else {
            return Ok(());
        };
        let (digest, now) = (digest.to_owned(), self.clock.now());
        blocking(move || {
            cache.store(kind, &digest, &bytes, now);
            Ok(())
        })
        .await
    }
}

fn missing(reference: &OciReference) -> RegistryError {
    RegistryError::NotFound {
        component: reference.to_string(),
        reason: format!(
            "{} has no such tag or manifest in {}",
            reference.registry(),
            reference.repository()
        ),
    }
}

/// Finds out whether a digest that leads to no manifest is that of what is in an artifact: in the one under the tag, where
/// there is a tag.
async fn other_digest(session: &mut Session<'_>, reference: &OciReference) -> Option<RegistryError> {
    let digest = reference.digest()?;
    let manifest = match reference.tag() {
        Some(tag) => {
            let manifest = session.manifest(tag).await.ok().flatten()?;
            let layer = component_layer("", &manifest.bytes).ok()?;
            (layer.digest == digest).then_some(format!(", {}", manifest.digest))?
        }
        None => session.has_blob(digest).await.ok()?.then(String::new)?,
    };
    Some(RegistryError::OtherDigest {
        component: reference.to_string(),
        reason: format!(
            "{digest} is the digest of what is in an artifact, such as the component, and behind the @ belongs that of its manifest{manifest}"
        ),
    })
}

fn wrong_at(reason: String) -> RegistryError {
    RegistryError::Artifact {
        component: String::new(),
        reason,
    }
}

/// What a registry is asked for: the digest, or else the tag.
fn name_of(reference: &OciReference) -> Result<&str> {
    let name = reference.digest().or(reference.tag());
    name.ok_or_else(|| RegistryError::Reference {
        text: reference.to_string(),
        reason: "it has neither a tag nor a digest: write oci://host/path:tag".into(),
    })
}

/// What it means that a registry is away.
fn unresolved(reference: &OciReference, error: RegistryError) -> RegistryError {
    let RegistryError::Unavailable { what, reason } = error else {
        return error;
    };
    let reason = match (reference.digest(), reference.tag()) {
        (None, Some(tag)) => format!(
            "{reason}. So nobody can say what the tag {tag} means just now; a reference with @sha256: works without the registry once it was fetched"
        ),
        _ => format!("{reason}; and it is not in the cache"),
    };
    RegistryError::Unavailable { what, reason }
}
