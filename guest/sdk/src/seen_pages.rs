use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Error, Result};

/// Pages that are remembered; what comes behind them is not compared any more.
const MAX: usize = 1 << 20;

/// Notices a page that was given before, as remotes give them that ignore where a request wants to begin, or whose
/// cursors go round in a circle.
///
/// ```
/// use sandbar_sdk::SeenPages;
///
/// let mut seen = SeenPages::default();
/// assert!(seen.check(&[1, 2, 3], "GET http://api/rows?page=1").is_ok());
/// assert!(seen.check(&[4, 5, 6], "GET http://api/rows?page=2").is_ok());
/// assert!(seen.check(&[1, 2, 3], "GET http://api/rows?page=3").is_err());
/// ```
#[derive(Debug, Default)]
pub struct SeenPages(HashSet<u64>);

impl SeenPages {
    /// Compares a page with those before it. What tells pages apart are the keys of their rows, in their order; whole
    /// rows may be the same where nothing tells them apart.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] that names the request, for a page that came before. Rows that are added and removed while
    /// they are read can move a page to where another one was, so another try may find it in order; a remote that gives
    /// it again and again makes the host give up.
    pub fn check<T: Hash + ?Sized>(&mut self, page: &T, request: &str) -> Result<()> {
        if self.0.len() >= MAX {
            return Ok(());
        }
        let mut hasher = DefaultHasher::new();
        page.hash(&mut hasher);
        if self.0.insert(hasher.finish()) {
            return Ok(());
        }
        Err(Error::unavailable(format_args!(
            "{request} gave a page that came before it: the remote ignores where a page is to begin, or its rows moved \
             while they were read"
        )))
    }
}
