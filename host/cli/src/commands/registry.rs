//! `pull`, `push` and `components`: components of registries, and those of this machine.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbar_runtime::{
    Access, Connector, Fetched, Listed, OciReference, Place, Reference, RegistryLogin, RuntimeError, Secret,
    TrustedKeys, read_text_file,
};
use serde_json::{Value, json};

use crate::CliError;
use crate::args::{ComponentsArguments, LoginArguments, PullArguments, PushArguments};
use crate::output::{columns, count, plain, print, print_json, say};

/// The longest file of a signature.
const MAX_SIGNATURE: u64 = 16 << 10;
/// The longest password.
const MAX_PASSWORD: u64 = 64 << 10;

/// Fetches a component into the cache, and into a file where one is named.
pub(crate) async fn pull(arguments: PullArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    let reference = oci(&arguments.reference)?;
    let login = login(&arguments.login)?;
    let keys = match arguments.trust.is_empty() {
        true => None,
        false => Some(TrustedKeys::parse(&arguments.trust).map_err(RuntimeError::from)?),
    };
    let access = Access {
        login: login.as_ref(),
        keys: keys.as_ref(),
        max_bytes: None,
    };
    let fetched = runtime
        .registry(Path::new("."))
        .fetch(&Reference::Oci(reference.clone()), &access)
        .await;
    let fetched = fetched.map_err(RuntimeError::from)?;
    if let Some(path) = &arguments.output {
        write(path, &fetched)?;
    }
    let manifest = fetched.manifest_digest.as_deref().unwrap_or_default();
    if arguments.json {
        return print_json(&json!({
            "reference": reference.to_string(),
            "pinned": reference.pinned(manifest).to_string(),
            "manifest_digest": manifest,
            "digest": fetched.digest,
            "size": fetched.bytes.len(),
            "signed_by": fetched.signed_by.as_ref().map(|by| &by.key_id),
            "from_cache": fetched.from_cache,
        }));
    }
    let mut rows = vec![
        vec!["component".into(), fetched.digest.clone()],
        vec![
            "size".into(),
            format!("{} bytes", count(fetched.bytes.len() as u64)),
        ],
        vec!["pinned".into(), reference.pinned(manifest).to_string()],
    ];
    if let Some(by) = &fetched.signed_by {
        rows.push(vec![
            "signed by".into(),
            format!("{} ({})", by.key_id, by.comment),
        ]);
    }
    if let Some(path) = &arguments.output {
        rows.push(vec!["written to".into(), path.display().to_string()]);
    }
    print(&plain(&columns(&rows)))
}

/// Pushes a component to a registry, with its signature where one lies beside it.
pub(crate) async fn push(arguments: PushArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    let reference = oci(&arguments.reference)?;
    let login = login(&arguments.login)?;
    // What this host could not run is not pushed.
    let connector = runtime
        .load_reference(&arguments.component, Path::new("."))
        .await?;
    let signature = signature_of(&arguments)?;
    let registry = runtime.registry(Path::new("."));
    let pushed = registry
        .push(
            connector.bytes().clone(),
            signature.as_deref(),
            &reference,
            login.as_ref(),
        )
        .await
        .map_err(RuntimeError::from)?;
    if arguments.json {
        return print_json(&json!({
            "reference": reference.to_string(),
            "pinned": pushed.reference.to_string(),
            "manifest_digest": pushed.manifest_digest,
            "digest": pushed.component_digest,
            "signed": signature.is_some(),
        }));
    }
    let id = connector.id();
    let signed = if signature.is_some() {
        "with its signature"
    } else {
        "unsigned"
    };
    say(&plain(&format!(
        "{} {} was pushed to {reference}, {signed}",
        id.name, id.version
    )));
    print(&plain(&format!("{}\n", pushed.reference)))
}

/// Lists the components of this machine: built in, in the folder `components/`, and in the cache.
pub(crate) async fn list(arguments: ComponentsArguments) -> Result<(), CliError> {
    let runtime = super::runtime()?;
    let mut builtin = vec![];
    for (name, _) in sandbar_components::BUILTIN {
        builtin.push((*name, runtime.load(name, None).await?));
    }
    let listed = runtime
        .registry(&arguments.dir)
        .list()
        .await
        .map_err(RuntimeError::from)?;
    if arguments.json {
        for line in builtin
            .iter()
            .map(|(name, connector)| builtin_as_json(name, connector))
        {
            print_json(&line)?;
        }
        for line in listed.iter().map(as_json) {
            print_json(&line)?;
        }
        return Ok(());
    }
    let titles = ["reference", "bytes", "signed", "digest"];
    let mut rows = vec![titles.map(String::from).to_vec()];
    for (name, connector) in &builtin {
        let size = count(connector.size() as u64);
        rows.push(vec![
            (*name).to_owned(),
            size,
            "built in".into(),
            connector.id().digest.clone(),
        ]);
    }
    for one in &listed {
        let signed = match (&one.fault, one.signed) {
            (Some(fault), _) => fault.clone(),
            (None, true) => "yes".into(),
            (None, false) => "no".into(),
        };
        let reference = one.references.first().cloned().unwrap_or_default();
        rows.push(vec![reference, count(one.bytes), signed, one.digest.clone()]);
    }
    print(&plain(&columns(&rows)))
}

fn builtin_as_json(name: &str, connector: &Arc<Connector>) -> Value {
    json!({
        "references": [name],
        "place": "builtin",
        "digest": connector.id().digest,
        "size": connector.size(),
        "version": connector.id().version,
    })
}

fn as_json(one: &Listed) -> Value {
    let place = match one.place {
        Place::Folder => "folder",
        Place::Cache => "cache",
    };
    json!({
        "references": one.references,
        "place": place,
        "path": one.path.display().to_string(),
        "digest": one.digest,
        "size": one.bytes,
        "signed": one.signed,
        "fault": one.fault,
    })
}

fn oci(text: &str) -> Result<OciReference, CliError> {
    match Reference::parse(text).map_err(RuntimeError::from)? {
        Reference::Oci(reference) => Ok(reference),
        other => Err(CliError::Usage(format!(
            "{other} is no reference to a registry; write oci://host/repository:tag"
        ))),
    }
}

/// The user that was named, with a password from stdin: a command line is read by others.
fn login(arguments: &LoginArguments) -> Result<Option<RegistryLogin>, CliError> {
    let Some(username) = &arguments.username else {
        return Ok(None);
    };
    if std::io::stdin().is_terminal() {
        let message = "--username takes the password from stdin: `... --username ME < password.txt`";
        return Err(CliError::Usage(message.into()));
    }
    let mut password = String::new();
    let read = std::io::stdin()
        .lock()
        .take(MAX_PASSWORD)
        .read_to_string(&mut password);
    read.map_err(|source| CliError::Io {
        context: "the password can't be read from stdin".into(),
        source,
    })?;
    Ok(Some(RegistryLogin {
        username: Secret::from(username.clone()),
        password: Secret::from(password.trim_end_matches(['\r', '\n']).to_owned()),
    }))
}

fn signature_of(arguments: &PushArguments) -> Result<Option<String>, CliError> {
    let beside = PathBuf::from(format!("{}.minisig", arguments.component));
    let path = match &arguments.signature {
        Some(path) => path,
        None if beside.exists() => &beside,
        None => return Ok(None),
    };
    let read = read_text_file(path, MAX_SIGNATURE);
    read.map(Some).map_err(|source| CliError::Io {
        context: format!("the signature {}", path.display()),
        source,
    })
}

fn write(path: &Path, fetched: &Fetched) -> Result<(), CliError> {
    let failed = |path: &Path| {
        let context = format!("{} can't be written", path.display());
        move |source| CliError::Io { context, source }
    };
    std::fs::write(path, &fetched.bytes).map_err(failed(path))?;
    if let Some(signature) = &fetched.signature {
        let beside = PathBuf::from(format!("{}.minisig", path.display()));
        std::fs::write(&beside, signature).map_err(failed(&beside))?;
    }
    Ok(())
}
