//! What is asked of the API, and what it says exists.

use std::cell::Cell;
use std::rc::Rc;

use sandbar_sdk::http::{Client, Pending, Request, Response, Url};
use sandbar_sdk::{Error, Result};

/// More rows than any API has: one that still gives rows this far gives the same ones over and over.
const MAX_ROWS: u64 = 1 << 48;

/// The comments of one URL.
#[derive(Clone)]
pub(crate) struct Api {
    client: Rc<dyn Client>,
    url: Url,
    /// It was asked for a row behind its last one, and gave none.
    trusted: Rc<Cell<bool>>,
}

/// A page of rows, and what the API says of all of them.
pub(crate) struct Counted {
    /// Rows on the page.
    pub(crate) rows: u64,
    /// All rows that exist, where the API tells.
    pub(crate) total: Option<u64>,
    /// The id of the first one.
    first: Option<String>,
}

impl Api {
    pub(crate) fn new(client: Rc<dyn Client>, mut url: Url) -> Result<Self> {
        let wrong = |what: &str| Err(Error::invalid_option("api_url", what));
        if !matches!(url.scheme(), "http" | "https") {
            return wrong("is neither an http nor an https URL");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong(
                "has a user or a password, which belong into [[source.credentials]] of the pipeline",
            );
        }
        if url
            .query_pairs()
            .any(|(name, _)| matches!(&*name, "_start" | "_limit"))
        {
            return wrong("has a _start or a _limit of its own");
        }
        url.set_fragment(None);
        let trusted = Rc::default();
        Ok(Self { client, url, trusted })
    }

    /// Asks for `limit` rows from `start` on.
    pub(crate) fn send(&self, start: u64, limit: u64) -> Result<Pending> {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair("_start", &start.to_string())
            .append_pair("_limit", &limit.to_string());
        self.client
            .send(&Request::get(url).header("accept", "application/json"))
    }

    /// Counts the rows that exist from `start` on, up to `limit` of them.
    pub(crate) fn count(&self, start: u64, limit: u64) -> Result<Counted> {
        let response = self.send(start, limit)?.wait()?.error_for_status()?;
        let rows = response.count("")?.unwrap_or_default();
        refuse_more(&response, rows, limit)?;
        Ok(Counted {
            rows,
            total: total(&response)?,
            first: first_id(&response)?,
        })
    }

    /// The end of what exists from `start` on, or `most` when there is more. `start` when there is nothing.
    pub(crate) fn latest(&self, start: u64, most: u64) -> Result<u64> {
        if most <= start {
            return Ok(start);
        }
        let counted = self.count(start, 1)?;
        let exist = match counted.total {
            Some(total) if total <= start && counted.rows > 0 => return Err(self.too_many(total, start)),
            Some(total) => total,
            None if counted.rows == 0 => return self.nothing_from(start),
            None => return self.probe(start, most, &counted),
        };
        if exist < start {
            return Err(self.lost(start, &format!("only {exist} rows exist")));
        }
        if exist > start && !self.trusted.get() {
            self.verify(start, exist, &counted)?;
            self.trusted.set(true);
        }
        Ok(exist.min(most))
    }

    /// Asks once, of an API that has new rows, for the row behind the last one. Who has it ignores where a page is to
    /// begin, or gives a total that is none: the size of the page, or the rows so far.
    fn verify(&self, start: u64, total: u64, counted: &Counted) -> Result<()> {
        let mut end = total;
        for limit in [1, 2, 4] {
            let behind = self.count(end, limit)?;
            if behind.rows == 0 {
                return Ok(());
            }
            self.differ(start, counted, end, &behind)?;
            end = match behind.total {
                // It has grown meanwhile, by more than could be seen.
                Some(told) if told > end + behind.rows => return Ok(()),
                Some(told) if told == end + behind.rows => told,
                told => return Err(self.too_many(told.unwrap_or(total), end)),
            };
        }
        let url = &self.url;
        Err(Error::malformed(format_args!(
            "{url} says that as many rows exist as it was asked for, and always has one more: last {end}, at first {total}"
        )))
    }

    /// A row has one place.
    fn differ(&self, one: u64, counted: &Counted, other: u64, again: &Counted) -> Result<()> {
        match &counted.first {
            Some(id) if one != other && again.first.as_ref() == Some(id) => {
                let (url, id) = (&self.url, id.chars().take(40).collect::<String>());
                Err(Error::malformed(format_args!(
                    "{url} gives the same row, with the id {id:?}, for _start={one} and for _start={other}: it ignores \
                     where a page is to begin"
                )))
            }
            _ => Ok(()),
        }
    }

    fn too_many(&self, total: u64, row: u64) -> Error {
        let url = &self.url;
        Error::malformed(format_args!(
            "{url} says that {total} rows exist and has row {row}"
        ))
    }

    /// Without a total, an empty page means the end only if the row before it is there.
    fn nothing_from(&self, start: u64) -> Result<u64> {
        if start == 0 || self.exists(start - 1)? {
            return Ok(start);
        }
        Err(self.lost(start, &format!("row {} does not exist", start - 1)))
    }

    /// Without a total, finds the end by asking for single rows: the last one that may be taken, then ever
    /// further from `start`, then in between. Row `start` exists, and `most` lies behind it.
    fn probe(&self, start: u64, most: u64, counted: &Counted) -> Result<u64> {
        let exists = |row: u64| {
            let found = self.count(row, 1)?;
            self.differ(start, counted, row, &found)?;
            Ok::<_, Error>(found.rows > 0)
        };
        let bound = most.min(start.saturating_add(MAX_ROWS));
        let (mut there, mut gone, mut step) = (start, bound, 1);
        if bound == most {
            if most - start == 1 || exists(most - 1)? {
                return Ok(most);
            }
            gone = most - 1;
        }
        while step < gone - there {
            if exists(there + step)? {
                (there, step) = (there + step, step * 2);
            } else {
                gone = there + step;
            }
        }
        while gone - there > 1 {
            let middle = there + (gone - there) / 2;
            if exists(middle)? {
                there = middle;
            } else {
                gone = middle;
            }
        }
        if gone < bound || bound == most {
            return Ok(gone);
        }
        Err(Error::malformed(format_args!(
            "{} has rows without end: there is one at {there}",
            self.url
        )))
    }

    fn exists(&self, row: u64) -> Result<bool> {
        Ok(self.count(row, 1)?.rows > 0)
    }

    fn lost(&self, start: u64, why: &str) -> Error {
        Error::offset_lost(format_args!("offset {start} is gone at {}: {why}", self.url))
    }
}

/// The id of the first row, where it is a number or a text.
pub(crate) fn first_id(response: &Response) -> Result<Option<String>> {
    let id = response.value("/0/id")?;
    Ok(id.filter(|id| id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit())))
}

/// An API that gives more rows than it was asked for is another one.
pub(crate) fn refuse_more(response: &Response, rows: u64, wanted: u64) -> Result<()> {
    match rows > wanted {
        true => Err(Error::malformed(format_args!(
            "{} gave {rows} rows, more than the {wanted} that were asked for",
            response.request()
        ))),
        false => Ok(()),
    }
}

fn total(response: &Response) -> Result<Option<u64>> {
    let Some(value) = response.header("x-total-count") else {
        return Ok(None);
    };
    let total = value.parse().map_err(|_| {
        let request = response.request();
        Error::malformed(format_args!(
            "{request} gave an X-Total-Count of \"{value}\", which is no number of rows"
        ))
    })?;
    Ok(Some(total))
}
