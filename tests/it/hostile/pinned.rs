//! A component that is not the one that the pipeline file pins.

use sandbar_hostile::{COMPONENT, Call, Described, Mode};
use sandbar_sandbox::ComponentBytes;

use super::world::{World, describing, hostile};

#[test]
fn a_foreign_component_is_neither_compiled_nor_asked_what_it_is() {
    let world = World::with_cache(None);
    let spins = describing(&Described {
        mode: Some(Mode::Spin),
        ..Described::default()
    });
    let pin = format!("'{}'", ComponentBytes::new(COMPONENT).digest());
    let settings = hostile(&world.api, Mode::Healthy, Call::Open).set("source.digest", &pin);
    world.work.add(&settings);
    let (files, cache) = (["comments.toml"], world.work.path("cache"));
    // Nothing of it would be compiled in the end; and what is compiled asks for its time.
    for foreign in [spins, b"no component at all".to_vec()] {
        std::fs::write(world.work.path("hostile.wasm"), &foreign).unwrap();
        for command in ["run", "check", "preview"] {
            let mut command = world.work.command(&[command, files[0]]);
            command.env("XDG_CACHE_HOME", &cache);
            let ended = crate::support::Running::start(command).end().with_code(2);
            ended.saying(&[
                &format!(
                    "the component has the digest {}",
                    ComponentBytes::new(foreign.clone()).digest()
                ),
                "comments.toml:5:",
            ]);
            assert!(world.work.files_in("cache").is_empty(), "it was compiled");
        }
    }
    // The pinned one is taken.
    std::fs::write(world.work.path("hostile.wasm"), COMPONENT).unwrap();
    world.work.run_available("comments").ok();
}
