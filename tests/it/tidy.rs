//! Rules of the repository that no compiler knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::support::{files_below, repository};

/// What `wit/v0.1` is, and stays: see the test.
const WIT_V0_1: &str = "sha256:c902a9e877bb04e01ce59b9d534ddb42e0c9417f7cf2f2c8ac2c0d407fd67328";

/// What lies at the top of the repository. Anything else has a place below one of these.
const TOP: [&str; 16] = [
    ".ci",
    ".gitattributes",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "clippy.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "guest",
    "host",
];
const TOP_FOLDERS: [&str; 3] = ["docs", "tests", "wit"];

#[test]
fn the_released_contract_does_not_change() {
    let folder = repository().join("wit/v0.1");
    let mut hash = Sha256::new();
    for file in files_below(&folder) {
        let name = file.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        let content = std::fs::read(&file).unwrap();
        hash.update(format!("{name}\n{}\n", content.len()));
        hash.update(content);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        format!("sha256:{digest}"),
        WIT_V0_1,
        "wit/v0.1 was changed. Components in the field are built for it: once it is released, a change needs a \
         folder of its own beside it (wit/v0.2), and the host serves both. Only before its release may this constant \
         take the new digest, and the version in the WIT file should say so"
    );
}

/// The repository's own text files, without what is built or fetched.
fn sources() -> Vec<PathBuf> {
    let root = repository();
    let folders = ["guest", "host", "tests", "wit"].map(|folder| files_below(&root.join(folder)));
    let kinds = ["rs", "py", "wit", "toml"];
    let wanted = |path: &PathBuf| {
        let generated = path
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("target" | "node_modules")));
        !generated && kinds.iter().any(|kind| path.extension() == Some(kind.as_ref()))
    };
    folders.into_iter().flatten().filter(wanted).collect()
}

#[test]
fn nothing_is_put_off_and_no_test_is_switched_off() {
    // Written so that this file does not hold them.
    let marks = [
        "TO\u{44}O",
        "FIX\u{4d}E",
        "XX\u{58}",
        "#[igno\u{72}e",
        "unimplemente\u{64}!",
        "todo\u{21}(",
    ];
    for path in sources() {
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let found = marks.iter().find(|mark| line.contains(**mark));
            assert!(
                found.is_none(),
                "{}:{}: {}",
                path.display(),
                number + 1,
                line.trim()
            );
        }
    }
}

#[test]
fn the_top_of_the_repository_stays_small() {
    let root = repository();
    let listed = Command::new("git").args(["ls-files"]).current_dir(&root).output();
    let names: BTreeSet<String> = match listed {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines()
                .map(|path| path.split('/').next().unwrap().to_owned())
                .collect()
        }
        // Without git this is an archive of the sources, and all that lies here came with it or was built.
        _ => {
            let entries = std::fs::read_dir(&root).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| !matches!(name.as_str(), "target" | ".git" | "sandbar-demo"))
                .collect()
        }
    };
    assert!(names.contains("Cargo.toml"), "{names:?}");
    for name in names {
        let known = TOP.contains(&name.as_str()) || TOP_FOLDERS.contains(&name.as_str());
        assert!(
            known,
            "{name} lies at the top of the repository; give it a place below docs, guest, host, tests or wit"
        );
    }
}

#[test]
fn the_program_names_the_wasmtime_that_it_has() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let wanted = format!(
        "name = \"wasmtime\"\nversion = \"{}\"\n",
        sandbar_sandbox::WASMTIME_VERSION
    );
    assert!(
        lock.contains(&wanted),
        "WASMTIME_VERSION is not the version in Cargo.lock"
    );
}
