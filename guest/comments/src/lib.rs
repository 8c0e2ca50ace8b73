//! The comments API as a Sandbar source.
//!
//! The API numbers its rows and gives them page by page, `GET {api_url}?_start=20&_limit=10`, as JSONPlaceholder
//! and json-server do. An offset is the number of rows before it, `{"current":20}`, so a range is known before it
//! is read: (20, 30] is the rows 20 to 29, counted from 0.
//!
//! Invariants: what exists is asked, never assumed; a partition asks for no row beyond its end; nothing but the
//! offset tells where to go on.

mod api;
mod offset;
mod options;
mod pages;

use std::borrow::Cow;
use std::rc::Rc;

use sandbar_sdk::http::Client;
use sandbar_sdk::{Connector, ReadLimit, Result, Rows, Schema, Source, Stream};

use crate::api::Api;
pub use crate::offset::{Offset, Partition};
pub use crate::options::Options;
use crate::pages::Pages;

/// The comments of one API.
pub struct Comments {
    api: Api,
    rows_per_batch: Option<u64>,
    page_size: u64,
}

impl Comments {
    /// The row at which a micro-batch ends at the latest. Who asks without a limit wants to know the end of everything:
    /// `rows_per_batch` must not hide it.
    fn most(&self, start: &Offset, max_rows: Option<u64>) -> u64 {
        let rows = max_rows.map(|max| self.rows_per_batch.map_or(max, |own| own.min(max)));
        start.current.saturating_add(rows.unwrap_or(u64::MAX))
    }
}

/// The columns of a comment. What the API leaves out is null.
fn schema() -> Schema {
    Schema::text("id int, name string, email string, body string")
}

impl Connector for Comments {
    const NAME: &'static str = "comments";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Comments of a JSONPlaceholder-like API: id, name, email, body";
    const STREAMS: &'static [Stream] = &[Stream::keyed(
        "comments",
        "One row per comment, in the order of the API",
        &[Cow::Borrowed("id")],
    )];

    type Options = Options;
    type Offset = Offset;

    fn open(_stream: &str, options: Options, client: Rc<dyn Client>) -> Result<Self> {
        #[cfg(all(target_family = "wasm", feature = "wasi-http"))]
        let client = {
            drop(client);
            Rc::new(sandbar_sdk::http::WasiHttp)
        };
        let Options {
            api_url,
            rows_per_batch,
            page_size,
        } = options;
        Ok(Self {
            api: Api::new(client, api_url)?,
            rows_per_batch: rows_per_batch.map(u64::from),
            page_size,
        })
    }

    fn check(&self) -> Result<()> {
        self.api.count(0, 1).map(drop)
    }

    fn schema(&self) -> Result<Schema> {
        Ok(schema())
    }
}

impl Source for Comments {
    type Partition = Partition;

    fn latest_offset(&self, start: &Offset, max_rows: Option<u64>) -> Result<Offset> {
        let latest = self.api.latest(start.current, self.most(start, max_rows))?;
        Ok(Offset {
            current: latest.max(start.current),
        })
    }

    fn batch_end(&self, start: &Offset, latest: &Offset, limit: ReadLimit) -> Result<Offset> {
        Ok(Offset {
            current: latest.current.min(self.most(start, limit.max_rows)),
        })
    }

    fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>> {
        offset::split(start, end, self.page_size)
    }

    fn read(&self, partition: Partition) -> Result<impl Iterator<Item = Result<Rows>>> {
        Ok(Pages::new(self.api.clone(), partition, self.page_size))
    }
}

sandbar_sdk::export!(Comments);

#[cfg(test)]
mod tests;
