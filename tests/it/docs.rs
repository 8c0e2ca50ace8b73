//! The documentation against the program: links lead somewhere, what is shown exists, and shown output is what is
//! printed. `SANDBAR_WRITE_DOCS=1` writes anew what is generated.

mod markdown;
mod picture;
mod shown;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandbar_runtime::{PipelineFile, pipeline_file_reference, pipeline_file_schema};
use serde_json::Value;
use toml::Table;

use crate::support::{Running, Workspace, files_below, repository, until};
use markdown::{Block, Mark, Page};

const SCHEMA: &str = "docs/pipeline.schema.json";
const REFERENCE: &str = "docs/src/options.md";
const COMMANDS: &str = "docs/src/commands.md";
const DEMO: &str = "docs/src/images/demo.svg";
const DEMO_COMMAND: &str = "sandbar demo";

/// Every page, by its path in the repository.
fn pages() -> BTreeMap<String, Page> {
    let root = repository();
    let above = [
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "tests/README.md",
    ];
    let book = files_below(&root.join("docs"));
    let book = book
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let book = book.map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
    let paths: Vec<String> = above.map(str::to_owned).into_iter().chain(book).collect();
    assert!(paths.len() > 15, "{paths:?}");
    let page = |path: String| {
        let text = read(&path);
        (path, Page::parse(&text))
    };
    paths.into_iter().map(page).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn writes() -> bool {
    std::env::var_os("SANDBAR_WRITE_DOCS").is_some_and(|value| value == "1")
}

/// Asserts that a file has this content, or gives it to the file.
fn is_generated(path: &str, text: &str) {
    if writes() {
        std::fs::write(repository().join(path), text).unwrap();
        return;
    }
    let found = std::fs::read_to_string(repository().join(path)).unwrap_or_default();
    assert!(
        found == text,
        "{path} is not what the code says; write it anew with SANDBAR_WRITE_DOCS=1 cargo test --release --workspace \
         --locked --test it docs::generated"
    );
}

/// Fails with all that is wrong.
fn report(wrong: Vec<String>) {
    assert!(
        wrong.is_empty(),
        "{} of the documentation:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let root = repository();
    let mut wrong = vec![];
    let mut followed = 0;
    for (path, page) in &pages {
        let folder = Path::new(path).parent().unwrap();
        for (line, link) in &page.links {
            if ["https://", "http://", "mailto:"]
                .iter()
                .any(|scheme| link.starts_with(scheme))
            {
                continue;
            }
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => normal(&folder.join(file)),
            };
            if !root.join(&target).exists() || target.starts_with("..") {
                wrong.push(format!("{path}:{line}: {link} leads nowhere"));
            } else if !anchor.is_empty()
                && !pages
                    .get(&target)
                    .is_some_and(|page| page.anchors.contains(anchor))
            {
                wrong.push(format!("{path}:{line}: {target} has no heading #{anchor}"));
            }
        }
    }
    assert!(followed > 50, "{followed} links");
    report(wrong);
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.to_str().unwrap().split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn the_book_has_every_chapter_and_shows_every_picture() {
    let pages = pages();
    let linked: BTreeSet<String> = pages
        .iter()
        .filter(|(path, _)| path.starts_with("docs/src/"))
        .flat_map(|(path, page)| {
            let folder = Path::new(path).parent().unwrap().to_owned();
            let links = page.links.iter();
            links.map(move |(_, link)| {
                (
                    path.ends_with("SUMMARY.md"),
                    normal(&folder.join(link.split('#').next().unwrap())),
                )
            })
        })
        .filter(|(summary, link)| *summary || !link.ends_with(".md"))
        .map(|(_, link)| link)
        .collect();
    for path in pages
        .keys()
        .filter(|path| path.starts_with("docs/src/") && !path.ends_with("SUMMARY.md"))
    {
        assert!(
            linked.contains(path),
            "{path} is no chapter of docs/src/SUMMARY.md"
        );
    }
    let readme = &pages["README.md"];
    for picture in files_below(&repository().join("docs/src/images")) {
        let path = picture
            .strip_prefix(repository())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let shown = linked.contains(&path) || readme.links.iter().any(|(_, link)| *link == path);
        assert!(shown, "{path} is shown nowhere");
    }
}

#[test]
fn paths_of_the_repository_exist() {
    let root = repository();
    let folders = ["host/", "guest/", "tests/", "wit/", "docs/", ".ci/"];
    let mut wrong = vec![];
    for (path, page) in pages() {
        for (line, span) in &page.spans {
            let named = folders.iter().any(|folder| span.starts_with(folder));
            if !named || span.contains([' ', '<', '*']) {
                continue;
            }
            if !root.join(span).exists() {
                wrong.push(format!("{path}:{line}: there is no {span}"));
            }
        }
    }
    report(wrong);
}

/// Commands and their flags, as the program's help tells them.
struct Program {
    flags: BTreeMap<String, BTreeSet<String>>,
}

impl Program {
    fn ask(work: &Workspace) -> Self {
        let help = help_of(work, &["--help"]);
        let commands = help
            .split_once("Commands:\n")
            .unwrap()
            .1
            .split("\n\n")
            .next()
            .unwrap();
        // Deeper lines go on with a description.
        let commands = commands
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let commands = commands.filter(|name| !name.is_empty()).map(str::to_owned);
        let mut flags = BTreeMap::from([(String::new(), flags_in(&help))]);
        for command in commands {
            let known = match command.as_str() {
                "help" => BTreeSet::new(),
                command => flags_in(&help_of(work, &[command, "--help"])),
            };
            flags.insert(command, known);
        }
        assert!(flags.len() > 8, "{flags:?}");
        Self { flags }
    }

    /// What is wrong with a command line, which begins after `sandbar`.
    fn fault_of(&self, line: &str) -> Option<String> {
        let end = line.find(['|', '>', '&', '#', ';']).unwrap_or(line.len());
        let words: Vec<&str> = line[..end].split_whitespace().collect();
        let command = words
            .iter()
            .find(|word| !word.starts_with('-'))
            .copied()
            .unwrap_or_default();
        let Some(known) = self.flags.get(command) else {
            return Some(format!("there is no command `sandbar {command}`"));
        };
        // Also those in a remark after the command.
        let flags = line.split('|').next().unwrap_or_default().split_whitespace();
        let flags = flags.filter(|word| word.starts_with("--"));
        let flags = flags.map(|word| word.split(['=', ',', ';', '.']).next().unwrap());
        let mut unknown = flags.filter(|flag| flag.len() > 2 && !known.contains(*flag));
        unknown
            .next()
            .map(|flag| format!("`sandbar {command}` has no {flag}"))
    }
}

fn help_of(work: &Workspace, arguments: &[&str]) -> String {
    let mut command = work.command(arguments);
    command.env_remove("COLUMNS");
    Running::start(command).end().ok().stdout
}

fn flags_in(help: &str) -> BTreeSet<String> {
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_and_flag_that_is_shown_exists() {
    let work = Workspace::new();
    let program = Program::ask(&work);
    let mut wrong = vec![];
    let mut lines = 0;
    let pages = pages();
    for (path, page) in &pages {
        let spans = page.spans.iter().map(|(line, span)| (*line, span.as_str()));
        let blocks = page.blocks.iter().filter(|block| block.language == "sh");
        let blocks = blocks.flat_map(|block| block.text.lines().map(|line| (block.line, line)));
        for (line, shown) in spans.clone().chain(blocks) {
            let command = shown.trim().strip_prefix("$ ").unwrap_or(shown.trim());
            let command = command.strip_prefix("sandbar ").or_else(|| {
                let of_cargo = command.starts_with("cargo run") && command.contains("--bin sandbar");
                command
                    .split_once(" -- ")
                    .filter(|_| of_cargo)
                    .map(|(_, command)| command)
            });
            let Some(command) = command else { continue };
            lines += 1;
            if let Some(fault) = program.fault_of(command) {
                wrong.push(format!("{path}:{line}: {fault}"));
            }
        }
        for (line, flag) in spans.filter(|(_, span)| span.starts_with("--")) {
            let flag = flag.split([' ', '=']).next().unwrap();
            if !program.flags.values().any(|flags| flags.contains(flag)) {
                wrong.push(format!("{path}:{line}: no command has {flag}"));
            }
        }
    }
    assert!(lines > 20, "{lines} command lines");
    report(wrong);
    // And the other way round.
    for command in program
        .flags
        .keys()
        .filter(|command| !command.is_empty() && *command != "help")
    {
        let help = Mark::Output(format!("sandbar {command} --help"));
        let shown = pages[COMMANDS]
            .blocks
            .iter()
            .any(|block| block.mark.as_ref() == Some(&help));
        assert!(shown, "{COMMANDS} does not show `sandbar {command} --help`");
    }
}

/// In their order: each may rest on the one before it.
#[test]
fn generated_parts_are_what_the_code_says() {
    reference_and_schema();
    shown_files_and_examples();
    shown_output();
    picture_of_the_demo();
}

fn reference_and_schema() {
    is_generated(REFERENCE, &pipeline_file_reference());
    let schema = serde_json::to_string_pretty(&pipeline_file_schema()).unwrap() + "\n";
    is_generated(SCHEMA, &schema);
}

/// Whether a dotted path of keys is one of the pipeline file.
fn is_key(schema: &Value, path: &[&str]) -> bool {
    let [first, rest @ ..] = path else { return true };
    let entries = [schema, &schema["items"]];
    let entries = entries
        .into_iter()
        .chain(schema["items"]["anyOf"].as_array().into_iter().flatten());
    for entry in entries {
        if entry["type"] == "object" && entry.get("properties").is_none() {
            // The component's own options.
            return true;
        }
        if let Some(below) = entry["properties"].get(first) {
            return is_key(below, rest);
        }
    }
    false
}

fn unknown_keys(schema: &Value, above: &[&str], value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path: Vec<&str> = above.iter().copied().chain([key.as_str()]).collect();
                match is_key(schema, &path) {
                    true => unknown_keys(schema, &path, value, found),
                    false => found.push(path.join(".")),
                }
            }
        }
        toml::Value::Array(entries) => entries
            .iter()
            .for_each(|entry| unknown_keys(schema, above, entry, found)),
        _ => {}
    }
}

const PIPELINE_TABLES: [&str; 6] = ["source", "sink", "checkpoint", "trigger", "swap", "retry"];

#[test]
fn every_key_that_is_shown_exists() {
    let schema = pipeline_file_schema();
    let mut wrong = vec![];
    let mut keys = 0;
    for (path, page) in pages() {
        for (line, span) in &page.spans {
            let shown = span.split('=').next().unwrap().trim().trim_matches(['[', ']']);
            let parts: Vec<&str> = shown.split('.').collect();
            let is_path = parts.iter().all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
            });
            let is_table = span.starts_with('[') && span.ends_with(']');
            if !is_path || !PIPELINE_TABLES.contains(&parts[0]) || (parts.len() == 1 && !is_table) {
                continue;
            }
            keys += 1;
            if !is_key(&schema, &parts) {
                wrong.push(format!("{path}:{line}: a pipeline file has no {shown}"));
            }
        }
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let table: Table = match block.text.parse() {
                Ok(table) => table,
                Err(e) => {
                    wrong.push(format!("{path}:{}: {e}", block.line));
                    continue;
                }
            };
            if PIPELINE_TABLES.iter().any(|name| table.contains_key(*name)) {
                let mut unknown = vec![];
                unknown_keys(&schema, &[], &table.into(), &mut unknown);
                wrong.extend(
                    unknown
                        .iter()
                        .map(|key| format!("{path}:{}: a pipeline file has no {key}", block.line)),
                );
            }
        }
    }
    assert!(keys > 20, "{keys} keys");
    report(wrong);
}

/// Asserts that a whole pipeline file is one, for the program and for the schema.
fn check_pipeline_file(name: &str, text: &str) {
    let file = PipelineFile::parse(text, &repository().join(name));
    assert!(file.is_ok(), "{:?}", file.unwrap_err().into_report());
    let table: Table = text.parse().unwrap();
    let schema = jsonschema::draft7::new(&pipeline_file_schema()).unwrap();
    if let Err(error) = schema.validate(&serde_json::to_value(table).unwrap()) {
        panic!(
            "{name} does not fit {SCHEMA}: {error} at {}",
            error.instance_path()
        );
    };
}

#[test]
fn every_pipeline_file_is_one() {
    let root = repository();
    let mut files: Vec<PathBuf> = vec![];
    for folder in ["docs", "tests/data", "tests/fuzz/seeds/pipeline_file"] {
        let below = files_below(&root.join(folder)).into_iter();
        files.extend(below.filter(|path| {
            path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("book.toml")
        }));
    }
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&root).unwrap();
        check_pipeline_file(name.to_str().unwrap(), &text);
        if name.starts_with("docs") {
            let schema = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("#:schema "));
            let schema = schema.unwrap_or_else(|| panic!("{} does not begin with #:schema", name.display()));
            assert_eq!(
                normal(&name.parent().unwrap().join(schema)),
                SCHEMA,
                "{}",
                name.display()
            );
        }
    }
    let mut shown = 0;
    for (path, page) in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let table: Table = block.text.parse().unwrap();
            if table.contains_key("name") && table.contains_key("source") {
                shown += 1;
                check_pipeline_file(&path, &block.text);
            }
        }
    }
    assert!(shown >= 3, "{shown} whole pipeline files");
}

fn shown_output() {
    let work = Workspace::new();
    // The other commands work with what the demo leaves, and with its API.
    let demo = print(&work, DEMO_COMMAND);
    let api = demo
        .lines()
        .find_map(|line| line.trim().strip_prefix("sandbar ")?.strip_suffix(" &"));
    let arguments: Vec<&str> = api.unwrap_or_else(|| panic!("{demo}")).split(' ').collect();
    let api = work.spawn(&arguments);
    until("the demo's API is there again", || !api.lines().is_empty());
    let mut printed = BTreeMap::from([(DEMO_COMMAND.to_owned(), demo)]);
    let mut wrong = vec![];
    for (path, page) in pages() {
        let mut fresh = vec![];
        for block in &page.blocks {
            let Some(Mark::Output(command)) = &block.mark else {
                continue;
            };
            let output = printed
                .entry(command.clone())
                .or_insert_with(|| print(&work, command));
            if shown::normal(&block.text) != shown::normal(output) {
                wrong.push(format!("{path}:{}: `{command}` prints\n{output}", block.line));
                fresh.push((block.clone(), output.clone()));
            }
        }
        if writes() {
            markdown::write(&repository().join(&path), &fresh);
        }
    }
    assert!(printed.len() >= 13, "{:?}", printed.keys());
    if !writes() {
        report(wrong);
    }
    check_pipeline_file(
        "sandbar-demo/comments.toml",
        &work.read("sandbar-demo/comments.toml"),
    );
}

/// What a command prints in an empty folder, which is shown as a folder of nobody.
fn print(work: &Workspace, command: &str) -> String {
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    let folder = work.path("").canonicalize().unwrap();
    let text = help_of(work, &arguments);
    text.replace(folder.to_str().unwrap().trim_end_matches('/'), "/home/me")
}

fn picture_of_the_demo() {
    let pages = pages();
    let demo = Mark::Output(DEMO_COMMAND.to_owned());
    let mut blocks = pages.values().flat_map(|page| &page.blocks);
    let block = blocks.find(|block| block.mark.as_ref() == Some(&demo)).unwrap();
    is_generated(DEMO, &picture::of_terminal(DEMO_COMMAND, &block.text));
    assert!(
        pages["README.md"].links.iter().any(|(_, link)| link == DEMO),
        "README.md shows {DEMO}"
    );
}

fn shown_files_and_examples() {
    let (mut wrong, mut stale) = (vec![], vec![]);
    let mut checked = 0;
    for (path, page) in pages() {
        let mut fresh = vec![];
        for block in &page.blocks {
            let (from, text) = match &block.mark {
                Some(Mark::File(from)) => (from, shown::file(&path, &read(from), SCHEMA)),
                Some(Mark::Example(from)) => (from, shown::example(&read(from))),
                Some(Mark::Part(from)) if shown::is_part(&block.text, &read(from)) => {
                    (from, block.text.clone())
                }
                Some(Mark::Part(from)) => {
                    wrong.push(format!("{path}:{}: these lines are not in {from}", block.line));
                    continue;
                }
                _ if block.language == "rust" => {
                    wrong.push(format!(
                        "{path}:{}: Rust code with no file that it comes from",
                        block.line
                    ));
                    continue;
                }
                _ => continue,
            };
            checked += 1;
            if block.text != text {
                stale.push(format!("{path}:{}: this is not what {from} has", block.line));
                fresh.push((block.clone(), text));
            }
        }
        if writes() {
            markdown::write(&repository().join(&path), &fresh);
        }
    }
    assert!(checked >= 4, "{checked}");
    // What is missing nobody can write.
    report(wrong);
    if !writes() {
        report(stale);
    }
}

/// Where the types are that a page names.
const LIBRARIES: [(&str, &str); 2] = [
    ("docs/src/embedding.md", "host/runtime/src"),
    ("docs/src/writing-a-connector.md", "guest/sdk/src"),
];

#[test]
fn types_that_are_named_exist() {
    let pages = pages();
    let mut wrong = vec![];
    for (path, folder) in LIBRARIES {
        let files = files_below(&repository().join(folder)).into_iter();
        let code: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let known: BTreeSet<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        let mut named = 0;
        for (line, span) in &pages[path].spans {
            let name = span.split("::").find(|part| part.starts_with(char::is_uppercase));
            let Some(name) = name.filter(|name| name.chars().all(char::is_alphanumeric)) else {
                continue;
            };
            named += 1;
            if !known.contains(name) {
                wrong.push(format!("{path}:{line}: there is no {name} in {folder}"));
            }
        }
        assert!(named > 5, "{path} names {named} types");
    }
    report(wrong);
}

#[test]
fn blocks_without_a_mark_claim_nothing() {
    // A block of text after a command is read as its output.
    for (path, page) in pages() {
        for block in page.blocks.iter().filter(|block| block.mark.is_none()) {
            let Block {
                language, text, line, ..
            } = block;
            assert!(
                ["sh", "toml"].contains(&language.as_str())
                    || (language == "text" && !text.contains("sandbar 0.")),
                "{path}:{line}: a block of the language {language:?} needs a mark"
            );
        }
    }
}
