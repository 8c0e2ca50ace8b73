//! Bytes that are no component of ours: other imports, another world, another track, cut off, made to take for ever.

use sandbar_hostile::{COMPONENT, Call, Described, Mode};
use serde_json::json;

use super::world::{End, World, describing, hostile};
use crate::support::say;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn importing(name: &str) -> Vec<u8> {
    wat(&format!("(component (import \"{name}\" (instance)))"))
}

fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        match value {
            0 => {
                bytes.push(low);
                return bytes;
            }
            _ => bytes.push(low | 0x80),
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len()), content].concat()
}

/// The hostile component, which is a whole one, with one more module that is instantiated with it.
fn with_module(text: &str) -> Vec<u8> {
    const MODULE: u8 = 1;
    const INSTANCE: u8 = 2;
    let (mut at, mut modules) = (8, 0);
    while at < COMPONENT.len() {
        modules += usize::from(COMPONENT[at] == MODULE);
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            length |= usize::from(COMPONENT[at] & 0x7f) << shift;
            shift += 7;
            if COMPONENT[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
    }
    // One instance: of the module behind the last one, without arguments.
    let instance = [&[1, 0][..], &number(modules), &[0]].concat();
    [
        COMPONENT,
        &section(MODULE, &wat(text)),
        &section(INSTANCE, &instance),
    ]
    .concat()
}

fn starting(fields: &str, body: &str) -> Vec<u8> {
    with_module(&format!("(module {fields} (func $start {body}) (start $start))"))
}

fn says(change: impl FnOnce(&mut Described)) -> Vec<u8> {
    let mut described = Described::default();
    change(&mut described);
    describing(&described)
}

fn schema(schema: &serde_json::Value) -> Vec<u8> {
    says(|d| d.options_schema = Some(schema.to_string()))
}

#[test]
fn what_is_no_source_of_ours_is_refused_before_it_runs() {
    let world = World::new();
    let doubling: serde_json::Map<_, _> = (0..40)
        .map(|i| {
            let next = json!({"$ref": format!("#/$defs/a{}", i + 1)});
            (format!("a{i}"), json!({"allOf": [next, next]}))
        })
        .chain([("a40".to_owned(), json!({}))])
        .collect();
    let many = |what: &str| format!("(module {})", what.repeat(100));
    let cases: Vec<(&str, Vec<u8>, End, &str)> = vec![
        (
            "filesystem",
            importing("wasi:filesystem/types@0.2.6"),
            End::Import,
            "wasi:filesystem/types@0.2.6 (read and write files)",
        ),
        (
            "preopens",
            importing("wasi:filesystem/preopens@0.2.0"),
            End::Import,
            "read and write files",
        ),
        (
            "sockets",
            importing("wasi:sockets/tcp@0.2.6"),
            End::Import,
            "open connections past the HTTP grants",
        ),
        (
            "names",
            importing("wasi:sockets/ip-name-lookup@0.2.6"),
            End::Import,
            "open connections past the HTTP grants",
        ),
        (
            "store",
            importing("wasi:keyvalue/store@0.2.0-draft"),
            End::Import,
            "a store of its own",
        ),
        (
            "unknown",
            importing("evil:thing/api@1.0.0"),
            End::Import,
            "evil:thing/api@1.0.0 (not part of the contract)",
        ),
        (
            "function",
            wat("(component (import \"run\" (func)))"),
            End::Import,
            "wants run (not part of the contract)",
        ),
        (
            "future-http",
            importing("wasi:http/outgoing-handler@0.9.0"),
            End::Load,
            "it is no source of the track",
        ),
        (
            "track",
            importing("sandbar:connector/values@0.9.0"),
            End::Load,
            "it is made for sandbar:connector@0.9.0, and this host speaks the track sandbar:connector@0.1",
        ),
        (
            "track-of-tests",
            sandbar_test_track::COMPONENT.to_vec(),
            End::Load,
            "it is made for sandbar:connector@1000.0.0-test, and this host speaks the track sandbar:connector@0.1",
        ),
        (
            "empty-component",
            wat("(component)"),
            End::Load,
            "it is no source of the track sandbar:connector@0.1",
        ),
        (
            "other-world",
            wat("(component (instance $i) (export \"sandbar:connector/connector@0.1.0\" (instance $i)))"),
            End::Load,
            "it is no source of the track",
        ),
        (
            "module",
            wat("(module)"),
            End::Load,
            "it is no WebAssembly component",
        ),
        (
            "text",
            b"(component)".to_vec(),
            End::Load,
            "it is no WebAssembly component",
        ),
        ("nothing", vec![], End::Load, "it is no WebAssembly component"),
        (
            "program",
            b"\x7fELF\x02\x01\x01".to_vec(),
            End::Load,
            "it is no WebAssembly component",
        ),
        (
            "cut-early",
            COMPONENT[..100].to_vec(),
            End::Load,
            "it is no WebAssembly component",
        ),
        (
            "cut-half",
            COMPONENT[..COMPONENT.len() / 2].to_vec(),
            End::Load,
            "it is no WebAssembly component",
        ),
        (
            "cut-late",
            COMPONENT[..COMPONENT.len() - 1].to_vec(),
            End::Load,
            "it is no WebAssembly component",
        ),
        (
            "tables",
            starting(
                "(table 1 funcref)",
                "(loop (drop (table.grow (ref.null func) (i32.const 100000))) (br 0))",
            ),
            End::Limit("memory"),
            "bytes of memory and may have",
        ),
        (
            "one-table",
            with_module("(module (table 1000000000 funcref))"),
            End::Limit("memory"),
            "bytes of memory and may have",
        ),
        (
            "one-memory",
            with_module("(module (memory 60000))"),
            End::Limit("memory"),
            "bytes of memory and may have",
        ),
        (
            "memories",
            with_module(&many("(memory 1)")),
            End::Trap,
            "resource limit exceeded: memory count too high",
        ),
        (
            "spinning-start",
            starting("", "(loop (br 0))"),
            End::Limit("cpu"),
            "stopped in instantiation: it computed for more than 150ms",
        ),
        (
            "deep-start",
            starting("", "(call $start)"),
            End::Limit("stack"),
            "stopped in instantiation",
        ),
        (
            "out-of-bounds",
            starting("(memory 1)", "(drop (i32.load (i32.const 0x7ffffff0)))"),
            End::Trap,
            "failed in instantiation: wasm trap: out of bounds memory access",
        ),
        (
            "division",
            starting("", "(drop (i32.div_s (i32.const 1) (i32.const 0)))"),
            End::Trap,
            "failed in instantiation: wasm trap: integer divide by zero",
        ),
        (
            "null-call",
            starting("(table 1 funcref)", "(call_indirect (i32.const 0))"),
            End::Trap,
            "failed in instantiation: wasm trap: uninitialized element",
        ),
        (
            "spin",
            says(|d| d.mode = Some(Mode::Spin)),
            End::Limit("cpu"),
            "stopped in describe",
        ),
        (
            "panic",
            says(|d| d.mode = Some(Mode::Panic)),
            End::Trap,
            "failed in describe",
        ),
        (
            "sleep",
            says(|d| d.mode = Some(Mode::Sleep)),
            End::Limit("deadline"),
            "stopped in describe",
        ),
        (
            "name",
            says(|d| d.name = Some("../../etc\u{1b}[31m".into())),
            End::Contract,
            "is not kebab-case",
        ),
        (
            "version",
            says(|d| d.version = Some("latest".into())),
            End::Contract,
            "its version \"latest\" is not SemVer",
        ),
        (
            "schema-text",
            says(|d| d.options_schema = Some("{".into())),
            End::Contract,
            "its options-schema is not JSON",
        ),
        (
            "schema-circle",
            schema(&json!({"$ref": "#"})),
            End::Contract,
            "refers to \"#\" in a circle",
        ),
        (
            "schema-bomb",
            schema(&json!({"$ref": "#/$defs/a0", "$defs": doubling})),
            End::Contract,
            "with its references written out",
        ),
        (
            "schema-remote",
            schema(&json!({"$ref": "http://169.254.169.254/"})),
            End::Contract,
            "which is not in it",
        ),
        (
            "schema-escape",
            schema(&json!({"description": "\u{1b}]0;owned\u{7}"})),
            End::Contract,
            "control characters",
        ),
    ];
    for (name, bytes, end, says) in &cases {
        let file = format!("{name}.wasm");
        std::fs::write(world.work.path(&file), bytes).unwrap();
        let mut settings =
            hostile(&world.api, Mode::Healthy, Call::Open).set("source.component", &format!("'./{file}'"));
        if matches!(end, End::Limit("deadline")) {
            settings = settings.set("source.limits.deadline", "'300ms'");
        }
        world.contains(name, &settings, end, says, 0);
        assert!(
            !world.work.path(&format!("lake/{name}")).exists(),
            "{name}: no table is begun"
        );
    }
    say(&format!(
        "refused {} components while they were loaded",
        cases.len()
    ));
}
