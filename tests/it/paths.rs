//! Folders with odd names: they work, also for the second run and for other readers, or are refused before anything
//! is written.

use std::os::unix::ffi::OsStrExt;

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace};

const GOOD: &[&str] = &[
    "with space",
    "plus+plus",
    "hash#1",
    "what?",
    "ümläut",
    "u\u{308}mlaut",
    "a:b",
    "[x]{y}",
    "star*",
    "100%",
    "per%zz",
    "a&b=c;d",
    "it's",
    "say \"x\"",
    "trailing.",
    "🦀",
    "-dash",
    "x=1",
];

#[test]
fn a_table_in_a_folder_with_an_odd_name_is_found_again() {
    let api = ScriptedApi::start(10);
    for progress in ["table", "checkpoint"] {
        for name in GOOD {
            api.set_rows(10);
            let work = Workspace::new();
            let quoted = |path: String| serde_json::to_string(&path).unwrap();
            let settings = Settings::of(&api)
                .set("sink.progress", &format!("'{progress}'"))
                .set("sink.table", &quoted(format!("lake/{name}/t")))
                .set(
                    "checkpoint.location",
                    &quoted(format!("lake/_checkpoints/{name}")),
                );
            let file = format!("{name}/comments.toml");
            work.write(&file, &settings.to_toml());
            let run = || {
                work.run(&[
                    "run",
                    &format!("./{file}"),
                    "--available-now",
                    "--progress",
                    "json",
                ])
                .ok()
            };
            assert_eq!(run().batches(), [10], "{name}");
            api.set_rows(15);
            assert_eq!(run().batches(), [5], "{name}");
            let table = work.table_at(&format!("{name}/lake/{name}/t"));
            table.assert_once(1..=15);
            let files = work.files_in(&format!("{name}/lake"));
            assert!(
                files
                    .iter()
                    .all(|file| file.to_str().unwrap().matches(name).count() >= 2),
                "{name}: nothing lies elsewhere: {files:?}"
            );
        }
    }
}

#[test]
fn a_table_in_a_folder_whose_name_readers_misread_is_refused_before_anything_is_written() {
    let api = ScriptedApi::start(10);
    for name in ["feature%2Fnew", "per%20cent", "back\\slash", "new\nline"] {
        let work = Workspace::new();
        work.add(&Settings::of(&api).set("sink.table", &format!("{:?}", format!("lake/{name}"))));
        work.run_available("comments")
            .with_code(2)
            .saying(&["choose a name without it"]);
        assert!(work.files_in("lake").is_empty());
        // The file's own folder counts as well.
        let file = format!("{name}/comments.toml");
        work.write(&file, &Settings::of(&api).to_toml());
        work.run(&["run", &file, "--available-now"])
            .with_code(2)
            .saying(&["choose a name without it"]);
        assert_eq!(work.files_in(name).len(), 1);
    }
}

#[test]
fn what_only_a_shell_would_replace_is_refused() {
    let api = ScriptedApi::start(10);
    for path in [
        "~/x",
        "~",
        "~root/x",
        "$HOME/x",
        "${env:HOME}/x",
        "$(pwd)/x",
        "a/$X/b",
        "file:/x",
        "s3:/b/t",
    ] {
        for key in ["sink.table", "checkpoint.location"] {
            let work = Workspace::with(&Settings::of(&api).set(key, &format!("'{path}'")));
            let (_, key) = key.split_once('.').unwrap();
            work.run_available("comments")
                .with_code(2)
                .saying(&[key, path, "write "]);
            assert_eq!(work.files().len(), 1, "{path}");
        }
    }
}

#[test]
fn a_file_in_a_folder_whose_name_is_no_text_needs_absolute_paths() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    let folder = work
        .path("x")
        .with_file_name(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("comments.toml"), Settings::of(&api).to_toml()).unwrap();
    let run = || {
        let mut command = work.command(&["run", "comments.toml", "--available-now"]);
        command.current_dir(&folder);
        crate::support::Running::start(command).end()
    };
    run().with_code(2).saying(&["not UTF-8", "absolute path"]);
    assert_eq!(work.files().len(), 1);
    let at = |path: &str| format!("{:?}", work.path(path).display().to_string());
    let absolute = Settings::of(&api)
        .set("sink.table", &at("lake/comments"))
        .set("checkpoint.location", &at("lake/_checkpoints/comments"));
    std::fs::write(folder.join("comments.toml"), absolute.to_toml()).unwrap();
    run().ok();
    work.table().assert_once(1..=10);
}

#[test]
fn a_path_may_lead_out_of_the_folder_of_its_file() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    let settings = Settings::of(&api)
        .set("sink.table", "'../lake/missing/../comments'")
        .set("checkpoint.location", "'../lake/_checkpoints/comments'");
    work.write("files/comments.toml", &settings.to_toml());
    // The file itself is named by such a path, too.
    for (file, rows) in [("files/comments.toml", 10), ("files/../files/comments.toml", 20)] {
        api.set_rows(rows);
        work.run(&["run", file, "--available-now"]).ok();
        work.table().assert_once(1..=i32::try_from(rows).unwrap());
    }
    assert!(!work.path("lake/missing").exists());
}
