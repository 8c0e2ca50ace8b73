//! Sources that are read by cursors: each page of the remote names the next one.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::http::Response;
use crate::{Error, ReadLimit, Result, Rows, Schema, Selection};

/// A position in a remote that is read by cursors: a page, and the rows of it that are taken.
///
/// The last page has no cursor to a next one, but may grow. So the position stays on it, and the next reading asks for it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CursorOffset {
    /// The cursor of the page; none for the first one.
    pub cursor: Option<String>,
    /// Rows of the page that lie before the position.
    pub taken: u64,
}

/// Reads pages from a position on, as [`SequentialSource::read_from`](crate::SequentialSource::read_from) wants them: within the
/// limit, which may end in the middle of a page, and with the offset after each page's rows.
///
/// ```
/// use sandbar_sdk::cursor::{CursorOffset, CursorPages};
/// # use sandbar_sdk::http::{Client, Request, Response, Url};
/// # use sandbar_sdk::{Error, ReadLimit, Result, Rows, Schema, Selection};
///
/// # fn read_from<'a>(client: &'a dyn Client, url: &'a Url, start: CursorOffset, limit: ReadLimit)
/// #     -> Result<impl Iterator<Item = Result<(Rows, CursorOffset)>> + 'a> {
/// let schema = Schema::text("id bigint, name string");
/// let fetch = |cursor: Option<&str>| {
///     let mut url = url.clone();
///     cursor.map(|cursor| url.query_pairs_mut().append_pair("cursor", cursor).finish().as_str().len());
///     let page = client.send(&Request::get(url))?.wait()?;
///     match page.status() {
///         410 => Err(Error::offset_lost(format_args!("{} gave 410: the cursor has expired", page.request()))),
///         _ => page.error_for_status(),
///     }
/// };
/// Ok(CursorPages::new(start, limit, schema, Selection::at("/items"), "/next", fetch))
/// # }
/// ```
pub struct CursorPages<F> {
    fetch: F,
    schema: Schema,
    rows: Selection,
    next: String,
    position: CursorOffset,
    left: u64,
    seen: HashSet<Option<String>>,
    is_done: bool,
}

impl<F: FnMut(Option<&str>) -> Result<Response>> CursorPages<F> {
    /// Pages from `start` on. `rows` selects the rows of a page, `next` is the JSON Pointer to the cursor of the next page, which is
    /// absent, null or empty on the last one, and `fetch` asks for the page of a cursor. It gives
    /// [`Error::OffsetLost`] where the remote no longer knows the cursor.
    pub fn new(
        start: CursorOffset,
        limit: ReadLimit,
        schema: Schema,
        rows: Selection,
        next: impl Into<String>,
        fetch: F,
    ) -> Self {
        Self {
            fetch,
            schema,
            rows,
            next: next.into(),
            position: start,
            left: limit.max_rows.unwrap_or(u64::MAX),
            seen: HashSet::new(),
            is_done: false,
        }
    }

    /// The rows of the next page that has some, and the offset after them.
    fn advance(&mut self) -> Result<Option<(Rows, CursorOffset)>> {
        while !self.is_done && self.left > 0 {
            let CursorOffset { cursor, taken } = self.position.clone();
            let page = (self.fetch)(cursor.as_deref())?;
            if !self.seen.insert(cursor.clone()) {
                return Err(Error::malformed(format_args!(
                    "{} is a page that came before it: the cursors go round in a circle",
                    page.request()
                )));
            }
            let Some(count) = page.count(&self.rows.path)? else {
                let (request, path) = (page.request(), &self.rows.path);
                return Err(Error::malformed(format_args!(
                    "{request} gave nothing at {path}, where its rows are to be"
                )));
            };
            if count < taken {
                return Err(Error::offset_lost(format_args!(
                    "{} gave {count} rows, and {taken} of them were read before",
                    page.request()
                )));
            }
            let next = match page.value(&self.next)? {
                Some(text) => cursor_of(&text, &page)?,
                None => None,
            };
            let wanted = (count - taken).min(self.left);
            self.left -= wanted;
            let is_whole = taken + wanted == count;
            self.is_done = !is_whole || next.is_none();
            self.position = match next {
                Some(_) if is_whole => CursorOffset {
                    cursor: next,
                    taken: 0,
                },
                _ => CursorOffset {
                    cursor,
                    taken: taken + wanted,
                },
            };
            if wanted > 0 {
                let selection = self.rows.clone().skip(taken).max_rows(wanted);
                let rows = page.rows(&self.schema, &selection)?;
                return Ok(Some((rows.into(), self.position.clone())));
            }
        }
        Ok(None)
    }
}

impl<F: FnMut(Option<&str>) -> Result<Response>> Iterator for CursorPages<F> {
    type Item = Result<(Rows, CursorOffset)>;

    fn next(&mut self) -> Option<Self::Item> {
        let advanced = self.advance();
        self.is_done |= advanced.is_err();
        advanced.transpose()
    }
}

/// A cursor may be text or a number.
fn cursor_of(json: &str, page: &Response) -> Result<Option<String>> {
    let cursor = match serde_json::from_str(json) {
        Ok(serde_json::Value::Null) => return Ok(None),
        Ok(serde_json::Value::String(cursor)) => cursor,
        // As it is written: numbers have more digits than a float keeps.
        Ok(serde_json::Value::Number(_)) => json.to_owned(),
        _ => {
            let request = page.request();
            return Err(Error::malformed(format_args!(
                "{request} gave a cursor that is neither text nor a number"
            )));
        }
    };
    Ok(Some(cursor).filter(|cursor| !cursor.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::http::Request;

    /// Pages of three rows over so many; the page after `fails_at` is gone.
    fn pages(rows: u64, start: CursorOffset, max: Option<u64>) -> Result<Vec<(usize, CursorOffset)>> {
        let fetch = move |cursor: Option<&str>| {
            let first: u64 = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let end = (first + 3).min(rows);
            let items: Vec<_> = (first..end).map(|id| serde_json::json!({ "id": id })).collect();
            let next = (end < rows).then(|| end.to_string());
            let body = serde_json::json!({"items": items, "next": next}).to_string();
            let request = Request::get(format!("http://api/feed?cursor={first}").parse().unwrap());
            Ok(Response::new(&request, 200).with_body(body))
        };
        let limit = ReadLimit {
            max_rows: max,
            max_bytes: None,
        };
        let schema = Schema::text("id bigint");
        let pages = CursorPages::new(
            start,
            limit,
            schema.clone(),
            Selection::at("/items"),
            "/next",
            fetch,
        );
        pages
            .map(|page| {
                let (rows, end) = page?;
                Ok((rows.batch(&schema)?.num_rows(), end))
            })
            .collect()
    }

    fn at(cursor: &str, taken: u64) -> CursorOffset {
        CursorOffset {
            cursor: Some(cursor.to_owned()).filter(|cursor| !cursor.is_empty()),
            taken,
        }
    }

    #[test]
    fn the_position_stays_on_the_last_page_which_may_grow() {
        assert_eq!(
            pages(7, at("", 0), None).unwrap(),
            [(3, at("3", 0)), (3, at("6", 0)), (1, at("6", 1))]
        );
        assert_eq!(pages(7, at("6", 1), None).unwrap(), []);
        assert_eq!(pages(8, at("6", 1), None).unwrap(), [(1, at("6", 2))]);
        assert_eq!(
            pages(10, at("6", 1), None).unwrap(),
            [(2, at("9", 0)), (1, at("9", 1))]
        );
        assert_eq!(pages(0, at("", 0), None).unwrap(), []);
    }

    #[test]
    fn a_limit_ends_within_a_page_and_reading_on_gives_the_rest() {
        for limit in 1..=8 {
            let (mut position, mut total) = (at("", 0), 0);
            loop {
                let read = pages(7, position.clone(), Some(limit)).unwrap();
                let rows: usize = read.iter().map(|(rows, _)| rows).sum();
                assert!(rows as u64 <= limit);
                let Some((_, end)) = read.last() else { break };
                (position, total) = (end.clone(), total + rows);
            }
            assert_eq!(total, 7, "{limit}");
        }
    }

    #[test]
    fn a_page_with_fewer_rows_than_were_read_is_lost_and_a_circle_is_noticed() {
        assert!(matches!(pages(7, at("6", 2), None), Err(Error::OffsetLost(_))));
        let circle = |cursor: Option<&str>| {
            let request = Request::get(
                format!("http://api/feed?cursor={}", cursor.unwrap_or(""))
                    .parse()
                    .unwrap(),
            );
            let next = if cursor == Some("b") { "a" } else { "b" };
            let body = format!("{{\"items\": [{{\"id\": 1}}], \"next\": \"{next}\"}}");
            Ok(Response::new(&request, 200).with_body(body))
        };
        let schema = Schema::text("id bigint");
        let pages = CursorPages::new(
            at("a", 0),
            ReadLimit::default(),
            schema,
            Selection::at("/items"),
            "/next",
            circle,
        );
        let last = pages.take(10).last().unwrap().map(drop);
        assert!(last.unwrap_err().to_string().contains("go round in a circle"));
    }

    #[test]
    fn an_answer_without_rows_is_no_last_page() {
        let error = |_: Option<&str>| {
            let request = Request::get("http://api/feed".parse().unwrap());
            Ok(Response::new(&request, 200).with_body("{\"error\": \"try later\"}"))
        };
        let schema = Schema::text("id bigint");
        let mut pages = CursorPages::new(
            at("", 0),
            ReadLimit::default(),
            schema,
            Selection::at("/items"),
            "/next",
            error,
        );
        assert!(matches!(pages.next(), Some(Err(Error::Malformed(_)))));
        assert!(pages.next().is_none());
    }

    #[test]
    fn a_cursor_may_be_a_number_of_any_length() {
        let request = Request::get("http://api/feed".parse().unwrap());
        let page = Response::new(&request, 200);
        let cursor = |json: &str| cursor_of(json, &page);
        assert_eq!(
            cursor("12345678901234567890123").unwrap().as_deref(),
            Some("12345678901234567890123")
        );
        assert_eq!(cursor("\"\"").unwrap(), None);
        assert_eq!(cursor("null").unwrap(), None);
        assert!(cursor("{}").is_err());
    }
}
