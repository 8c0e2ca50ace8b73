//! From the pipeline file to what the sandbox opens a source with.

use std::path::{Path, PathBuf};

use sandbar_sandbox::{
    Credential, Grants, HttpGrant, Limits, Network, OAuthOptions, OpenOptions, SandboxError,
};
use url::Url;

use crate::RuntimeError;
use crate::config::{CredentialConfig, CredentialKind, LimitsConfig, PipelineFile, SecretRef, SourceConfig};

/// The folder of a checkpoint location that holds what nobody else may read.
const SECRETS: &str = "secrets";

/// What a source is opened with.
pub(crate) fn open_options(file: &PipelineFile) -> Result<OpenOptions, RuntimeError> {
    let config = file.config();
    let source = &config.source;
    Ok(OpenOptions {
        pipeline: config.name.clone(),
        stream: source.stream.clone().unwrap_or_default(),
        options: source.options.clone().into(),
        grants: grants(source)?,
        credentials: credentials(file, source)?,
        limits: limits(&source.limits),
        network: network(file, source)?,
    })
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
        .map(|credential| format!("with {}", credential.plain()));
    let grants = options.grants.plain().into_iter();
    grants.chain(credentials).chain(options.network.plain()).collect()
}

fn grants(source: &SourceConfig) -> Result<Grants, SandboxError> {
    let http = source
        .grants
        .http
        .iter()
        .map(|grant| HttpGrant::parse(&grant.origin)?.with_methods(&grant.methods));
    Ok(Grants::new(
        http.collect::<Result<_, _>>()?,
        source.grants.private_network,
    ))
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
            let options = OAuthOptions {
                token_url: oauth2.token_url.clone(),
                client_id: resolve(&oauth2.client_id)?,
                client_secret: resolve(&oauth2.client_secret)?,
                scope: oauth2.scope.clone(),
                refresh_token,
                store: secrets_folder(&file.checkpoint_location()),
            };
            Credential::oauth2(origin, options)?
        }
    })
}

/// Where the checkpoint location is a folder of this machine. Object stores know no owner of a file.
fn secrets_folder(checkpoint: &str) -> Option<PathBuf> {
    if checkpoint.starts_with("dbfs:") {
        return None;
    }
    if !checkpoint.contains("://") {
        return Some(Path::new(checkpoint).join(SECRETS));
    }
    let url = Url::parse(checkpoint).ok().filter(|url| url.scheme() == "file")?;
    Some(url.to_file_path().ok()?.join(SECRETS))
}

/// What a component may use.
pub(crate) fn limits(limits: &LimitsConfig) -> Limits {
    Limits {
        memory: limits.memory,
        cpu: limits.cpu,
        deadline: limits.deadline,
        batch: limits.batch,
        response_body: limits.response_body,
        request_body: limits.request_body,
        requests_per_second: limits.requests_per_second,
        requests_in_flight: limits.requests_in_flight,
        requests_per_batch: limits.requests_per_batch,
        request_timeout: limits.request_timeout,
        response_headers: limits.response_headers,
        response_header_count: limits.response_header_count,
        handles: limits.handles,
        log: limits.log,
        stack: limits.stack,
        empty_batches: limits.empty_batches,
        component_size: limits.component_size,
        compile_time: limits.compile_time,
        compile_memory: limits.compile_memory,
        offset: limits.offset,
    }
}
