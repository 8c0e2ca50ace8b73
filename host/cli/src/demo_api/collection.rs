//! The comments that are there: made ones, and posted ones between them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::text;

/// All comments, in the order of their appearance. The one at position P, counted from 0, has the id P + 1,
/// unless it was posted with another one.
#[derive(Debug)]
pub(super) struct Collection {
    made: AtomicU64,
    grow_per_second: f64,
    start: Instant,
    posted_count: AtomicU64,
    posted: Mutex<BTreeMap<u64, Posted>>,
}

/// A comment that was posted, by its position.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    /// The id, as it stands in a path.
    pub(super) id: String,
    /// The comment, pretty-printed.
    pub(super) json: String,
}

impl Collection {
    pub(super) fn new(rows: u64, grow_per_second: f64) -> Self {
        Self {
            made: AtomicU64::new(rows),
            grow_per_second,
            start: Instant::now(),
            posted_count: AtomicU64::new(0),
            posted: Mutex::default(),
        }
    }

    pub(super) fn add(&self, count: u64) {
        self.made.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn rows(&self) -> u64 {
        // A cast from float saturates, and makes 0 of what is negative or no number.
        let grown = (self.start.elapsed().as_secs_f64() * self.grow_per_second) as u64;
        let made = self.made.load(Ordering::Relaxed);
        made.saturating_add(grown)
            .saturating_add(self.posted_count.load(Ordering::Acquire))
    }

    /// Adds a comment, with an id when it has none. Nothing when its id is taken.
    pub(super) fn post(&self, mut comment: Map<String, Value>) -> Option<Posted> {
        let mut posted = self.posted();
        let position = self.rows();
        let id = match comment.get("id") {
            None | Some(Value::Null) => {
                comment.insert("id".to_owned(), Value::from(position + 1));
                (position + 1).to_string()
            }
            Some(Value::String(id)) => id.clone(),
            Some(id) => id.to_string(),
        };
        if find(&posted, &id, position).is_some() {
            return None;
        }
        let json = format!("{:#}", Value::Object(comment));
        let new = Posted { id, json };
        posted.insert(position, new.clone());
        self.posted_count.fetch_add(1, Ordering::Release);
        Some(new)
    }

    /// The comment with this id, pretty-printed.
    pub(super) fn comment(&self, id: &str) -> Option<String> {
        find(&self.posted(), id, self.rows())
    }

    /// Appends the comments at these positions as elements of an array. `first` says that nothing stands
    /// before them.
    pub(super) fn write(&self, out: &mut Vec<u8>, positions: Range<u64>, first: bool) {
        let mut next = positions.start;
        if self.posted_count.load(Ordering::Acquire) > 0 {
            for (position, comment) in self.posted().range(positions.clone()) {
                text::write_comments(out, next + 1..position + 1, first && next == positions.start);
                if !(first && *position == positions.start) {
                    out.extend_from_slice(b",\n");
                }
                out.extend_from_slice(b"  ");
                out.extend_from_slice(comment.json.replace('\n', "\n  ").as_bytes());
                next = position + 1;
            }
        }
        text::write_comments(out, next + 1..positions.end + 1, first && next == positions.start);
    }

    fn posted(&self) -> MutexGuard<'_, BTreeMap<u64, Posted>> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(posted: &BTreeMap<u64, Posted>, id: &str, rows: u64) -> Option<String> {
    if let Some(comment) = posted.values().find(|comment| comment.id == id) {
        return Some(comment.json.clone());
    }
    let number: u64 = id.parse().ok().filter(|number: &u64| number.to_string() == id)?;
    let position = number.checked_sub(1).filter(|position| *position < rows)?;
    (!posted.contains_key(&position)).then(|| text::comment(number))
}
