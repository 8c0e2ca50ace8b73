//! Components that lie in a registry, which is Debian's docker-registry: brought there, fetched, watched, changed behind
//! everybody's back, and away.

use std::path::PathBuf;
use std::process::Command;

use sandbar_harness::{DockerRegistry, ScriptedApi};
use sandbar_test_versions::{Change, Flaw, version};
use serde_json::{Value, json};

use crate::support::{Running, Settings, WithVersions, Workspace, installed, not_installed, until};
use crate::swap::{lineage, stop, swapping, until_promoted, until_read, until_rolled_back};

#[track_caller]
fn program(name: &str) -> Option<PathBuf> {
    let program = installed("registry").map(|folder| folder.join("bin").join(name));
    let found = program.filter(|program| program.exists());
    if found.is_none() {
        not_installed(&format!("{name} (tests/registry/install) is"));
    }
    found
}

fn registry() -> Option<DockerRegistry> {
    Some(DockerRegistry::start(&program("docker-registry")?).unwrap())
}

/// A workspace with a cache of its own: what other tests fetched must not be found there.
fn workspace() -> Workspace {
    let work = Workspace::new();
    std::fs::create_dir(work.path("cache")).unwrap();
    work
}

fn sandbar(work: &Workspace, arguments: &[&str]) -> Running {
    let mut command = work.command(arguments);
    command
        .env("XDG_CACHE_HOME", work.path("cache"))
        .env("DOCKER_CONFIG", work.path("docker"))
        .env("USER", "tester");
    Running::start(command)
}

/// A key pair of the real minisign in the workspace. Returns the public key.
fn keys(work: &Workspace) -> Option<String> {
    minisign(work, &["-G", "-W", "-p", "key.pub", "-s", "key.sec"])?;
    Some(work.read("key.pub").lines().nth(1).unwrap().to_owned())
}

fn minisign(work: &Workspace, arguments: &[&str]) -> Option<()> {
    let mut command = Command::new(program("minisign")?);
    let output = command
        .args(arguments)
        .current_dir(work.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(())
}

fn sign(work: &Workspace, file: &str) {
    minisign(work, &["-S", "-s", "key.sec", "-m", file, "-t", "for tests"]);
}

/// Pushes a version under a tag. Returns the digest of the component.
fn push(work: &Workspace, change: &Change, reference: &str) -> String {
    let digest = work.version("pushed.wasm", change);
    sandbar(work, &["push", "pushed.wasm", reference]).end().ok();
    digest
}

/// Pushes a signed one.
fn push_signed(work: &Workspace, change: &Change, reference: &str) -> String {
    let digest = work.version("pushed.wasm", change);
    sign(work, "pushed.wasm");
    let pushed = sandbar(work, &["push", "pushed.wasm", reference]).end().ok();
    pushed.saying(&["with its signature"]);
    std::fs::remove_file(work.path("pushed.wasm.minisig")).unwrap();
    digest
}

fn following(api: &ScriptedApi, reference: &str) -> Settings {
    swapping(api)
        .set("source.component", &format!("'{reference}'"))
        .set("source.watch", "true")
        .set("swap.watch_interval", "'50ms'")
}

fn start(work: &Workspace) -> Running {
    sandbar(work, &["run", "comments.toml", "--progress", "json"])
}

#[test]
fn a_component_is_pushed_pulled_and_listed() {
    let Some(registry) = registry() else { return };
    let work = workspace();
    let Some(key) = keys(&work) else { return };
    let reference = format!("oci://{}/team/comments:2", registry.address());
    let digest = push_signed(&work, &Change::salted("pushed"), &reference);

    let pull = ["pull", &reference, "--trust", &key, "-o", "pulled.wasm", "--json"];
    let pulled = sandbar(&work, &pull).end().ok().json();
    assert_eq!(pulled["digest"], digest.as_str());
    assert_eq!(pulled["from_cache"], false);
    assert!(!pulled["signed_by"].is_null(), "{pulled}");
    let bytes = std::fs::read(work.path("pulled.wasm")).unwrap();
    assert!(bytes == version(&Change::salted("pushed")));
    assert!(work.path("pulled.wasm.minisig").exists());
    let pinned = pulled["pinned"].as_str().unwrap();
    let again = sandbar(&work, &["pull", pinned, "--json"]).end().ok().json();
    assert_eq!(again["from_cache"], true);
    let inspected = sandbar(&work, &["inspect", pinned, "--json"]).end().ok().json();
    assert_eq!(
        (&inspected["digest"], &inspected["version"]),
        (&json!(digest), &json!("2.0.0"))
    );

    let listed = sandbar(&work, &["components", "--json"]).end().ok().lines();
    let cached: Vec<&Value> = listed.iter().filter(|line| line["place"] == "cache").collect();
    assert_eq!(cached.len(), 1, "{listed:?}");
    assert_eq!(
        (&cached[0]["digest"], &cached[0]["signed"], &cached[0]["fault"]),
        (&json!(digest), &json!(true), &Value::Null)
    );
    assert!(listed.iter().any(|line| line["place"] == "builtin"));

    let other = workspace();
    let Some(other_key) = keys(&other) else { return };
    let refused = sandbar(&work, &["pull", &reference, "--trust", &other_key]).end();
    assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
    refused.saying(&["sign"]);
    work.write("no.wasm", "no component");
    let refused = sandbar(&work, &["push", "no.wasm", &reference]).end();
    assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
    for (command, wrong) in [
        ("pull", "oci://nowhere"),
        ("pull", "comments"),
        ("pull", "./a.wasm"),
    ] {
        sandbar(&work, &[command, wrong]).end().with_code(2);
    }
}

#[test]
fn a_tag_that_moves_is_followed_as_far_as_it_is_signed_and_good() {
    let Some(registry) = registry() else { return };
    let work = workspace();
    let Some(key) = keys(&work) else { return };
    let reference = format!("oci://{}/team/comments:stable", registry.address());
    let first = push_signed(&work, &Change::salted("first"), &reference);
    let api = ScriptedApi::start(10);
    work.add(&following(&api, &reference).set("source.trust", &format!("['{key}']")));
    let running = start(&work);
    until_read(&work, 10);

    let second = push_signed(&work, &Change::salted("second"), &reference);
    work.until_report("comments", "reads with the second", |report| {
        report["component"]["digest"] == second.as_str()
    });
    api.add_rows(10);
    until_promoted(&work, &second);
    until_read(&work, 20);

    // Unsigned.
    push(&work, &Change::salted("unsigned"), &reference);
    until("the unsigned one is refused", || {
        running.told().contains("the new version can't be used")
    });
    // Signed, and bad.
    let bad = push_signed(&work, &Change::flawed(Flaw::PanicFrom(0)), &reference);
    work.until_report("comments", "reads with the bad one", |report| {
        report["component"]["digest"] == bad.as_str()
    });
    api.add_rows(10);
    until_rolled_back(&work, &bad, &second);
    until_read(&work, 30);
    // Many looks later.
    for more in 1..=20 {
        api.add_rows(1);
        until_read(&work, 30 + more);
    }
    assert_eq!(
        work.report("comments").unwrap()["component"]["digest"],
        second.as_str()
    );
    let told = stop(running).stderr;
    let refusals = told.matches("the new version can't be used").count();
    assert_eq!(refusals, 1, "it is said once: {told}");

    // The tag still leads to the bad one.
    api.add_rows(10);
    let running = start(&work);
    until_read(&work, 60);
    assert_eq!(
        work.report("comments").unwrap()["component"]["digest"],
        second.as_str()
    );
    stop(running);
    work.table().assert_once(1..=60);
    assert_eq!(lineage(&work), [first, second]);
}

#[test]
fn a_registry_that_is_away_stops_nothing_that_runs() {
    let Some(mut registry) = registry() else { return };
    let work = workspace();
    let reference = format!("oci://{}/team/comments:stable", registry.address());
    let first = push(&work, &Change::salted("first"), &reference);
    let pinned = sandbar(&work, &["pull", &reference, "--json"]).end().ok().json();
    let pinned = pinned["pinned"].as_str().unwrap().to_owned();
    let api = ScriptedApi::start(10);
    work.add(&following(&api, &reference));
    let running = start(&work);
    until_read(&work, 10);
    registry.stop();
    until("it says so", || {
        running.told().contains("can't look for a newer version")
    });
    let refused = sandbar(&work, &["swap", "comments"]).end();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    refused.saying(&[
        "the new version can't be used",
        "nobody can say what the tag stable means",
    ]);
    api.add_rows(10);
    until_read(&work, 20);
    // It is back, with another version.
    registry.start_again().unwrap();
    let second = push(&work, &Change::salted("second"), &reference);
    work.until_report("comments", "reads with the second", |report| {
        report["component"]["digest"] == second.as_str()
    });
    api.add_rows(10);
    until_promoted(&work, &second);
    until_read(&work, 30);
    stop(running);
    registry.stop();

    // What a tag means can't be told now, and a digest is known.
    let away = sandbar(&work, &["run", "comments.toml", "--available-now"]).end();
    assert_eq!(away.code, Some(1), "{away:?}");
    away.saying(&["nobody can say what the tag stable means"]);
    work.add(&following(&api, &pinned));
    api.add_rows(10);
    let running = start(&work);
    until_read(&work, 40);
    assert_eq!(
        work.report("comments").unwrap()["component"]["digest"],
        first.as_str()
    );
    let told = stop(running).stderr;
    assert!(
        !told.contains("can't look"),
        "a pinned one is not looked for: {told}"
    );
    work.table().assert_once(1..=40);
    assert_eq!(lineage(&work), [first.clone(), second, first]);
}

#[test]
fn what_was_changed_on_the_registry_s_disk_is_refused() {
    let Some(registry) = registry() else { return };
    let work = workspace();
    let reference = |tag: &str| format!("oci://{}/team/comments:{tag}", registry.address());
    let first = push(&work, &Change::salted("first"), &reference("1"));
    let second = push(&work, &Change::salted("second"), &reference("2"));
    let api = ScriptedApi::start(10);
    work.add(&following(&api, &reference("1")));
    let running = start(&work);
    until_read(&work, 10);
    std::fs::write(registry.blob(&second), version(&Change::salted("forged"))).unwrap();
    let refused = sandbar(&work, &["swap", "comments", &reference("2")]).end();
    assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
    refused.saying(&["the new version can't be used", &second]);
    api.add_rows(10);
    until_read(&work, 20);
    stop(running);
    work.table().assert_once(1..=20);
    assert_eq!(lineage(&work), [first]);
    assert!(work.status("comments")["refused"].is_null());
}

#[test]
fn a_private_registry_is_entered_with_a_password_that_nobody_sees() {
    let Some(program) = program("docker-registry") else {
        return;
    };
    let registry = DockerRegistry::private(&program).unwrap();
    let work = workspace();
    let reference = |tag: &str| format!("oci://{}/team/comments:{tag}", registry.address());
    let (user, password) = (DockerRegistry::USER, DockerRegistry::PASSWORD);
    work.write("password.txt", &format!("{password}\n"));
    let mut digests = vec![];
    let mut said = String::new();
    for tag in ["1", "2"] {
        digests.push(work.version("pushed.wasm", &Change::salted(tag)));
        let mut command = work.command(&["push", "pushed.wasm", &reference(tag), "--username", user]);
        let file = std::fs::File::open(work.path("password.txt")).unwrap();
        let output = command.stdin(file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        said += &text;
    }
    let api = ScriptedApi::start(10);
    let settings = following(&api, &reference("1"))
        .set("source.registry.username", &format!("'{user}'"))
        .set("source.registry.password", "'${env:REGISTRY_PASSWORD}'");
    work.add(&settings);
    let with = |password: &str, arguments: &[&str]| {
        let mut command = work.command(arguments);
        command
            .env("XDG_CACHE_HOME", work.path("cache"))
            .env("REGISTRY_PASSWORD", password);
        Running::start(command)
    };
    let running = with(password, &["-vv", "run", "comments.toml", "--progress", "json"]);
    until_read(&work, 10);
    let swapped = sandbar(&work, &["swap", "comments", &reference("2")]).end().ok();
    said += &swapped.stderr;
    api.add_rows(10);
    until_promoted(&work, &digests[1]);
    until_read(&work, 20);
    let missing = sandbar(&work, &["swap", "comments", &reference("3")]).end();
    said += &missing.stderr;
    let ended = stop(running);
    said += &ended.stdout;
    said += &ended.stderr;

    let wrong = with("a-wrong-password-of-mine", &["check", "comments.toml", "--json"]).end();
    said += &wrong.stdout;
    said += &wrong.stderr;
    // The pipeline's record leads to a copy of the second; the file's own reference needs the login.
    work.add(&settings.clone().named("other"));
    let wrong = with(
        "a-wrong-password-of-mine",
        &["run", "other.toml", "--available-now"],
    )
    .end();
    assert!(matches!(wrong.code, Some(1 | 2)), "{wrong:?}");
    said += &wrong.stdout;
    said += &wrong.stderr;
    let wrong = wrong.saying(&["source.registry"]);
    drop(wrong);
    let status = with(password, &["status", "comments.toml", "--history"])
        .end()
        .ok();
    said += &status.stdout;
    for file in work.files() {
        // Where the tests themselves wrote it.
        if !file.ends_with("password.txt") {
            said += &String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default());
        }
    }
    let encoded = "cmVhZGVyOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ";
    for secret in [password, "a-wrong-password-of-mine", encoded] {
        assert!(!said.contains(secret), "{secret} is told");
    }
    work.table().assert_once(1..=20);
    assert_eq!(lineage(&work), digests);
}
