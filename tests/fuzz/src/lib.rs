//! The project's fuzz targets. `tests/fuzz/run` runs them.

pub mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lets panics pass that the code under test catches itself. libFuzzer would take each for a find.
pub fn only_escaped_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Runs the target of that name. A panic that escapes it is a find.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::ALL.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("the program has the name of a target");
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        eprintln!("{name} panicked: {}", text.unwrap_or("?"));
        std::process::abort();
    }
}
