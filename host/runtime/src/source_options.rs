//! From the pipeline file to what the sandbox opens a source with.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use sandbar_egress::Network;
use sandbar_pipeline::Clock;
use sandbar_policy::{Credential, OAuth2Options};
use sandbar_sandbox::OpenOptions;
use sha2::{Digest, Sha256};
use url::Url;

use crate::RuntimeError;
use crate::config::{CredentialConfig, CredentialKind, PipelineFile, SecretRef, SourceConfig};

/// The folder of a checkpoint location that holds what nobody else may read.
const SECRETS: &str = "secrets";

/// What a source is opened with.
pub(crate) fn open_options(file: &PipelineFile, clock: Arc<dyn Clock>) -> Result<OpenOptions, RuntimeError> {
    let config = file.config();
    let source = &config.source;
    let mut options = OpenOptions::new(config.name.clone(), source.options.clone().into())
        .with_grants(source.grants.clone())
        .with_credentials(credentials(file, source)?)
        .with_limits(source.limits.clone())
        .with_network(network(file, source)?)
        .with_clock(clock);
    options.stream.clone_from(&source.stream);
    Ok(options)
}

fn network(file: &PipelineFile, source: &SourceConfig) -> Result<Network, RuntimeError> {
    let network = Network::default().with_proxies_of_environment()?;
    match &source.tls.ca_file {
        Some(path) => network.trusting_file(path).map_err(|e| {
            let message = format!("the file of authorities {e}");
            file.error_at("source.tls.ca_file", &message, None).into()
        }),
        None => Ok(network),
    }
}

/// What a source may do, in plain words.
pub(crate) fn permissions(options: &OpenOptions) -> Vec<String> {
    let credentials = options
        .credentials
        .iter()
        .map(|credential| format!("with {}", credential.describe()));
    let grants = options.grants.describe().into_iter();
    grants
        .chain(credentials)
        .chain(options.network.describe())
        .collect()
}

fn credentials(file: &PipelineFile, source: &SourceConfig) -> Result<Vec<Credential>, RuntimeError> {
    let all = source.credentials.iter();
    all.map(|credential| self::credential(file, credential)).collect()
}

fn credential(file: &PipelineFile, config: &CredentialConfig) -> Result<Credential, RuntimeError> {
    let origin = &config.origin;
    let resolve = |secret: &SecretRef| {
        let resolved = secret.resolve();
        resolved.map_err(|e| file.error_at("source.credentials", &e.to_string(), None))
    };
    Ok(match &config.kind {
        CredentialKind::Header { name, value } => Credential::header(origin, name, resolve(value)?)?,
        CredentialKind::Query { name, value } => Credential::query(origin, name, resolve(value)?)?,
        CredentialKind::Bearer(token) => Credential::bearer(origin, resolve(token)?)?,
        CredentialKind::Basic { username, password } => {
            let username = resolve(username)?;
            let password = password.as_ref().map(resolve).transpose()?;
            Credential::basic(origin, username, password.unwrap_or_default())?
        }
        CredentialKind::OAuth2(oauth2) => {
            let refresh_token = oauth2.refresh_token.as_ref().map(resolve).transpose()?;
            let mut options = OAuth2Options::new(
                oauth2.token_url.clone(),
                resolve(&oauth2.client_id)?,
                resolve(&oauth2.client_secret)?,
            );
            options.scope.clone_from(&oauth2.scope);
            options.refresh_token = refresh_token;
            options.store = secrets_folder(&file.checkpoint_location(), |name| std::env::var_os(name));
            Credential::oauth2(origin, options)?
        }
    })
}

/// Where rotated refresh tokens are kept: below a checkpoint location that is a folder of this machine, else in the user's
/// own folder, since object stores know no owner of a file. `None` where this user has no such folder either.
fn secrets_folder(checkpoint: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if checkpoint.starts_with("memory:") {
        return None;
    }
    let url = Url::parse(checkpoint).ok().filter(|_| checkpoint.contains("://"));
    match url {
        Some(url) if url.scheme() == "file" => return Some(url.to_file_path().ok()?.join(SECRETS)),
        None if !checkpoint.starts_with("dbfs:") => return Some(PathBuf::from(checkpoint).join(SECRETS)),
        _ => {}
    }
    let absolute = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let name: String = format!("{:x}", Sha256::digest(checkpoint.as_bytes()))
        .chars()
        .take(16)
        .collect();
    Some(state.join("sandbar").join(SECRETS).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_tokens_lie_beside_a_local_checkpoint_or_in_the_users_own_folder() {
        let folder = |checkpoint: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            secrets_folder(checkpoint, variable).map(|path| path.to_str().unwrap().to_owned())
        };
        let home = [("HOME", "/home/me")];
        for local in ["/lake/c", "file:///lake/c"] {
            assert_eq!(folder(local, &home).as_deref(), Some("/lake/c/secrets"));
        }
        assert_eq!(folder("memory://x", &home), None);
        let remote = folder("s3://bucket/c", &home).unwrap();
        assert!(
            remote.starts_with("/home/me/.local/state/sandbar/secrets/"),
            "{remote}"
        );
        assert_ne!(folder("dbfs:/Volumes/a/b/c", &home), Some(remote));
        let state = [("HOME", "/home/me"), ("XDG_STATE_HOME", "/state")];
        let found = folder("s3://bucket/c", &state).unwrap();
        assert!(found.starts_with("/state/sandbar/secrets/"), "{found}");
        assert_eq!(folder("s3://bucket/c", &[("HOME", "relative")]), None);
    }
}
