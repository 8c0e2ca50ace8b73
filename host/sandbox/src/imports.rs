use wasmtime::Engine;
use wasmtime::component::Component;

use crate::SandboxError;
use crate::text::printable;

/// One thing that a component imports, in the component's words and in plain ones.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// The full name, for example `wasi:http/types@0.2.12`.
    pub name: String,
    /// What it allows.
    pub plain: &'static str,
}

/// What a component may import, by interface and without version. The list is the whole of it: what is not
/// here can't be linked.
const ALLOWED: &[(&str, &str)] = &[
    ("sandbar:connector/types", "the contract's types"),
    (
        "sandbar:connector/checkpoint",
        "load and save its own progress note",
    ),
    ("sandbar:connector/log", "write log messages"),
    ("wasi:http/types", "HTTP requests to granted origins"),
    ("wasi:http/outgoing-handler", "HTTP requests to granted origins"),
    ("wasi:io/error", "streams between it and the host"),
    ("wasi:io/poll", "wait for an answer"),
    ("wasi:io/streams", "streams between it and the host"),
    ("wasi:clocks/monotonic-clock", "measure time"),
    ("wasi:clocks/wall-clock", "know the time of day"),
    ("wasi:random/random", "random numbers"),
    ("wasi:random/insecure", "random numbers"),
    ("wasi:random/insecure-seed", "random numbers"),
    ("wasi:cli/environment", "an empty environment, no arguments"),
    ("wasi:cli/exit", "end itself"),
    ("wasi:cli/stdin", "an empty standard input"),
    ("wasi:cli/stdout", "write lines to the log"),
    ("wasi:cli/stderr", "write lines to the log"),
    ("wasi:cli/terminal-input", "learn that there is no terminal"),
    ("wasi:cli/terminal-output", "learn that there is no terminal"),
    ("wasi:cli/terminal-stdin", "learn that there is no terminal"),
    ("wasi:cli/terminal-stdout", "learn that there is no terminal"),
    ("wasi:cli/terminal-stderr", "learn that there is no terminal"),
];

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
    shown: &str,
) -> Result<Vec<Import>, SandboxError> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, _)| match plain_words(name) {
            Ok(plain) => Ok(Import {
                name: printable(name, MAX_NAME),
                plain,
            }),
            Err(plain) => Err(SandboxError::ForbiddenImport {
                component: shown.to_owned(),
                import: printable(name, MAX_NAME),
                plain: plain.to_owned(),
            }),
        })
        .collect()
}

fn plain_words(import: &str) -> Result<&'static str, &'static str> {
    let interface = import.split('@').next().unwrap_or(import);
    if let Some((_, plain)) = ALLOWED.iter().find(|(name, _)| *name == interface) {
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
