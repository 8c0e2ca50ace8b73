//! Each limit: its key in the pipeline file, a component that comes to it, and the same component with more room.

use sandbar_hostile::{Call, Mode};

use super::ipc;
use super::world::{End, World, hex, hostile};

#[test]
fn each_limit_is_hit_with_its_key_and_raising_it_is_what_helps() {
    let world = World::with_cache(None);
    let batch = ipc::stream(&ipc::rows());
    let empty = hex(&ipc::stream(&ipc::rows().slice(0, 0)));
    let empties = vec![empty; 60].join(", ");
    // The mode, the options that it needs, the limit, a value that is too little and one that is enough.
    let cases = [
        // First: what is compiled once is not compiled again.
        (
            "compile_time",
            "'1ms'",
            "'60s'",
            "compiling it took longer than 1ms",
            format!("[{}]", hex(&batch)),
        ),
        (
            "empty_batches",
            "'59'",
            "'60'",
            "it gave 60 batches in a row",
            format!("[{empties}, {}]", hex(&batch)),
        ),
        (
            "batch",
            "'256B'",
            "'4MiB'",
            "it handed over more than 256 bytes",
            format!("[{}]", hex(&batch)),
        ),
        (
            "memory",
            "'64KiB'",
            "'32MiB'",
            "bytes of memory and may have 65536",
            format!("[{}]", hex(&batch)),
        ),
        (
            "handles",
            "'1'",
            "'10'",
            "it holds more than 1 handles",
            format!("[{}]", hex(&batch)),
        ),
        (
            "component_size",
            "'10KiB'",
            "'64MiB'",
            "it has more than 10240 bytes",
            format!("[{}]", hex(&batch)),
        ),
    ];
    for (key, little, enough, says, rows) in cases {
        let value = |text: &str| match key {
            "empty_batches" | "handles" => text.trim_matches('\'').to_owned(),
            _ => text.to_owned(),
        };
        let settings = hostile(&world.api, Mode::Healthy, Call::Commit).set("source.options.rows", &rows);
        let limited = |text: &str| {
            settings
                .clone()
                .set(&format!("source.limits.{key}"), &value(text))
        };
        let name = key.replace('_', "-");
        let end = End::Limit(key);
        world.contains(&format!("little-{name}"), &limited(little), &end, says, 0);
        world.contains(&format!("enough-{name}"), &limited(enough), &End::Done, "", 3);
    }
}

#[test]
fn a_component_that_is_too_large_is_not_even_read() {
    let world = World::new();
    let file = std::fs::File::create(world.work.path("hostile.wasm")).unwrap();
    // A terabyte of nothing, which takes no place on the disk.
    file.set_len(1 << 40).unwrap();
    let settings = hostile(&world.api, Mode::Healthy, Call::Open);
    let says = "it has more than 67108864 bytes";
    world.contains("huge-file", &settings, &End::Limit("component_size"), says, 0);
}

#[test]
fn a_larger_stack_is_an_engine_of_its_own() {
    let world = World::new();
    let settings = hostile(&world.api, Mode::Recurse, Call::Next).set("source.limits.stack", "'128KiB'");
    let says = "it ran out of its stack of 131072 bytes";
    world.contains("small-stack", &settings, &End::Limit("stack"), says, 0);
    let healthy = hostile(&world.api, Mode::Healthy, Call::Next).set("source.limits.stack", "'4MiB'");
    world.contains("large-stack", &healthy, &End::Done, "", 3);
    let ended = {
        world
            .work
            .add(&settings.set("source.limits.stack", "'1KiB'").named("tiny"));
        world.work.run_available("tiny").with_code(2)
    };
    ended.saying(&[
        "`stack` in [source.limits] can't be",
        "from \"64KiB\" to \"64MiB\"",
    ]);
}
