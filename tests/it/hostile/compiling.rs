//! Components that are made to exhaust the compiler: small ones, that take minutes and gigabytes.

use std::fmt::Write as _;

use sandbar_hostile::{Call, Mode};

use super::world::{End, World, hostile};

/// A function whose many locals are all changed inside of many loops, each of which may begin anew: what the compiler has
/// to remember is one times the other.
fn exhausting(locals: usize, loops: usize) -> Vec<u8> {
    let mut text = String::from("(component (core module (func (local");
    text.push_str(&" i32".repeat(locals));
    text.push_str(")\n");
    text.push_str(&"loop\n".repeat(loops));
    for local in 0..locals {
        let _ = writeln!(text, "local.get {local} i32.const 1 i32.add local.set {local}");
    }
    for outer in 0..loops {
        let _ = writeln!(text, "local.get 0 br_if {outer}");
    }
    text.push_str(&"end\n".repeat(loops));
    text.push_str(")))");
    wat::parse_str(text).unwrap()
}

#[test]
fn a_component_that_exhausts_the_compiler_is_stopped_by_memory_or_by_time_and_nobody_else_is() {
    let world = World::with_cache(None);
    let component = exhausting(10_000, 200);
    assert!(component.len() < 100_000, "{} bytes", component.len());
    std::fs::write(world.work.path("hostile.wasm"), component).unwrap();
    let settings = hostile(&world.api, Mode::Healthy, Call::Open);
    let little = settings.clone().set("source.limits.compile_memory", "'256MiB'");
    let end = End::Limit("compile_memory");
    let says = "compiling it took more than 268435456 bytes of memory";
    world.contains("compile-memory", &little, &end, says, 0);
    let short = settings.set("source.limits.compile_time", "'1500ms'");
    let says = "compiling it took longer than 1.5s";
    world.contains("compile-time", &short, &End::Limit("compile_time"), says, 0);
}

#[test]
fn the_compiler_process_refuses_what_is_no_component_and_is_no_command_for_people() {
    let world = World::new();
    world.work.write("hostile.wasm", "(module)");
    let settings = hostile(&world.api, Mode::Healthy, Call::Open);
    let says = "it is no WebAssembly component: ";
    world.contains("no-component", &settings, &End::Load, says, 0);
    let ended = world.work.run(&["--help"]).ok();
    assert!(
        !ended.stdout.contains("compile-component"),
        "it is nothing for people"
    );
}
