//! Messages for the operator. They go to the host's log, with the name of the pipeline.
//!
//! Each function takes what can be shown: `log::info(format_args!("{n} rows"))` makes no string of its own.
//! Messages longer than 8 KiB are cut by the host. Outside of a host they go to standard error.

use std::fmt::Display;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every step.
    Trace,
    /// What an author wants to see.
    Debug,
    /// What an operator wants to see.
    Info,
    /// Something was odd, and handled.
    Warn,
    /// Something failed.
    Error,
}

/// Logs every step.
pub fn trace(message: impl Display) {
    log(Level::Trace, message);
}

/// Logs what an author wants to see.
pub fn debug(message: impl Display) {
    log(Level::Debug, message);
}

/// Logs what an operator wants to see.
pub fn info(message: impl Display) {
    log(Level::Info, message);
}

/// Logs something odd that was handled.
pub fn warn(message: impl Display) {
    log(Level::Warn, message);
}

/// Logs a failure.
pub fn error(message: impl Display) {
    log(Level::Error, message);
}

/// Logs one message.
pub fn log(level: Level, message: impl Display) {
    #[cfg(target_family = "wasm")]
    log_in_host(level, &message.to_string());
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?}: {message}");
}

#[cfg(target_family = "wasm")]
fn log_in_host(level: Level, message: &str) {
    use crate::bindings::generated::sandbar::connector::log;

    let level = match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::log(level, message);
}
