//! Whose a checkpoint location and an offset are: another pipeline's note is not taken up, and nothing goes on at
//! another source's offset.

use sandbar_harness::ScriptedApi;
use serde_json::{Value, json};

use crate::support::{Settings, Workspace};

const NOTE: &str = "lake/_checkpoints/comments/source/progress.json";
const OWNER: &str = "lake/_checkpoints/comments/owner.json";

/// Both places where offsets can lie.
fn each_progress(api: &ScriptedApi) -> [Settings; 2] {
    ["'table'", "'checkpoint'"].map(|place| Settings::of(api).set("sink.progress", place))
}

#[test]
fn a_copied_file_with_another_name_and_table_does_not_start_behind_the_first_ones_note() {
    let api = ScriptedApi::start(30);
    for settings in each_progress(&api) {
        let work = Workspace::with(&settings);
        work.read_available();
        let owner: Value = serde_json::from_str(&work.read(OWNER)).unwrap();
        let table = work.path("lake/comments").canonicalize().unwrap();
        assert_eq!(owner, json!({"pipeline": "comments", "table": table}));
        let copy = settings.named("other").set(
            "checkpoint.location",
            "'lake/_checkpoints/../_checkpoints/comments/'",
        );
        work.add(&copy);
        for command in [
            &["run", "other.toml", "--available-now"][..],
            &["reset", "other.toml", "--to-offset", r#"{"current":0}"#, "--yes"],
        ] {
            work.run(command).with_code(2).saying(&[
                "belongs to the pipeline \"comments\"",
                "a location of its own",
                "owner.json",
            ]);
        }
        let checked = work.run(&["check", "other.toml"]).with_code(1);
        assert!(
            checked.stdout.contains("belongs to the pipeline"),
            "{}",
            checked.stdout
        );
        assert!(!work.path("lake/other/_delta_log").exists());
        // The remedy.
        work.add(&copy.named("other"));
        assert_eq!(work.run_available("other").ok().batches(), [10, 10, 10]);
    }
}

#[test]
fn two_files_of_one_run_need_two_locations() {
    let api = ScriptedApi::start(30);
    let work = Workspace::with(&Settings::of(&api));
    std::fs::create_dir_all(work.path("lake/_checkpoints/comments")).unwrap();
    std::os::unix::fs::symlink(work.path("lake/_checkpoints"), work.path("link")).unwrap();
    for spelling in [
        "lake/_checkpoints/comments/",
        "./lake/x/../_checkpoints/comments",
        "link/comments",
    ] {
        work.add(
            &Settings::of(&api)
                .named("other")
                .set("checkpoint.location", &format!("'{spelling}'")),
        );
        work.run(&["run", "comments.toml", "other.toml", "--available-now"])
            .with_code(2)
            .saying(&[
                "comments.toml and other.toml have one checkpoint location",
                "of its own",
            ]);
    }
    assert!(api.requests().is_empty());
}

#[test]
fn a_checkpoint_location_in_the_tables_folder_is_refused_unless_its_name_hides_it() {
    let api = ScriptedApi::start(10);
    let work = Workspace::new();
    for location in [
        "lake/comments/notes",
        "lake/../lake/comments/",
        "lake/comments/_delta_log",
    ] {
        work.add(&Settings::of(&api).set("checkpoint.location", &format!("'{location}'")));
        work.run_available("comments")
            .with_code(2)
            .saying(&["checkpoint", "of its own"]);
        assert!(work.files_in("lake").is_empty(), "{location}");
    }
    work.add(&Settings::of(&api).set("checkpoint.location", "'lake/comments/_checkpoints'"));
    work.read_available();
    work.table().assert_once(1..=10);
}

#[test]
fn another_source_does_not_go_on_at_the_offset_of_the_one_before() {
    let (api, other) = (ScriptedApi::start(30), ScriptedApi::start(50));
    for settings in each_progress(&api) {
        other.clear_requests();
        let work = Workspace::with(&settings);
        work.read_available();
        let changed = settings
            .clone()
            .set("source.options.api_url", &format!("'{}'", other.url()))
            .set("source.grants.http", &format!("['{}']", other.origin()));
        work.add(&changed);
        work.run_available("comments").with_code(2).saying(&[
            "pipeline comments: batch 3 of the pipeline in the table was read from another source",
            "\"api_url\"",
            r#"reset FILE --to-offset '{"current":30}'"#,
        ]);
        assert!(
            work.run(&["check", "comments.toml"])
                .with_code(1)
                .stdout
                .contains("api_url")
        );
        assert!(
            other
                .requests()
                .iter()
                .all(|request| !request.query.contains("_start=30"))
        );
        work.table().assert_once(1..=30);
        // The operator's word that it goes on there.
        work.run(&[
            "reset",
            "comments.toml",
            "--to-offset",
            r#"{"current":30}"#,
            "--yes",
        ])
        .ok();
        assert_eq!(work.run_available("comments").ok().batches(), [10, 10]);
        work.table().assert_once(1..=50);
    }
}

#[test]
fn options_that_do_not_decide_which_rows_are_read_may_change() {
    let api = ScriptedApi::start(20);
    for settings in each_progress(&api) {
        api.set_rows(20);
        let work = Workspace::with(&settings);
        work.read_available();
        api.set_rows(30);
        work.add(
            &settings
                .set("source.options.page_size", "3")
                .set("source.options.rows_per_batch", "5")
                .set("source.stream", "'comments'"),
        );
        assert_eq!(work.run_available("comments").ok().batches(), [5, 5]);
        work.table().assert_once(1..=30);
    }
}

#[test]
fn a_table_that_was_removed_is_read_again_from_the_beginning() {
    let api = ScriptedApi::start(30);
    for settings in each_progress(&api) {
        let work = Workspace::with(&settings);
        work.read_available();
        assert_eq!(work.read(NOTE), r#"{"current":30}"#);
        std::fs::remove_dir_all(work.path("lake/comments")).unwrap();
        let checked = work.run(&["check", "comments.toml"]).ok();
        assert!(
            checked.stdout.contains(r#"at {"current":0}, the beginning"#),
            "{}",
            checked.stdout
        );
        assert_eq!(work.run_available("comments").ok().batches(), [10, 10, 10]);
        assert_eq!(work.table().ids(), (1..=30).collect::<Vec<_>>());
    }
}

#[test]
fn a_run_that_starts_from_a_note_says_so_and_how_to_start_from_the_beginning() {
    let api = ScriptedApi::start(30);
    for note in [NOTE, "lake/_checkpoints/comments/progress.json"] {
        let work = Workspace::with(&Settings::of(&api));
        work.write(note, r#"{"current": 20}"#);
        let told = [
            r#"at {"current":20} because of the progress note"#,
            note,
            "remove that file",
        ];
        let checked = work.run(&["check", "comments.toml"]).ok();
        for text in told {
            assert!(checked.stdout.contains(text), "{text}: {}", checked.stdout);
        }
        let run = work.run_available("comments").ok().saying(&told);
        assert_eq!(run.stderr.matches("progress note").count(), 1, "{}", run.stderr);
        work.table().assert_once(21..=30);
        assert!(
            !work
                .run_available("comments")
                .ok()
                .stderr
                .contains("progress note")
        );
        std::fs::remove_dir_all(work.path("lake")).unwrap();
        work.run_available("comments").ok();
        work.table().assert_once(1..=30);
    }
}
