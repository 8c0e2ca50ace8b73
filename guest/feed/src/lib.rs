//! A feed that is read by cursors, as a Sandbar source: `GET {url}?size=100&cursor=...` gives
//! `{"items": [...], "next": "..."}`.

use std::rc::Rc;

use sandbar_sdk::cursor::{CursorOffset, CursorPages};
use sandbar_sdk::http::{Client, Request, Response, Url};
use sandbar_sdk::{Connector, Error, ReadLimit, Result, Rows, Schema, Selection, SequentialSource};
use schemars::JsonSchema;
use serde::Deserialize;

/// The feed of one URL.
pub struct Feed {
    client: Rc<dyn Client>,
    url: Url,
    page_size: u32,
}

/// Where the feed is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The URL of the feed.
    #[schemars(with = "String", url, regex(pattern = "^https?://"))]
    pub url: Url,
    /// Rows that one request asks for.
    #[serde(default = "page_size")]
    #[schemars(range(min = 1, max = 1_000))]
    pub page_size: u32,
}

fn page_size() -> u32 {
    100
}

impl Connector for Feed {
    const NAME: &'static str = "feed";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "A feed that is read by cursors: id, name, email, body";

    type Options = Options;
    type Offset = CursorOffset;

    fn open(_stream: &str, options: Options, client: Rc<dyn Client>) -> Result<Self> {
        let Options { url, page_size } = options;
        Ok(Self {
            client,
            url,
            page_size,
        })
    }

    fn check(&self) -> Result<()> {
        self.page(None, 1).map(drop)
    }

    fn schema(&self) -> Result<Schema> {
        Ok(Schema::text("id int, name string, email string, body string"))
    }
}

impl SequentialSource for Feed {
    fn read_from(
        &self,
        start: CursorOffset,
        limit: ReadLimit,
    ) -> Result<impl Iterator<Item = Result<(Rows, CursorOffset)>>> {
        let (schema, rows) = (self.schema()?, Selection::at("/items"));
        let fetch = |cursor: Option<&str>| self.page(cursor, self.page_size);
        Ok(CursorPages::new(start, limit, schema, rows, "/next", fetch))
    }
}

impl Feed {
    fn page(&self, cursor: Option<&str>, size: u32) -> Result<Response> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("size", &size.to_string());
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page = self.client.send(&Request::get(url))?.wait()?;
        match page.status() {
            // What this API says of a cursor that has expired.
            410 => Err(Error::offset_lost(format_args!(
                "{} gave 410: the cursor has expired",
                page.request()
            ))),
            _ => page.error_for_status(),
        }
    }
}

sandbar_sdk::export!(sequential Feed);
