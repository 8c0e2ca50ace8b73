//! The component.

use std::borrow::Cow;
use std::rc::Rc;

use sandbar_sdk::http::{Client, Request, Response, Url};
use sandbar_sdk::{Connector, Error, ReadLimit, Result, Rows, Schema, Selection, Source, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Change, Flaw, MARK, ROOM};

/// Rows that one look for an end asks for at most.
const LOOK: u64 = 10_000;

/// A test writes here, in the component's bytes: see [`MARK`].
static CHANGE: [u8; ROOM] = room();

const fn room() -> [u8; ROOM] {
    let mut room = [b' '; ROOM];
    let mark = MARK.as_bytes();
    let mut at = 0;
    while at < mark.len() {
        room[at] = mark[at];
        at += 1;
    }
    room
}

fn change() -> Change {
    let room = std::hint::black_box(&CHANGE);
    let text = String::from_utf8_lossy(&room[MARK.len()..]);
    serde_json::from_str(text.trim()).unwrap_or_default()
}

/// The options of the component that the program brings along.
#[derive(Clone, Deserialize, JsonSchema)]
struct Options {
    #[schemars(with = "String")]
    api_url: Url,
    #[serde(default)]
    #[schemars(extend("x-sandbar-identity" = false))]
    rows_per_batch: Option<u64>,
    #[serde(default)]
    #[schemars(extend("x-sandbar-identity" = false))]
    page_size: Option<u64>,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Offset {
    current: u64,
}

struct Comments {
    client: Rc<dyn Client>,
    options: Options,
    change: Change,
}

impl Comments {
    fn most(&self, start: &Offset, rows: Option<u64>) -> u64 {
        let rows = [rows, self.options.rows_per_batch].into_iter().flatten().min();
        start.current.saturating_add(rows.unwrap_or(LOOK).min(LOOK))
    }
}

fn get(client: &dyn Client, url: &Url, start: u64, limit: u64) -> Result<Response> {
    let mut url = url.clone();
    url.query_pairs_mut()
        .append_pair("_start", &start.to_string())
        .append_pair("_limit", &limit.to_string());
    client.send(&Request::get(url))?.wait()?.error_for_status()
}

impl Connector for Comments {
    const NAME: &'static str = "comments";
    const VERSION: &'static str = "2.0.0";
    const SUMMARY: &'static str = "Comments of a JSONPlaceholder-like API, for tests";
    const STREAMS: &'static [Stream] = &[Stream::keyed("comments", "", &[Cow::Borrowed("id")])];

    type Options = Options;
    type Offset = Offset;

    fn open(_: &str, options: Options, client: Rc<dyn Client>) -> Result<Self> {
        let change = change();
        match change.flaw {
            Some(Flaw::Open) => Err(Error::internal("it does not open")),
            _ => Ok(Self {
                client,
                options,
                change,
            }),
        }
    }

    fn check(&self) -> Result<()> {
        get(&*self.client, &self.options.api_url, 0, 1).map(drop)
    }

    fn schema(&self) -> Result<Schema> {
        let columns = self.change.columns.as_deref();
        Ok(Schema::text(
            columns.unwrap_or("id int, name string, email string, body string"),
        ))
    }
}

impl Source for Comments {
    type Partition = (u64, u64);

    fn latest_offset(&self, start: &Offset, max_rows: Option<u64>) -> Result<Offset> {
        if self.change.flaw == Some(Flaw::Lost) {
            return Err(Error::offset_lost("it knows no such offset"));
        }
        let limit = match max_rows {
            Some(_) => self.most(start, max_rows) - start.current,
            None => LOOK,
        };
        let rows = get(&*self.client, &self.options.api_url, start.current, limit)?.count("")?;
        Ok(Offset {
            current: start.current + rows.unwrap_or_default(),
        })
    }

    fn batch_end(&self, start: &Offset, latest: &Offset, limit: ReadLimit) -> Result<Offset> {
        Ok(Offset {
            current: match self.change.flaw {
                Some(Flaw::Back) => start.current.saturating_sub(5),
                Some(Flaw::Stays) => start.current,
                _ => latest.current.min(self.most(start, limit.max_rows)),
            },
        })
    }

    fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<(u64, u64)>> {
        let (start, end) = (start.current, end.current);
        let middle = start + end.saturating_sub(start) / 2;
        let parts = [(start, middle), (middle, end)];
        Ok(parts.into_iter().filter(|(from, to)| from < to).collect())
    }

    fn read(&self, (mut start, end): (u64, u64)) -> Result<impl Iterator<Item = Result<Rows>>> {
        let schema = self.schema()?;
        let (client, url) = (self.client.clone(), self.options.api_url.clone());
        let (flaw, size) = (
            self.change.flaw.clone(),
            self.options.page_size.unwrap_or(100).max(1),
        );
        Ok(std::iter::from_fn(move || {
            #[allow(clippy::panic, reason = "it misbehaves")]
            match flaw {
                Some(Flaw::Fail) => return Some(Err(Error::internal("it can't read"))),
                Some(Flaw::PanicFrom(row)) if end > row => panic!("its last words"),
                Some(Flaw::Endless) => loop {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                },
                _ => {}
            }
            (start < end).then(|| {
                let limit = size.min(end - start);
                let response = get(&*client, &url, start, limit)?;
                let rows = response.rows(&schema, &Selection::default())?;
                start += rows.count().max(1);
                Ok(rows.into())
            })
        }))
    }
}

sandbar_sdk::export!(Comments);
