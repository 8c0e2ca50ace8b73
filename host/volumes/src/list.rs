//! Folders, page by page. How much a server can make us ask and keep is bounded.

use http::Method;

use super::client::{Client, Request};
use super::error::VolumeError;
use super::reply::{self, Entry};

/// Requests of one listing. A page has a thousand entries.
const MAX_PAGES: usize = 1_000;
const MAX_ENTRIES: usize = 200_000;

/// What is left of a listing's bounds.
pub(super) struct Bounds {
    pages: usize,
    entries: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            pages: MAX_PAGES,
            entries: MAX_ENTRIES,
        }
    }
}

/// The entries of a folder; none if it is not there.
pub(super) async fn folder(
    client: &Client,
    path: &str,
    bounds: &mut Bounds,
) -> Result<Vec<Entry>, VolumeError> {
    let mut entries = vec![];
    let mut token: Option<String> = None;
    loop {
        let mut request = Request::directory(Method::GET, path);
        request.query = token.iter().map(|token| ("page_token", token.clone())).collect();
        let too_much = |what: String| Err(client.malformed(&request, &what));
        if bounds.pages == 0 {
            return too_much(format!("more than {MAX_PAGES} pages"));
        }
        bounds.pages -= 1;
        let answer = match client.ask(&request).await {
            Ok(answer) => answer,
            Err(e) if e.is_not_found() => return Ok(entries),
            Err(e) => return Err(e),
        };
        let page = reply::page(&answer.body, path).map_err(|reason| client.malformed(&request, &reason))?;
        let Some(left) = bounds.entries.checked_sub(page.entries.len()) else {
            return too_much(format!("more than {MAX_ENTRIES} entries"));
        };
        bounds.entries = left;
        entries.extend(page.entries);
        if page.next.is_none() {
            return Ok(entries);
        }
        if page.next == token {
            return too_much("the page behind a page is that page".into());
        }
        token = page.next;
    }
}
