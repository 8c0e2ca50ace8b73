//! The source's own progress note: one JSON document per pipeline, kept by the host.
//!
//! The note is advice. What the table holds is decided by the table, so a source has to work without it.
//! Outside of a host, as in a native test, it is kept per thread.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, json};

/// The note saved last, or none. May be called at any time.
///
/// # Errors
///
/// [`Error::Malformed`](crate::Error::Malformed) for a note that is not a `T`, or that has a number with more digits than
/// `T` keeps, with the note; else what the host answers.
pub fn load<T: Serialize + DeserializeOwned>() -> Result<Option<T>> {
    load_text()?
        .map(|note| json::read("progress note", &note))
        .transpose()
}

/// Replaces the note. Only inside `commit`; at most 64 KiB of JSON; durable when it returns.
///
/// # Errors
///
/// What the host answers, for example when it is called anywhere else.
pub fn save<T: Serialize>(progress: &T) -> Result<()> {
    save_text(&json::write("progress note", progress)?)
}

#[cfg(target_family = "wasm")]
use in_host::{load_text, save_text};

#[cfg(target_family = "wasm")]
mod in_host {
    use crate::Result;
    use crate::bindings::generated::sandbar::connector::progress_note;

    pub(super) fn load_text() -> Result<Option<String>> {
        Ok(progress_note::load()?)
    }

    pub(super) fn save_text(note: &str) -> Result<()> {
        Ok(progress_note::save(note)?)
    }
}

#[cfg(not(target_family = "wasm"))]
use native::{load_text, save_text};

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::cell::RefCell;

    use crate::Result;

    thread_local! {
        static NOTE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    pub(super) fn load_text() -> Result<Option<String>> {
        Ok(NOTE.with_borrow(Clone::clone))
    }

    pub(super) fn save_text(note: &str) -> Result<()> {
        NOTE.set(Some(note.to_owned()));
        Ok(())
    }
}
