use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sandbar_pipeline::{Clock, read_file};
use sandbar_policy::{Secret, basic_authorization, sanitize};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::{RegistryError, RegistryLogin};

/// Where a registry's user is looked up.
#[derive(Clone, Copy)]
pub(crate) enum Login<'a> {
    Given(&'a RegistryLogin),
    Docker(Option<&'a PathBuf>),
}

impl Login<'_> {
    pub(crate) async fn find(
        &self,
        registry: &str,
        clock: &dyn Clock,
    ) -> Result<Option<Credentials>, RegistryError> {
        match self {
            Self::Given(login) => Ok(Some(Credentials::given(login))),
            Self::Docker(None) => Ok(None),
            Self::Docker(Some(path)) => of_docker(path, registry, clock).await,
        }
    }
}

const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The longest answer of a credential helper.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
const HELPER_TIME: Duration = Duration::from_secs(20);
/// How Docker's own tools write the registry of docker.io.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Who asks a registry, and who says so.
#[derive(Clone)]
pub(crate) struct Credentials {
    username: Secret,
    password: Secret,
    /// For errors.
    pub(crate) origin: String,
}

impl Credentials {
    pub(crate) fn given(login: &RegistryLogin) -> Self {
        Self {
            username: login.username.clone(),
            password: login.password.clone(),
            origin: "the login that was given".into(),
        }
    }

    /// The value of the header `Authorization`.
    pub(crate) fn basic(&self) -> String {
        basic_authorization(self.username.expose(), self.password.expose())
    }

    /// What must not be shown, should a registry say it.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let basic = self.basic();
        let encoded = basic.trim_start_matches("Basic ").to_owned();
        let mut secrets = self.password.redacted_texts();
        secrets.push(encoded);
        secrets
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.origin).finish()
    }
}

/// Docker's `config.json`, as far as it says who asks.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DockerConfig {
    auths: HashMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// The usual place: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
pub(crate) fn usual_config() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    folder("DOCKER_CONFIG")
        .or_else(|| folder("HOME").map(|home| home.join(".docker")))
        .map(|folder| folder.join("config.json"))
}

/// What Docker's configuration says of a registry: nothing, where it is not there.
pub(crate) async fn of_docker(
    path: &Path,
    registry: &str,
    clock: &dyn Clock,
) -> Result<Option<Credentials>, RegistryError> {
    let wrong = |reason: String| RegistryError::Setup {
        what: format!("Docker's configuration {}", path.display()),
        reason,
    };
    let bytes = match read_file(path, MAX_CONFIG_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(wrong(e.to_string())),
    };
    // What serde says of a value may show it.
    let config: DockerConfig = serde_json::from_slice(&bytes).map_err(|e| {
        wrong(format!(
            "it is not in the form that Docker writes (line {})",
            e.line()
        ))
    })?;
    let named = |key: &&String| is_registry(key, registry);
    if let Some(key) = config.cred_helpers.keys().find(named) {
        return ask(&config.cred_helpers[key], key, clock).await.map_err(wrong);
    }
    let key = config.auths.keys().find(named);
    if let Some(entry) = key.map(|key| &config.auths[key])
        && let Some(found) = entry.credentials(path, registry).map_err(wrong)?
    {
        return Ok(Some(found));
    }
    match config.creds_store {
        Some(helper) => {
            let usual = match registry {
                "docker.io" => DOCKER_HUB,
                other => other,
            };
            let key = key.map_or(usual, String::as_str);
            ask(&helper, key, clock).await.map_err(wrong)
        }
        None => Ok(None),
    }
}

/// Whether a key of the configuration, a host or a URL of one, is a registry.
fn is_registry(key: &str, registry: &str) -> bool {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split('/').next().unwrap_or_default();
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    };
    host.eq_ignore_ascii_case(registry)
}

impl Entry {
    fn credentials(&self, path: &Path, registry: &str) -> Result<Option<Credentials>, String> {
        let tokens = [&self.identitytoken, &self.registrytoken];
        if tokens.into_iter().flatten().any(|token| !token.is_empty()) {
            return Err(format!(
                "it has a token for {registry}, which is not understood here; use an access token as the password (docker login {registry})"
            ));
        }
        let (username, password) = match (self.auth.as_deref(), &self.username, &self.password) {
            (Some(auth), _, _) if !auth.is_empty() => {
                let decoded = BASE64_STANDARD.decode(auth).ok();
                let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
                let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
                let (username, password) = pair.ok_or_else(|| {
                    format!("its auth for {registry} is not the Base64 of a user, a colon and a password")
                })?;
                // Docker pads it with zeros.
                (username.to_owned(), password.trim_end_matches('\0').to_owned())
            }
            (_, Some(username), Some(password)) => (username.clone(), password.clone()),
            _ => return Ok(None),
        };
        Ok(Some(Credentials {
            username: username.into(),
            password: password.into(),
            origin: format!("Docker's configuration {}", path.display()),
        }))
    }
}

async fn ask(helper: &str, key: &str, clock: &dyn Clock) -> Result<Option<Credentials>, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if helper.is_empty() || !helper.bytes().all(is_plain) {
        return Err("it names a credential helper that is no name of a program".into());
    }
    let program = format!("docker-credential-{helper}");
    let command = Command::new(&program);
    let asked = ask_program(command, &program, key);
    tokio::select! {
        found = asked => found,
        () = clock.sleep(HELPER_TIME) => Err(format!(
            "its credential helper {program} gave no answer within {} s",
            HELPER_TIME.as_secs()
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Asks a program in the protocol of Docker's credential helpers. It ends when nobody waits for it any more.
async fn ask_program(mut command: Command, program: &str, key: &str) -> Result<Option<Credentials>, String> {
    let failed = |e: std::io::Error| {
        format!("its credential helper {program} can't be asked: {e}; install it, or give the login")
    };
    let mut child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read has its answer all the same.
        let _ = stdin.write_all(key.as_bytes()).await;
    }
    let mut answer = vec![];
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MAX_ANSWER_BYTES + 1)
            .read_to_end(&mut answer)
            .await
            .map_err(failed)?;
    }
    if answer.len() as u64 > MAX_ANSWER_BYTES {
        return Err(format!(
            "its credential helper {program} says more than {MAX_ANSWER_BYTES} bytes"
        ));
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&answer);
        return match said.contains("credentials not found") {
            true => Ok(None),
            false => Err(format!(
                "its credential helper {program} failed ({status}): {}",
                sanitize(&said, 200)
            )),
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&answer)
        .map_err(|_| format!("its credential helper {program} gave no user and secret"))?;
    if answer.username == "<token>" {
        return Err(format!(
            "its credential helper {program} has an identity token, which is not understood here; use an access token as the password"
        ));
    }
    Ok(Some(Credentials {
        username: answer.username.into(),
        password: answer.secret.into(),
        origin: format!("Docker's credential helper {program}"),
    }))
}

#[cfg(test)]
mod tests;
