use sandbar_policy::sanitize;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::SandboxError;
use crate::capability::CAPABILITIES;

/// One thing that a component imports, in the component's words and in plain ones.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// The full name, for example `wasi:http/types@0.2.12`.
    pub name: String,
    /// What it allows.
    pub plain: &'static str,
}

/// The longest name that is shown. What a component calls its imports is its own choice.
const MAX_NAME: usize = 200;

/// What is known of imports that are refused, by prefix.
const FORBIDDEN: &[(&str, &str)] = &[
    ("wasi:filesystem/", "read and write files"),
    ("wasi:sockets/", "open connections past the HTTP grants"),
    ("wasi:keyvalue/", "a store of its own"),
    ("wasi:config/", "read the host's configuration"),
];

/// Lists what a component imports, and refuses what is not on the list.
pub(crate) fn check_imports(
    engine: &Engine,
    component: &Component,
    display_name: &str,
) -> Result<Vec<Import>, SandboxError> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, _)| match plain_words(name) {
            Ok(plain) => Ok(Import {
                name: sanitize(name, MAX_NAME),
                plain,
            }),
            Err(plain) => Err(SandboxError::ForbiddenImport {
                component: display_name.to_owned(),
                import: sanitize(name, MAX_NAME),
                plain: plain.to_owned(),
            }),
        })
        .collect()
}

fn plain_words(import: &str) -> Result<&'static str, &'static str> {
    let interface = import.split('@').next().unwrap_or(import);
    let mut allowed = CAPABILITIES.iter().flat_map(|capability| capability.imports);
    if let Some((_, plain)) = allowed.find(|(name, _)| *name == interface) {
        return Ok(plain);
    }
    let known = FORBIDDEN.iter().find(|(prefix, _)| interface.starts_with(prefix));
    Err(known.map_or("not part of the contract", |(_, plain)| plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_decides_by_interface_whatever_the_version() {
        assert!(plain_words("wasi:http/types@0.2.12").is_ok());
        assert!(plain_words("wasi:io/poll@0.2.0").is_ok());
        assert_eq!(
            plain_words("wasi:filesystem/types@0.2.6"),
            Err("read and write files")
        );
        assert_eq!(
            plain_words("wasi:sockets/tcp@0.2.6"),
            Err("open connections past the HTTP grants")
        );
        for odd in ["wasi:http/typesX", "wasi:http", "evil:thing/api", "env", ""] {
            assert_eq!(plain_words(odd), Err("not part of the contract"), "{odd}");
        }
    }
}
