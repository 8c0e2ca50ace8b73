//! Remotes that send without end, each beside a pipeline of the same process that reads an honest one.

use sandbar_harness::{Authority, Certificate, Flood, FloodingApi, Frames};
use sandbar_hostile::{Call, Mode};

use super::world::{World, hostile};
use crate::support::{Ended, Running, Settings, until};

/// What a connection takes of a flood at most, with what the kernels keep on their way.
const MOST: u64 = 24 << 20;

const FRAMES: [(Frames, &str); 6] = [
    (Frames::Ping, "PING"),
    (Frames::Settings, "SETTINGS"),
    (Frames::WindowUpdate, "WINDOW_UPDATE"),
    (Frames::Priority, "PRIORITY"),
    (Frames::Unknown, "unknown"),
    (Frames::EmptyData, "empty DATA"),
];

/// A process that trusts this authority.
fn run(world: &World, authority: &Authority, files: &[String], more: &[&str]) -> Running {
    world.work.write("authority.pem", &authority.pem());
    let files = files.iter().map(String::as_str);
    let arguments: Vec<_> = ["run"]
        .into_iter()
        .chain(files)
        .chain(more.iter().copied())
        .collect();
    let mut command = world.work.command(&arguments);
    command.env("SSL_CERT_FILE", world.work.path("authority.pem"));
    command.env_remove("SSL_CERT_DIR");
    Running::start(command)
}

/// Reads all that there is.
fn run_available(world: &World, authority: &Authority, files: &[String]) -> Ended {
    run(
        world,
        authority,
        files,
        &["--available-now", "--progress", "json"],
    )
    .end()
}

#[test]
fn a_remote_that_floods_ends_its_own_pipeline_and_keeps_no_other_from_its_rows() {
    let world = World::new();
    let authority = Authority::new("tests");
    let tls = authority.vouch(Certificate::default());
    let old = authority.vouch(Certificate {
        protocols: &["http/1.1"],
        ..Certificate::default()
    });
    let interim = "bytes of interim responses (1xx) and no answer; its connection was closed";
    let mut cases = vec![
        (FloodingApi::start(Flood::Continue, None), interim),
        (FloodingApi::start(Flood::EarlyHints, None), interim),
        (FloodingApi::start(Flood::Continue, Some(&old)), interim),
        (
            FloodingApi::start(Flood::EarlyHints, Some(&tls)),
            "most of them HEADERS, that belong to no body",
        ),
    ];
    let says = |frames, name| match frames {
        // Those of one stream are bounded by the library.
        Frames::EmptyData => "that belong to no body",
        _ => name,
    };
    cases.extend(FRAMES.map(|(frames, name)| {
        let api = FloodingApi::start(Flood::Frames(frames), Some(&tls));
        (api, says(frames, name))
    }));
    for (number, (api, says)) in cases.into_iter().enumerate() {
        let (name, beside) = (format!("flooded-{number}"), format!("beside-{number}"));
        world.work.add(&Settings::at(&api.origin()).named(&name));
        world.work.add(&Settings::of(&world.api).named(&beside));
        let files = [format!("{name}.toml"), format!("{beside}.toml")];
        let ended = run_available(&world, &authority, &files).with_code(1);
        let origin = format!("{}/comments sent ", api.origin());
        let ended = ended.saying(&[&format!("pipeline {name}: "), &origin, says]);
        assert_eq!(ended.batches().iter().sum::<u64>(), 25, "{says}");
        let ids = world.work.table_at(&format!("lake/{beside}")).ids();
        assert_eq!(ids, (1..=25).collect::<Vec<_>>(), "{says}");
        // Not tried again: it would be the same.
        assert_eq!(api.connections(), 1, "{says}");
        assert!(api.written() < MOST, "{says}: {} bytes were taken", api.written());
    }
}

#[test]
fn a_flood_on_a_connection_that_waits_for_work_closes_it() {
    let world = World::new();
    let authority = Authority::new("tests");
    let tls = authority.vouch(Certificate::default());
    for (number, (frames, name)) in FRAMES.into_iter().enumerate() {
        if frames == Frames::EmptyData {
            // It has no stream to be for.
            continue;
        }
        let api = FloodingApi::start(Flood::WhileIdle(frames), Some(&tls));
        let file = format!("idle-{number}");
        let settings = Settings::at(&api.origin()).named(&file);
        world.work.add(&settings.set("trigger.interval", "'400ms'"));
        let mut running = run(&world, &authority, &[format!("{file}.toml")], &[]);
        // Each look finds the old one closed.
        until(name, || {
            assert!(running.is_running(), "{name}: it ended early");
            api.connections() >= 3
        });
        drop(running);
        let each = api.written() / (api.connections() - 1);
        assert!(each < MOST, "{name}: {each} bytes were taken of each connection");
    }
}

#[test]
fn a_healthy_pipeline_keeps_its_pace_beside_remotes_that_flood_and_components_that_compute() {
    let world = World::new();
    let authority = Authority::new("tests");
    let tls = authority.vouch(Certificate::default());
    let floods = [
        FloodingApi::start(Flood::Continue, None),
        FloodingApi::start(Flood::EarlyHints, Some(&tls)),
        FloodingApi::start(Flood::Frames(Frames::WindowUpdate), Some(&tls)),
        FloodingApi::start(Flood::Frames(Frames::Ping), Some(&tls)),
    ];
    let mut files = vec![];
    for (number, api) in floods.iter().enumerate() {
        world
            .work
            .add(&Settings::at(&api.origin()).named(&format!("flooded-{number}")));
        files.push(format!("flooded-{number}.toml"));
    }
    for (number, mode) in [Mode::Spin, Mode::WatchClock].into_iter().enumerate() {
        let spinning = hostile(&world.api, mode, Call::Open).set("source.limits.cpu", "'20s'");
        world.work.add(&spinning.named(&format!("spinning-{number}")));
        files.push(format!("spinning-{number}.toml"));
    }
    world
        .work
        .add(&Settings::of(&world.api).set("source.options.page_size", "1"));
    files.push("comments.toml".into());
    let mut running = run(
        &world,
        &authority,
        &files,
        &["--available-now", "--progress", "json"],
    );
    // Those that compute have 20 seconds of processor time: it does not wait for their end, nor for a flood's.
    running.until_rows(25);
    drop(running);
    world.work.table().assert_once(1..=25);
    for api in floods {
        assert!(
            api.written() <= api.connections() * MOST,
            "{} bytes were taken",
            api.written()
        );
    }
}
