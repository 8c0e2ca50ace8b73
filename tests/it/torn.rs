//! Files of the checkpoint location that a power cut tore, as a disk without syncs leaves them: cut short, or empty.
//! What can be survived is survived.

use sandbar_harness::ScriptedApi;

use crate::support::{Settings, Workspace};

const NOTE: &str = "lake/_checkpoints/comments/source/progress.json";

/// The lengths to which a file is cut: empty, in the middle, all but the last byte.
fn cuts(text: &str) -> [&str; 3] {
    [&text[..0], &text[..text.len() / 2], &text[..text.len() - 1]]
}

#[test]
fn a_torn_note_is_no_hindrance_when_the_table_knows_the_offset() {
    for progress in ["'table'", "'checkpoint'"] {
        let api = ScriptedApi::start(25);
        let work = Workspace::with(&Settings::of(&api).set("sink.progress", progress));
        work.read_available();
        let mut rows = 25;
        for cut in cuts("{\"current\":25}") {
            work.write(NOTE, cut);
            api.add_rows(7);
            rows += 7;
            assert_eq!(work.read_available().batches(), [7], "{cut:?}");
            work.table().assert_once(1..=rows);
            assert_eq!(
                work.read(NOTE),
                format!("{{\"current\":{rows}}}"),
                "and it is whole again"
            );
        }
    }
}

#[test]
fn a_torn_entry_of_a_batch_that_never_came_is_skipped() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("sink.progress", "'checkpoint'"));
    work.read_available();
    let mut rows = 25;
    let whole = work.read("lake/_checkpoints/comments/offsets/3");
    for (cut, next) in cuts(&whole).into_iter().zip([4, 6, 8]) {
        let claimed = format!("lake/_checkpoints/comments/offsets/{next}");
        work.write(&claimed, cut);
        api.add_rows(7);
        rows += 7;
        assert_eq!(work.read_available().batches(), [7], "{cut:?}");
        let table = work.table();
        table.assert_once_allowing(1..=rows, true);
        assert_eq!(table.last_batch("comments"), Some(next + 1));
        assert_eq!(work.read(&claimed), cut, "its name is taken");
    }
}

#[test]
fn a_torn_entry_of_the_last_batch_is_refused_with_both_remedies_and_each_of_them_helps() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api).set("sink.progress", "'checkpoint'"));
    work.read_available();
    let (mut rows, mut last) = (25, 3);
    for (number, reset) in [false, true, true].into_iter().enumerate() {
        let entry = format!("lake/_checkpoints/comments/offsets/{last}");
        let whole = work.read(&entry);
        let cut = cuts(&whole)[number];
        work.write(&entry, cut);
        api.add_rows(7);
        work.run_available("comments").with_code(1).saying(&[
            &format!("offsets/{last}"),
            "is damaged",
            "restore it",
            "sandbar reset --to-offset",
        ]);
        assert_eq!(work.table().ids().len(), usize::try_from(rows).unwrap());
        if reset {
            let to = format!("{{\"current\": {rows}}}");
            work.run(&["reset", "comments.toml", "--to-offset", &to, "--yes"])
                .ok();
        } else {
            work.write(&entry, &whole);
        }
        rows += 7;
        assert_eq!(work.read_available().batches(), [7], "{cut:?}");
        let table = work.table();
        table.assert_once_allowing(1..=rows, true);
        last = table.last_batch("comments").unwrap();
    }
}

/// Without a table the note says where to go on: a guess would read rows twice, or never.
#[test]
fn a_torn_note_without_a_table_is_refused_and_its_remedy_helps() {
    let api = ScriptedApi::start(25);
    let work = Workspace::with(&Settings::of(&api));
    for cut in cuts("{\"current\":20}") {
        work.write(NOTE, cut);
        work.run_available("comments").with_code(1).saying(&[
            "source/progress.json",
            "is damaged",
            "remove it",
        ]);
    }
    std::fs::remove_file(work.path(NOTE)).unwrap();
    work.read_available();
    work.table().assert_once(1..=25);
}
