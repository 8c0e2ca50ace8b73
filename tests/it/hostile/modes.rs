//! Every mode of the hostile component, each beside a healthy pipeline.

use sandbar_components::BUILTIN;
use sandbar_harness::ScriptedApi;
use sandbar_hostile::{Call, Described, Mode};
use sandbar_runtime::{RuntimeError, with_causes};

use super::cases::cases;
use super::world::{End, World, describing, hostile, toml};
use crate::support::{Settings, say};

/// Every mode whose number leaves this rest, so that several tests share them.
fn contain(part: usize, parts: usize) {
    let (world, other) = (World::new(), ScriptedApi::start(5));
    let mut cases_run = 0;
    let modes: Vec<_> = Mode::ALL.iter().skip(part).step_by(parts).collect();
    for mode in &modes {
        for (number, case) in cases(**mode, &world.api, &other).into_iter().enumerate() {
            let name = format!("{}-{number}", toml(mode).trim_matches(['"', '\'']));
            world.contains(&name, &case.settings, &case.end, &case.says, case.rows);
            if matches!(mode, Mode::SaveHuge | Mode::SaveNoJson | Mode::SaveOutside) {
                let notes = world.work.files_in(&format!("lake/_checkpoints/{name}/source"));
                assert_eq!(notes, [] as [std::path::PathBuf; 0], "{name}: no note is kept");
            }
            cases_run += 1;
        }
    }
    assert!(other.requests().is_empty(), "{:?}", other.requests());
    for request in world.api.requests() {
        assert!(request.path.starts_with("/comments"), "{request:?}");
        for name in [
            "x-evil",
            "transfer-encoding",
            "content-length",
            "upgrade",
            "te",
            "trailer",
            "expect",
        ] {
            assert_eq!(request.header(name), None, "{request:?}");
        }
    }
    say(&format!(
        "contained {} modes in {cases_run} cases (part {part} of {parts})",
        modes.len()
    ));
}

#[test]
fn every_mode_is_contained_first_part() {
    contain(0, 3);
}

#[test]
fn every_mode_is_contained_second_part() {
    contain(1, 3);
}

#[test]
fn every_mode_is_contained_third_part() {
    contain(2, 3);
}

#[test]
fn a_table_that_is_there_stays_as_it_is_to_the_byte() {
    let world = World::new();
    let harm = [
        (Mode::Spin, Call::Next, End::Limit("cpu")),
        (Mode::Panic, Call::Partitions, End::Trap),
        (Mode::Allocate, Call::Read, End::Limit("memory")),
        (Mode::EndlessRows, Call::Commit, End::Protocol),
        (Mode::NoArrow, Call::Commit, End::Contract),
        (Mode::OffsetStays, Call::Commit, End::Protocol),
    ];
    for (mode, at, end) in harm {
        let name = format!("kept-{}", toml(&mode).trim_matches(['"', '\'']));
        let healthy = hostile(&world.api, Mode::Healthy, Call::Open).named(&name);
        world.work.add(&healthy);
        world.work.run_available(&name).ok();
        // The component is asked for more: its next offset is another one.
        world
            .work
            .run(&["reset", &format!("{name}.toml"), "--to-offset", "0", "--yes"])
            .ok();
        let files = || {
            let files = world.work.files_in(&format!("lake/{name}")).into_iter();
            files
                .map(|file| (std::fs::read(&file).unwrap(), file))
                .collect::<Vec<_>>()
        };
        let before = files();
        assert!(before.len() >= 3, "{name}: a data file and two versions");
        let mut settings = hostile(&world.api, mode, at);
        if mode == Mode::NoArrow {
            settings = settings.set("source.options.rows", "['00']");
        }
        world.contains(&name, &settings, &end, "", 3);
        assert!(files() == before, "{name}: the table was touched");
    }
}

#[test]
fn a_healthy_pipeline_keeps_its_pace_beside_more_that_compute_than_there_are_processors() {
    let world = World::new();
    let spinning = |mode, number| {
        let settings = hostile(&world.api, mode, Call::Open).set("source.limits.cpu", "'1s'");
        (format!("spinning-{number}"), settings)
    };
    let modes = [Mode::Spin, Mode::WatchClock, Mode::Spin, Mode::WatchClock];
    let others: Vec<_> = modes
        .into_iter()
        .zip(0..)
        .map(|(mode, number)| spinning(mode, number))
        .collect();
    // Many requests: each waits for the network, which is looked at between the turns of those that compute.
    let healthy = Settings::of(&world.api).set("source.options.page_size", "1");
    world.outpaces(&others, &healthy);
}

#[test]
fn inspect_and_check_stop_a_component_as_a_run_does() {
    let world = World::new();
    for (mode, key) in [
        (Mode::Spin, "cpu"),
        (Mode::Allocate, "memory"),
        (Mode::Recurse, "stack"),
    ] {
        let raise = format!("raise `{key}` under [source.limits]");
        let name = format!("check-{key}");
        world
            .work
            .add(&hostile(&world.api, mode, Call::Check).named(&name));
        let ended = world.work.run(&["check", &format!("{name}.toml")]);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            ended.code == Some(1) && said.contains("stopped in check") && said.contains(&raise),
            "{said}"
        );
        let options = serde_json::json!({"mode": mode, "at": "discover"});
        let error = RuntimeError::from(world.discover(&options).unwrap_err());
        let said = with_causes(&error);
        assert!(said.contains("stopped in discover"), "{said}");
        let remedies = format!("{:?}", error.remedies()).to_lowercase();
        assert!(remedies.contains(&format!("raise({key})")), "{remedies}");

        let described = Described {
            mode: Some(mode),
            ..Described::default()
        };
        let file = format!("describe-{key}.wasm");
        std::fs::write(world.work.path(&file), describing(&described)).unwrap();
        let ended = world.work.run(&["inspect", &format!("./{file}")]).with_code(1);
        ended.saying(&["stopped in describe", &raise]);
    }
}

#[test]
fn streams_without_end_are_refused() {
    let world = World::new();
    let options = |size: u64| serde_json::json!({"mode": "many-streams", "at": "open", "size": size});
    assert_eq!(world.discover(&options(10_000)).unwrap(), 10_000);
    let error = world.discover(&options(10_001)).unwrap_err().to_string();
    assert!(
        error.contains("it gave 10001 streams; 10000 are allowed"),
        "{error}"
    );
}

#[test]
fn no_pipeline_file_can_ask_for_the_hostile_component() {
    let names: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["comments"]);
    let world = World::new();
    let ended = world.work.run(&["inspect", "hostile"]).with_code(2);
    ended.saying(&["no built-in component \"hostile\"", "built in: comments"]);
    let program = std::fs::read(env!("CARGO_BIN_EXE_sandbar")).unwrap();
    let mark = sandbar_hostile::MARK.as_bytes();
    assert!(
        !program.windows(mark.len()).any(|window| window == mark),
        "the program carries the hostile component along"
    );
}
