use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use sandbar_harness::ScriptedApi;
use sandbar_test_versions::Change;

use super::{stop, swapping, until_read};
use crate::support::{BOUND, WithVersions, Workspace, ask, sockets, until};

#[test]
fn the_socket_is_for_its_user_alone_and_goes_with_its_run() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let sockets_now = sockets(&work);
    let [socket] = &sockets_now[..] else {
        panic!("{sockets_now:?}")
    };
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert!(std::fs::metadata(socket).unwrap().file_type().is_socket());
    assert_eq!(mode(socket), 0o600);
    assert_eq!(mode(&work.path("sandbar")), 0o700);
    stop(running);
    assert!(sockets(&work).is_empty());

    // Where others can look into the folder, they could put a socket there.
    std::fs::set_permissions(work.path("sandbar"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = work.swap(&["comments", "comments"]).with_code(1);
    refused.saying(&["it is not a folder of this user alone (mode 0700)"]);
    let mut running = work.start("comments.toml");
    running.until_rows(0);
    until("it says so", || {
        running.told().contains("the run can't be controlled")
    });
    stop(running);
}

#[test]
fn who_sends_garbage_or_nothing_disturbs_nobody() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let digest = work.version("new.wasm", &Change::salted("new"));
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let socket = sockets(&work).remove(0);
    let silent: Vec<_> = (0..20).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let deep = "[".repeat(100_000);
    for request in [
        "garbage\n",
        "\n",
        "{}\n",
        "{\"command\":\"format\"}\n",
        "{\"command\":\"swap\",\"pipeline\":7}\n",
        "{\"command\":\"swap\",\"pipeline\":\"comments\"}\n",
        "{\"command\":\"stop\"}\n",
        &deep,
        "\0\u{7f}\n",
    ] {
        let answer = ask(&socket, request.as_bytes()).unwrap();
        assert_eq!(answer["failed"]["mistake"], true, "{request:.40}: {answer}");
        let said = answer["failed"]["message"].as_str().unwrap();
        assert!(said.len() < 1000 && !said.contains('\0'), "{said}");
    }
    // It is read no further than a line may be long; whether the answer arrives depends on what was still on its way.
    let giant = vec![b'a'; 64 << 20];
    let answer = ask(&socket, &giant);
    assert!(answer.is_none_or(|answer| answer["failed"]["mistake"] == true));
    // Whoever asks and goes away gets what they asked for.
    let swap = format!(
        "{{\"command\":\"swap\",\"pipeline\":\"comments\",\"reference\":\"{}\"}}\n",
        work.path("new.wasm").display()
    );
    let mut gone = UnixStream::connect(&socket).unwrap();
    gone.write_all(swap.as_bytes()).unwrap();
    drop(gone);
    work.until_report("comments", "reads with the new one", |report| {
        report["component"]["digest"] == digest.as_str()
    });
    // And who says nothing is told so.
    for mut stream in silent {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("no request came"), "{said}");
    }
    api.add_rows(10);
    until_read(&work, 20);
    stop(running);
}

#[test]
fn of_two_runs_with_one_name_the_socket_has_to_be_named() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    work.add(&swapping(&api).named("other"));
    let other = work
        .read("other.toml")
        .replace("name = 'other'", "name = 'comments'");
    work.write("other.toml", &other);
    let running = [work.start("comments.toml"), work.start("other.toml")];
    until("both listen", || work.reports().len() == 2);
    until("both run", || {
        work.reports().iter().all(|report| report["state"] == "running")
    });
    let unclear = work.swap(&["comments", "comments"]).with_code(2);
    unclear.saying(&["several runs fit; name one with --control: "]);
    for socket in sockets(&work) {
        let socket = socket.to_str().unwrap();
        let named = work.swap(&["comments", "comments", "--control", socket]).ok();
        named.saying(&["reads with that version already"]);
    }
    for running in running {
        stop(running);
    }
}

#[test]
fn a_socket_where_it_was_wanted_is_found_there() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    let run = ["run", "comments.toml", "--control", "here.sock"];
    let running = work.spawn(&run);
    until("it listens", || work.path("here.sock").exists());
    assert!(sockets(&work).is_empty());
    let second = work.spawn(&run).end().with_code(1);
    second.saying(&["here.sock", "another run listens there"]);
    work.run(&["pause", "comments", "--control", "here.sock"]).ok();
    // One that was killed leaves its socket, and the next one takes its place.
    assert!(running.kill());
    assert!(work.path("here.sock").exists());
    let running = work.spawn(&run);
    until("the next one answers", || {
        ask(&work.path("here.sock"), b"{\"command\":\"list\"}\n").is_some()
    });
    stop(running);
    assert!(!work.path("here.sock").exists());
    // A file that is no socket is not taken away.
    work.write("here.sock", "a file");
    work.spawn(&run)
        .end()
        .with_code(1)
        .saying(&["here.sock", "something else than a socket is there"]);
    assert_eq!(work.read("here.sock"), "a file");
}

#[test]
fn sockets_of_runs_that_are_dead_or_do_not_answer_are_in_nobody_s_way() {
    let api = ScriptedApi::start(10);
    let work = Workspace::with(&swapping(&api));
    work.add(&swapping(&api).named("other"));
    let dead = work.start("comments.toml");
    until_read(&work, 10);
    let left = sockets(&work);
    assert!(dead.kill());
    assert_eq!(sockets(&work), left);
    let nobody = work.run(&["pause", "comments"]).with_code(2);
    nobody.saying(&["no run of this user has the pipeline \"comments\""]);
    assert!(sockets(&work).is_empty(), "it is cleaned away");

    // One that is stopped in its tracks is asked, and does not answer.
    let running = work.start("comments.toml");
    until_read(&work, 10);
    let mut stuck = work.start("other.toml");
    work.until_report("other", "runs", |report| report["state"] == "running");
    stuck.signal(Signal::STOP);
    assert!(stuck.until_stopped());
    let swapped = work.swap(&["comments", "comments"]);
    let unheard = work.run(&["pause", "other"]);
    stuck.signal(Signal::CONT);
    swapped.ok().saying(&["reads with that version already"]);
    unheard.with_code(2).saying(&["without an answer: ", "/sandbar/"]);
    stop(running);
    stop(stuck);
}
