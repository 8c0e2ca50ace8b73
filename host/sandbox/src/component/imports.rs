use sandbar_policy::sanitize;
use wasmparser::{Chunk, Parser, Payload};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::SandboxError;
use crate::capability::CAPABILITIES;
use crate::import::Import;

/// The longest name that is shown. What a component calls its imports is its own choice.
const MAX_NAME: usize = 200;

/// What is known of imports that are refused, by prefix.
const FORBIDDEN: &[(&str, &str)] = &[
    ("wasi:filesystem/", "read and write files"),
    ("wasi:sockets/", "open connections past the HTTP grants"),
    ("wasi:keyvalue/", "a store of its own"),
    ("wasi:config/", "read the host's configuration"),
];

/// What the bytes of a toolchain's components hold, and how it leaves out what its runtime imports.
const TOOLCHAINS: &[(&str, &str)] = &[
    ("componentize-py", "`componentize-py componentize --stub-wasi`"),
    (
        "componentize-qjs",
        "`jco componentize --backend quickjs --backend-qjs-stub-wasi`",
    ),
    (
        "StarlingMonkey",
        "`jco componentize --backend quickjs --backend-qjs-stub-wasi` (StarlingMonkey always has them)",
    ),
];

/// Refuses bytes that import what is not on the list, before anything is compiled. Says nothing of what is no component: the
/// compiler does.
pub(crate) fn check_bytes(bytes: &[u8], display_name: &str) -> Result<(), SandboxError> {
    let names = names(bytes);
    allowed(names.iter().map(|name| &**name), display_name, || {
        toolchain(bytes)
    })
    .map(drop)
}

/// Lists what a compiled component imports, and refuses what is not on the list: this is what counts.
pub(crate) fn check_imports(
    engine: &Engine,
    component: &Component,
    display_name: &str,
) -> Result<Vec<Import>, SandboxError> {
    let component = component.component_type();
    allowed(
        component.imports(engine).map(|(name, _)| name),
        display_name,
        || None,
    )
}

fn allowed<'a>(
    names: impl Iterator<Item = &'a str>,
    display_name: &str,
    toolchain: impl FnOnce() -> Option<&'static str>,
) -> Result<Vec<Import>, SandboxError> {
    let (mut imports, mut refused) = (vec![], vec![]);
    for name in names {
        let (list, plain) = match plain_words(name) {
            Ok(plain) => (&mut imports, plain),
            Err(plain) => (&mut refused, plain),
        };
        list.push(Import {
            name: sanitize(name, MAX_NAME),
            plain,
        });
    }
    match refused.is_empty() {
        true => Ok(imports),
        false => Err(SandboxError::ForbiddenImport {
            component: display_name.to_owned(),
            imports: refused,
            toolchain: toolchain(),
        }),
    }
}

/// The names of a component's imports, as far as the bytes are one.
fn names(bytes: &[u8]) -> Vec<String> {
    let (mut names, mut parser, mut at) = (vec![], Parser::new(0), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let Ok(Chunk::Parsed { consumed, payload }) = parser.parse(rest, true) else {
            break;
        };
        at += consumed;
        match payload {
            // What is inside imports from its own component.
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                at = unchecked_range.end;
            }
            Payload::ComponentImportSection(section) => {
                names.extend(
                    section
                        .into_iter()
                        .flatten()
                        .map(|import| import.name.name.to_owned()),
                );
            }
            Payload::End(_) => break,
            _ => {}
        }
    }
    names
}

/// What builds a component of this toolchain without the imports that its language's runtime has and never calls.
fn toolchain(bytes: &[u8]) -> Option<&'static str> {
    TOOLCHAINS.iter().find_map(|(mark, remedy)| {
        let mut windows = bytes.windows(mark.len());
        windows.any(|window| window == mark.as_bytes()).then_some(*remedy)
    })
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
