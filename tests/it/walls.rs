//! Which crate may know which: wasm in one, Delta in one, and guests nothing of hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use crate::support::{files_below, repository};

/// A package of this workspace.
struct Package {
    /// Its folder's path in the repository.
    folder: String,
    /// Names of all that it depends on, in whatever way.
    dependencies: BTreeSet<String>,
    /// Those without which it is not built: what only its tests need is left out.
    built_with: BTreeSet<String>,
}

fn packages() -> BTreeMap<String, Package> {
    let root = repository();
    let workspace = manifest(&root.join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let packages = members.iter().map(|member| {
        let folder = member.as_str().unwrap();
        let manifest = manifest(&root.join(folder).join("Cargo.toml"));
        let (mut dependencies, mut built_with) = (BTreeSet::new(), BTreeSet::new());
        collect_dependencies(&manifest, &|_| true, &mut dependencies);
        collect_dependencies(&manifest, &|kind| kind != "dev-dependencies", &mut built_with);
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        (
            name,
            Package {
                folder: folder.to_owned(),
                dependencies,
                built_with,
            },
        )
    });
    packages.collect()
}

fn manifest(path: &Path) -> Table {
    std::fs::read_to_string(path)
        .unwrap()
        .parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Of the table itself and of those for a target.
fn collect_dependencies(table: &Table, wanted: &dyn Fn(&str) -> bool, names: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(below) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            if !wanted(key) {
                continue;
            }
            let package = |value: &Value| Some(value.get("package")?.as_str()?.to_owned());
            names.extend(
                below
                    .iter()
                    .map(|(name, value)| package(value).unwrap_or_else(|| name.clone())),
            );
        } else if key != "package" {
            collect_dependencies(below, wanted, names);
        }
    }
}

/// Everything that a package is built with, by `Cargo.lock`. That does not tell what only tests need, which the manifests of
/// this workspace do.
fn closure(package: &str) -> BTreeSet<String> {
    let members = packages();
    let lock = manifest(&repository().join("Cargo.lock"));
    let mut edges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in lock["package"].as_array().unwrap() {
        let needs = entry
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        // `name`, or `name version` where there are two of them.
        let needs = needs.map(|need| need.as_str().unwrap().split(' ').next().unwrap());
        let name = entry["name"].as_str().unwrap();
        let member = members.get(name);
        let needs = needs.filter(|need| member.is_none_or(|member| member.built_with.contains(*need)));
        edges.entry(name).or_default().extend(needs);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        if found.insert(name.to_owned()) {
            open.extend(&edges[name]);
        }
    }
    found
}

fn is_wasmtime(name: &str) -> bool {
    name == "wasmtime" || name.starts_with("wasmtime-")
}

fn is_delta(name: &str) -> bool {
    name.starts_with("delta_kernel") || name.starts_with("deltalake")
}

#[test]
fn wasmtime_and_delta_are_each_known_to_one_crate() {
    for (name, package) in packages() {
        for dependency in &package.dependencies {
            let wrong = is_wasmtime(dependency) && name != "sandbar-sandbox"
                || is_delta(dependency) && name != "sandbar-delta";
            assert!(!wrong, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn egress_is_built_without_wasmtime_and_policy_without_tokio() {
    for name in ["sandbar-egress", "sandbar-registry", "sandbar-volumes"] {
        let needs = closure(name);
        assert!(
            needs.contains("tokio") && needs.iter().all(|need| !is_wasmtime(need)),
            "{name}"
        );
    }
    let policy = closure("sandbar-policy");
    assert!(policy.contains("url"), "{policy:?}");
    for name in ["tokio", "hyper", "wasmtime"] {
        assert!(!policy.contains(name), "sandbar-policy needs {name}");
    }
}

#[test]
fn the_protocol_is_built_without_wasmtime_and_delta() {
    for name in closure("sandbar-pipeline") {
        assert!(
            !is_wasmtime(&name) && !is_delta(&name),
            "sandbar-pipeline needs {name}"
        );
    }
    assert!(
        closure("sandbar-delta").iter().all(|name| !is_wasmtime(name)),
        "Delta needs no wasmtime"
    );
    assert!(
        closure("sandbar-sandbox").iter().all(|name| !is_delta(name)),
        "the sandbox needs no Delta"
    );
    // What this looks for can be found.
    assert!(
        closure("sandbar").iter().any(|n| is_wasmtime(n)) && closure("sandbar").iter().any(|n| is_delta(n))
    );
}

#[test]
fn guests_know_nothing_of_hosts_and_arrows_point_downward() {
    let packages = packages();
    let below = |name: &str| packages.get(name).map(|package| package.folder.as_str());
    let allowed = |from: &str, to: &str| match from {
        "host/cli" => true,
        // Its examples are tested with the comments component and a scripted API.
        "host/runtime" => to != "host/cli",
        // Its tests share the stores that fail.
        "host/delta" => to == "host/pipeline" || to == "tests/harness",
        // Its tests read with components of two tracks into tables.
        "host/sandbox" => matches!(
            to,
            "host/egress"
                | "host/pipeline"
                | "host/policy"
                | "host/rows"
                | "host/delta"
                | "guest/hostile"
                | "tests/harness"
                | "tests/track"
        ),
        "host/volumes" => to == "host/pipeline",
        // Its tests start a registry, as those of the program do.
        "host/registry" => matches!(to, "host/pipeline" | "host/policy" | "tests/harness"),
        "host/egress" => matches!(to, "host/pipeline" | "host/policy"),
        "host/pipeline" => to == "host/policy",
        "host/policy" | "host/rows" => false,
        // Outside of a component it reads rows with the code that hosts read them with.
        "guest/sdk" => to == "host/rows",
        guest if guest.starts_with("guest/") => to.starts_with("guest/"),
        // Tests' own libraries.
        _ => true,
    };
    let mut arrows = 0;
    for (name, package) in &packages {
        for dependency in &package.dependencies {
            let Some(to) = below(dependency) else { continue };
            arrows += 1;
            assert!(
                allowed(&package.folder, to),
                "{name} ({}) must not depend on {dependency}",
                package.folder
            );
        }
    }
    assert!(
        arrows >= 5,
        "{arrows} dependencies between packages of the workspace"
    );
}

/// A track that checked something would be the only one to check it.
#[test]
fn tracks_of_the_contract_translate_and_check_nothing() {
    let folder = repository().join("host/sandbox/src/abi");
    let marks = [
        "sandbar_policy",
        "sandbar_pipeline",
        "SandboxError",
        "Violation",
        "Limits",
        "MAX_",
        "limits.",
        "guard",
    ];
    let tracks = files_below(&folder);
    let tracks = tracks.iter().filter(|file| **file != folder.join("mod.rs"));
    let mut count = 0;
    for track in tracks {
        count += 1;
        let code = std::fs::read_to_string(track).unwrap();
        let found = marks.iter().find(|mark| code.contains(**mark));
        assert_eq!(
            found,
            None,
            "{}: checks belong into `instance` or `capability`",
            track.display()
        );
    }
    assert!(count >= 3, "{count} files");
}

/// Where the host's code may ask for the time or wait in another way than through `Clock`, and why. Everything that decides
/// which rows are read, what is stored and when is tried again goes through `Clock`, so that tests can set it.
const OTHER_CLOCKS: [(&str, &str); 9] = [
    ("host/pipeline/src/clock.rs", "it is the clock"),
    (
        "host/egress/src/",
        "deadlines on the network, on the timer of the runtime that polls it",
    ),
    ("host/egress/src/cpu.rs", "processor time"),
    (
        "host/sandbox/src/component/compile.rs",
        "the deadline of a compiler",
    ),
    (
        "host/sandbox/src/component/engine.rs",
        "the thread that interrupts components",
    ),
    ("host/sandbox/src/instance/guard.rs", "the deadline of a call"),
    (
        "host/runtime/src/check_options.rs",
        "the deadline of a check of options",
    ),
    (
        "host/cli/src/service/sd_notify.rs",
        "systemd compares the machine's own monotonic time",
    ),
    (
        "host/cli/src/demo_api/",
        "the demo's API is another program's part",
    ),
];

#[test]
fn time_that_decides_anything_enters_through_the_clock() {
    let marks = [
        "tokio::time",
        "rustix::time",
        "Instant::now",
        "SystemTime::now",
        "Utc::now",
        "thread::sleep",
    ];
    let mut found = BTreeSet::new();
    for path in files_below(&repository().join("host")) {
        let name = path
            .strip_prefix(repository())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let is_test = name.contains("/tests") || name.contains("/benches/") || name.ends_with("_tests.rs");
        if is_test || path.extension() != Some("rs".as_ref()) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if marks.iter().any(|mark| code.contains(mark)) {
            let known = OTHER_CLOCKS.iter().filter(|(place, _)| name.starts_with(place));
            let known: Vec<_> = known.map(|(place, _)| *place).collect();
            assert!(
                !known.is_empty(),
                "{name} has a clock of its own: take the time from `Clock`"
            );
            found.extend(known);
        }
    }
    assert_eq!(
        found.len(),
        OTHER_CLOCKS.len(),
        "a place of this list needs no clock: {found:?}"
    );
}

/// Whoever embeds the runtime brings components along, and needs no wasm target to build it.
#[test]
fn an_embedder_builds_no_guests() {
    let packages = packages();
    let members: BTreeMap<_, _> = packages
        .iter()
        .map(|(name, package)| (name, &package.folder))
        .collect();
    for folder in [
        "host/runtime",
        "host/sandbox",
        "host/delta",
        "host/pipeline",
        "host/registry",
        "host/volumes",
    ] {
        let manifest = manifest(&repository().join(folder).join("Cargo.toml"));
        let needed = manifest["dependencies"].as_table().unwrap().keys();
        let guests: Vec<_> = needed
            .filter(|name| {
                members
                    .get(name)
                    .is_some_and(|folder| !folder.starts_with("host/"))
            })
            .collect();
        assert!(guests.is_empty(), "{folder} needs {guests:?}");
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in packages().values() {
        let manifest = manifest(&repository().join(&package.folder).join("Cargo.toml"));
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(Value::as_bool);
        assert_eq!(
            lints,
            Some(true),
            "{} has no [lints] workspace = true",
            package.folder
        );
    }
}
