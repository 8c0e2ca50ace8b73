//! What a component imports is the readable list of what it may ever do.

#![allow(clippy::unwrap_used)]

use sandbar_components::{BUILTIN, COMMENTS};
use wasmparser::{Parser, Payload};

/// The names of a component's imports or exports, without their versions.
fn names(component: &[u8], of: fn(Payload<'_>) -> Vec<String>) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            payload if depth == 0 => names.extend(of(payload)),
            _ => (),
        }
    }
    names.sort();
    names
}

fn imports(payload: Payload<'_>) -> Vec<String> {
    match payload {
        Payload::ComponentImportSection(section) => section
            .into_iter()
            .map(|import| import.unwrap().name.name.to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

fn exports(payload: Payload<'_>) -> Vec<String> {
    match payload {
        Payload::ComponentExportSection(section) => section
            .into_iter()
            .map(|export| export.unwrap().name.name.to_owned())
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_guest_imports_what_a_host_gives_and_nothing_else() {
    let allowed = [
        "sandbar:connector/",
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:http/",
        "wasi:io/",
        "wasi:random/",
    ];
    for (name, bytes) in BUILTIN {
        let imports = names(bytes, imports);
        println!("{name}: {} bytes\n  {}", bytes.len(), imports.join("\n  "));
        for import in &imports {
            assert!(
                allowed.iter().any(|prefix| import.starts_with(prefix)),
                "{name} imports {import}"
            );
        }
    }
}

#[test]
fn a_guest_exports_the_connector() {
    assert_eq!(names(COMMENTS, exports), ["sandbar:connector/connector@0.1.0"]);
}
