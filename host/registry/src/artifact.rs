use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, Parser, Payload};

use sandbar_policy::sanitize;

use crate::RegistryError;
use crate::digest;
use crate::signature::MAX_SIGNATURE_BYTES;

/// The media type of the layer that is the component.
pub const COMPONENT_MEDIA_TYPE: &str = "application/wasm";
/// The media type of a component's configuration, by the CNCF's format of WebAssembly artifacts.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the layer that is the text of a `.minisig` file.
pub const SIGNATURE_MEDIA_TYPE: &str = "application/vnd.jedisct1.minisign";
/// The type of the artifact whose only layer is a signature.
pub const SIGNATURE_ARTIFACT_TYPE: &str = "application/vnd.jedisct1.minisign.signature";

pub(crate) const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What may come instead, asked for so that its error can name it.
pub(crate) const OTHER_MANIFESTS: [&str; 3] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// Components were pushed so before the format was agreed on.
const FORMER_COMPONENT_MEDIA_TYPE: &str = "application/vnd.wasm.content.layer.v1+wasm";
const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const EMPTY_CONFIG: &[u8] = b"{}";

/// The longest manifest in bytes. One of a component has some 500.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Imports and exports that a configuration lists.
const MAX_NAMES: usize = 1000;

/// The tag under which the signature of an artifact lies, in the same repository: `sha256-<64 digits>.sig`. Other
/// programs, cosign among them, keep signatures of their own form there; those are neither read nor written over.
#[must_use]
pub fn signature_tag(manifest_digest: &str) -> String {
    format!("{}.sig", manifest_digest.replace(':', "-"))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// Of an index.
    #[serde(default, skip_serializing)]
    manifests: Vec<serde::de::IgnoredAny>,
}

/// A blob as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    media_type: String,
    pub(crate) digest: String,
    /// In bytes.
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Annotations {
    /// The name under which general clients of registries save the blob.
    #[serde(
        default,
        rename = "org.opencontainers.image.title",
        skip_serializing_if = "Option::is_none"
    )]
    title: Option<String>,
}

impl Descriptor {
    fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest::sha256(bytes),
            size: bytes.len() as u64,
            annotations: None,
        }
    }

    fn named(mut self, title: String) -> Self {
        self.annotations = Some(Annotations { title: Some(title) });
        self
    }
}

/// The one layer of a component's manifest.
pub(crate) fn component_layer(component: &str, manifest: &[u8]) -> Result<Descriptor, RegistryError> {
    let types = [COMPONENT_MEDIA_TYPE, FORMER_COMPONENT_MEDIA_TYPE];
    only_layer(manifest, &types).map_err(|reason| RegistryError::Artifact {
        component: component.to_owned(),
        reason,
    })
}

/// The one layer of a signature's manifest.
pub(crate) fn signature_layer(component: &str, manifest: &[u8]) -> Result<Descriptor, RegistryError> {
    let wrong = |reason| RegistryError::Artifact {
        component: format!("the signature of {component}"),
        reason,
    };
    let layer = only_layer(manifest, &[SIGNATURE_MEDIA_TYPE]).map_err(wrong)?;
    match layer.size > MAX_SIGNATURE_BYTES {
        true => Err(RegistryError::TooLarge {
            what: format!("the signature of {component}"),
            max: MAX_SIGNATURE_BYTES,
        }),
        false => Ok(layer),
    }
}

fn only_layer(manifest: &[u8], types: &[&str]) -> Result<Descriptor, String> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|e| {
        let reason = sanitize(&e.to_string(), 200);
        format!("its manifest is not the JSON of one: {reason}")
    })?;
    if !manifest.manifests.is_empty() {
        return Err(format!(
            "it is an index of {} manifests, as images for several platforms are; name the digest of one of them",
            manifest.manifests.len()
        ));
    }
    let number = manifest.layers.len();
    let Ok([layer]) = <[Descriptor; 1]>::try_from(manifest.layers) else {
        return Err(format!(
            "it has {number} layers, and one of {} is wanted",
            types[0]
        ));
    };
    if !types.contains(&layer.media_type.as_str()) {
        return Err(format!(
            "its layer is {}, and {} is wanted",
            sanitize(&layer.media_type, 100),
            types[0]
        ));
    }
    match digest::hex(&layer.digest) {
        Some(_) => Ok(layer),
        None => Err(format!(
            "its layer has the digest {}, and only sha256 is understood",
            sanitize(&layer.digest, 100)
        )),
    }
}

/// The manifest of a component. It says nothing of the time, so that equal components in one repository have equal
/// manifests.
pub(crate) fn component_manifest(repository: &str, config: &[u8], component: &[u8]) -> Vec<u8> {
    manifest(
        None,
        Descriptor::of(CONFIG_MEDIA_TYPE, config),
        Descriptor::of(COMPONENT_MEDIA_TYPE, component).named(file_name(repository)),
    )
}

fn file_name(repository: &str) -> String {
    format!("{}.wasm", repository.rsplit('/').next().unwrap_or_default())
}

pub(crate) fn signature_manifest(repository: &str, signature: &[u8]) -> Vec<u8> {
    manifest(
        Some(SIGNATURE_ARTIFACT_TYPE),
        Descriptor::of(EMPTY_MEDIA_TYPE, EMPTY_CONFIG),
        Descriptor::of(SIGNATURE_MEDIA_TYPE, signature).named(format!("{}.minisig", file_name(repository))),
    )
}

fn manifest(artifact_type: Option<&str>, config: Descriptor, layer: Descriptor) -> Vec<u8> {
    to_json(&Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST_MEDIA_TYPE.to_owned()),
        artifact_type: artifact_type.map(str::to_owned),
        config: Some(config),
        layers: vec![layer],
        manifests: vec![],
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    architecture: &'static str,
    os: &'static str,
    layer_digests: [&'a str; 1],
    component: World,
}

/// Names of a component's imports and exports.
#[derive(Default, Serialize)]
struct World {
    exports: Vec<String>,
    imports: Vec<String>,
}

/// The configuration of a component, which is read from its bytes.
pub(crate) fn component_config(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let layer = digest::sha256(bytes);
    Ok(to_json(&Config {
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [&layer],
        component: world(bytes)?,
    }))
}

fn world(bytes: &[u8]) -> Result<World, String> {
    let mut world = World::default();
    let broken = |e: wasmparser::BinaryReaderError| format!("it is no WebAssembly that can be read: {e}");
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding != Encoding::Component {
                    return Err("it is a core module, and not a component".into());
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    world.imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    world.exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        if world.imports.len() + world.exports.len() > MAX_NAMES {
            return Err(format!("it has more than {MAX_NAMES} imports and exports"));
        }
    }
    Ok(world)
}

/// Nothing that is written here can fail to be JSON.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
