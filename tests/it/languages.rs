//! The same sources in several languages and ways: each gives the same table, whatever happens on the way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_components::COMMENTS;
use sandbar_harness::{Fault, ScriptedApi};
use sandbar_test_components::{COMMENTS_OVER_WASI, FEED};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{
    Random, Settings, Workspace, current, files_below, installed, not_installed, repository, say, scratch,
    seed, variable,
};

/// A component, and how it is called in messages.
pub(crate) struct Written {
    pub(crate) language: &'static str,
    pub(crate) component: Vec<u8>,
}

/// The comments source in all ways whose compilers are installed.
fn comments() -> Vec<Written> {
    let rust = [("Rust", COMMENTS), ("Rust over wasi:http", COMMENTS_OVER_WASI)];
    let rust = rust.map(|(language, bytes)| written(language, bytes.to_vec()));
    rust.into_iter().chain(compiled("comments", "Comments")).collect()
}

fn written(language: &'static str, component: Vec<u8>) -> Written {
    Written { language, component }
}

/// An example of the SDKs for Python and JavaScript, as a component.
fn compiled(module: &str, class: &str) -> Vec<Written> {
    // Several tests want the same ones, and one compiler is enough for this machine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(toolchains) = installed("toolchains") else {
        not_installed("the compilers for Python and JavaScript are");
        return vec![];
    };
    let (python, javascript) = (
        repository().join("guest/python"),
        repository().join("guest/javascript"),
    );
    let build = |name: String, inputs: &Path, command: &mut Command| {
        // What it is made of is in its name: another one is not taken for it.
        let file = scratch().join(format!("{}-{name}", digest(&[inputs, &repository().join("wit")])));
        if !file.exists() {
            let output = command.arg("--output").arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {said}");
        }
        std::fs::read(file).unwrap()
    };
    let in_python = build(
        format!("{module}-python.wasm"),
        &python,
        Command::new(toolchains.join("python/bin/python"))
            .args([
                "-m",
                "sandbar_sdk.build",
                "build",
                &format!("{module}:{class}"),
                "--path",
            ])
            .arg(python.join("examples"))
            .current_dir(&python),
    );
    let in_javascript = build(
        format!("{module}-javascript.wasm"),
        &javascript,
        Command::new("node")
            .arg(javascript.join("bin/sandbar-sdk.js"))
            .arg("build")
            .arg(javascript.join("examples").join(module).with_extension("js"))
            .current_dir(toolchains.join("javascript")),
    );
    vec![written("Python", in_python), written("JavaScript", in_javascript)]
}

/// Of all files in folders.
fn digest(folders: &[&Path]) -> String {
    let mut hash = Sha256::new();
    for file in folders.iter().flat_map(|folder| files_below(folder)) {
        let is_source = !file
            .iter()
            .any(|part| part == "__pycache__" || part == "node_modules");
        if is_source {
            hash.update(std::fs::read(&file).unwrap());
        }
    }
    let digits = hash.finalize();
    digits.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Written {
    fn workspace(&self, settings: Settings) -> Workspace {
        let work = Workspace::new();
        std::fs::write(work.path("source.wasm"), &self.component).unwrap();
        let settings = settings.set("source.component", "'./source.wasm'");
        // An interpreter has more to compile, and more to do before its first row.
        work.add(&settings.set("source.limits.compile_time", "'10m'"));
        work
    }
}

/// The files of the table, in the order of their rows.
fn rows_of(work: &Workspace) -> Vec<RecordBatch> {
    let table = work.table();
    let files = table.record_batches().into_iter();
    let mut files: Vec<_> = files.map(|(_, rows)| rows).collect();
    // Their names say nothing of their order.
    files.sort_by_key(|rows| rows.column(0).as_primitive::<Int32Type>().value(0));
    files
}

fn pages(api: &ScriptedApi) -> Settings {
    Settings::of(api)
        .set("source.options.rows_per_batch", "40")
        .set("source.options.page_size", "7")
        // Rows of several partitions come in any order.
        .set("source.limits.parallelism", "1")
}

/// A pipeline over the feed, which is read by cursors.
fn feed_of(api: &ScriptedApi) -> Settings {
    Settings::of(api)
        .without("source.options.api_url")
        .without("source.options.rows_per_batch")
        .set("source.options.url", &format!("'{}/feed'", api.origin()))
        .set("source.options.page_size", "7")
        .set("trigger.max_rows_per_batch", "4")
}

#[test]
fn every_language_gives_the_same_table() {
    let api = ScriptedApi::start(100);
    let mut first: Option<Vec<RecordBatch>> = None;
    for source in comments() {
        let work = source.workspace(pages(&api));
        let run = work.read_available();
        assert_eq!(run.batches(), [40, 40, 20], "{}", source.language);
        assert_eq!(work.table().end("comments"), Some(json!({"current": 100})));
        let rows = rows_of(&work);
        assert_eq!(&rows, first.get_or_insert(rows.clone()), "{}", source.language);
        let inspected = work.run(&["inspect", "./source.wasm"]).ok().stdout;
        say(&format!("{}: {} bytes", source.language, source.component.len()));
        if matches!(source.language, "Python" | "JavaScript") {
            let imports = inspected
                .lines()
                .skip_while(|line| !line.starts_with("imports"))
                .skip(1);
            let imports: Vec<_> = imports.take_while(|line| !line.is_empty()).collect();
            assert!(
                imports.len() >= 4
                    && imports
                        .iter()
                        .all(|line| line.trim().starts_with("sandbar:connector/")),
                "{imports:?}"
            );
        }
    }
}

#[test]
fn every_language_takes_what_goes_wrong_in_the_same_way() {
    for source in comments() {
        let language = source.language;
        let api = ScriptedApi::start(30);
        let work = source.workspace(pages(&api));
        work.run(&["check", "comments.toml"]).ok();
        // Tried again.
        let endless = Fault::Status {
            code: 429,
            headers: vec![("retry-after".into(), u64::MAX.to_string())],
            body: String::new(),
        };
        for fault in [endless, Fault::CutBody] {
            api.fault_when(|r| r.parameter("_limit") != Some("1"), fault, 1);
        }
        work.read_available();
        work.table().assert_once(1..=30);
        // Not tried again, and nothing is committed.
        for (fault, says) in [
            (Fault::status(401), "the remote refuses the credentials"),
            (Fault::HtmlErrorPage, "(gave up after 3 attempts)"),
            (Fault::NotJson, "the remote sent something unexpected"),
            (Fault::WrongType, "row 0, field id: an integer is expected"),
            (Fault::IgnoreLimit, "more than the"),
        ] {
            api.add_rows(3);
            api.fault_when(|r| r.parameter("_limit") != Some("1"), fault.clone(), usize::MAX);
            let ended = work.run_available("comments").with_code(1);
            assert!(
                ended.stderr.contains(says),
                "{language}, {fault:?}: {}",
                ended.stderr
            );
            work.table().assert_once(1..=30);
            api.clear_faults();
        }
        work.read_available();
        work.table().assert_once(1..=45);
        // Rows that were read are gone.
        api.set_rows(20);
        let ended = work.run_available("comments").with_code(1);
        assert!(
            ended.stderr.contains("offset 45 is gone"),
            "{language}: {}",
            ended.stderr
        );
    }
}

#[test]
fn every_language_may_be_killed_anywhere() {
    let kills = variable("SANDBAR_KILLS").unwrap_or(50) / 5;
    for source in comments() {
        let mut random = Random(seed());
        let api = ScriptedApi::start(40);
        let settings = Settings::of(&api)
            .set("source.options.rows_per_batch", "5")
            .set("source.options.page_size", "2");
        let work = source.workspace(settings);
        // What is compiled is kept.
        work.run(&["inspect", "./source.wasm"]).ok();
        let (mut rows, mut at_work) = (40, 0);
        for kill in 0..kills {
            let mut running = work.spawn(&["run", "comments.toml", "--available-now", "--progress", "json"]);
            if kill % 2 == 1 {
                running.until_batches(1 + random.below(3));
            }
            std::thread::sleep(Duration::from_millis(random.below(40)));
            at_work += u64::from(running.kill());
            api.add_rows(20);
            rows += 20;
        }
        work.read_available();
        work.table().assert_once(1..=i32::try_from(rows).unwrap());
        let end = work.table().end("comments").unwrap();
        assert_eq!(current(&end), rows);
        say(&format!(
            "{}: {at_work} of {kills} kills met it at work",
            source.language
        ));
        assert!(
            at_work * 2 >= kills,
            "{}: most kills came too late",
            source.language
        );
    }
}

#[test]
fn a_feed_is_read_by_cursors_in_every_language() {
    let sources = [written("Rust", FEED.to_vec())];
    let mut first: Option<Vec<RecordBatch>> = None;
    for source in sources.into_iter().chain(compiled("feed", "Feed")) {
        let language = source.language;
        let api = ScriptedApi::start(20);
        let work = source.workspace(feed_of(&api));
        // Four rows a batch, seven a page: most batches end within a page.
        let run = work.read_available();
        assert_eq!(run.batches(), [4, 4, 4, 4, 4], "{language}");
        assert_eq!(
            work.table().end("comments"),
            Some(json!({"cursor": "after-14", "taken": 6})),
            "{language}"
        );
        assert_eq!(work.read_available().batches(), [0; 0], "{language}: nothing new");
        // The last page grows, and has a next one.
        api.add_rows(5);
        assert_eq!(work.read_available().batches(), [4, 1], "{language}");
        let mut ids = work.table().ids();
        ids.sort_unstable();
        assert_eq!(ids, (1..=25).collect::<Vec<_>>(), "{language}");
        let rows = rows_of(&work);
        assert_eq!(&rows, first.get_or_insert(rows.clone()), "{language}");
        // A cursor that has expired.
        api.add_rows(5);
        api.fault_when(
            |r| r.parameter("cursor").is_some(),
            Fault::status(410),
            usize::MAX,
        );
        let ended = work.run_available("comments").with_code(1);
        assert!(
            ended.stderr.contains("the cursor has expired"),
            "{language}: {}",
            ended.stderr
        );
    }
}

/// Where the natively run tests of an SDK are.
fn run_native_tests(folder: PathBuf, command: &mut Command) {
    let output = command.current_dir(&folder).output();
    let Ok(output) = output else {
        return not_installed("python3 and node are");
    };
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", folder.display());
}

#[test]
fn the_examples_pass_their_native_tests() {
    let mut python = Command::new("python3");
    python.arg("tests/test_examples.py");
    run_native_tests(repository().join("guest/python"), &mut python);
    let mut node = Command::new("node");
    node.arg("--test");
    run_native_tests(repository().join("guest/javascript"), &mut node);
}
