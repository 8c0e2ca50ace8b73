//! Compiles guests of this workspace to WebAssembly components, with a cargo of its own, for the build scripts that
//! carry their bytes along.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// What decides about every component, from the root of the workspace.
const INPUTS: [&str; 5] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "wit/v0.1",
    "guest/build",
];

/// Compiles the crate `package` of the workspace at `root` and puts the component into the build script's `OUT_DIR`, as
/// `file`. `folders` are those of the crates that it is made of, below `root`: the script runs again when a file in
/// them changes.
///
/// What fails ends the build, with the reason.
pub fn component(root: &Path, package: &str, folders: &[&str], file: &str) {
    component_with(root, package, &[], folders, file);
}

/// The same with features of the crate.
pub fn component_with(root: &Path, package: &str, features: &[&str], folders: &[&str], file: &str) {
    if let Err(message) = build(root, package, features, folders, file) {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build(root: &Path, package: &str, features: &[&str], folders: &[&str], file: &str) -> Result<(), String> {
    for input in INPUTS.iter().chain(folders) {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    ensure_target()?;

    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = target_folder(&out);
    compile(root, &target, package, features)?;
    let built = target
        .join(TARGET)
        .join("guest")
        .join(package.replace('-', "_"))
        .with_extension("wasm");
    fs::copy(&built, out.join(file))
        .map_err(|error| format!("no component at {}: {error}", built.display()))?;
    Ok(())
}

/// One folder beside those of the profiles: with the outer one the inner cargo would wait for its lock for ever,
/// and with one per profile all would be compiled again for each.
fn target_folder(out: &Path) -> PathBuf {
    let outer = out
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    outer.unwrap_or(out).join("guests")
}

fn compile(root: &Path, target: &Path, package: &str, features: &[&str]) -> Result<(), String> {
    let mut cargo = clean(&variable("CARGO")?);
    cargo.current_dir(root).env("CARGO_TARGET_DIR", target);
    cargo.args([
        "build",
        "--locked",
        "--profile",
        "guest",
        "--target",
        TARGET,
        "--package",
        package,
        "--features",
        &features.join(","),
    ]);
    let status = cargo
        .status()
        .map_err(|error| format!("cargo can't be started for {package}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "{package} does not compile for {TARGET} ({status}); what the compiler said stands above"
    ))
}

/// Where toolchains come with all targets, this asks once and does nothing.
fn ensure_target() -> Result<(), String> {
    if has_target()? {
        return Ok(());
    }
    let added = clean("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) && has_target()? {
        return Ok(());
    }
    Err(format!(
        "the guests need the target {TARGET}, which is not installed\ntype: rustup target add {TARGET}"
    ))
}

fn has_target() -> Result<bool, String> {
    let rustc = variable("RUSTC")?;
    let output = clean(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let output = output.map_err(|error| format!("{rustc} can't be started: {error}"))?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// A command without what the outer cargo set for this script, and without what would make the guests depend on
/// how the workspace is built: flags and wrappers, as those of `cargo clippy`, compile them again and differently.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if is_of_the_outer_build(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_of_the_outer_build(name: &OsStr) -> bool {
    const NAMES: [&str; 18] = [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "CLIPPY_ARGS",
        "DEBUG",
        "HOST",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "TARGET",
    ];
    const PREFIXES: [&str; 6] = [
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "DEP_",
    ];
    let name = name.to_string_lossy();
    NAMES.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo gave no usable {name}: {error}"))
}
