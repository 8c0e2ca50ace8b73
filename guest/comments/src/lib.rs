//! The comments API as a Sandbar source.
//!
//! The API numbers its rows and gives them page by page, `GET {api_url}?_start=20&_limit=10`, as JSONPlaceholder
//! and json-server do. An offset is the number of rows before it, `{"current":20}`, so a range is known before it
//! is read: (20, 30] is the rows 20 to 29, counted from 0.
//!
//! Invariants: what exists is asked, never assumed; a partition asks for no row beyond its end; nothing but the
//! offset tells where to go on.

mod api;
mod columns;
mod json;
mod offset;
mod options;
mod pages;
mod rows;

use std::borrow::Cow;
use std::rc::Rc;

use sandbar_sdk::arrow::{RecordBatch, SchemaRef};
use sandbar_sdk::http::{Client, Host};
use sandbar_sdk::{Connector, ReadLimit, Result, Source, Stream};

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
    /// Opens the source over any client; [`Connector::open`] takes the one of the host.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOptions`](sandbar_sdk::Error::InvalidOptions) that names the option.
    pub fn over(client: Rc<dyn Client>, options: Options) -> Result<Self> {
        let Options {
            api_url,
            rows_per_batch,
            page_size,
        } = options;
        let api = Api::new(client, api_url)?;
        Ok(Self {
            api,
            rows_per_batch: rows_per_batch.map(u64::from),
            page_size,
        })
    }

    /// The most rows that a micro-batch may take. Who asks without a limit wants to know the end of everything:
    /// `rows_per_batch` must not hide it.
    fn most(&self, limit: ReadLimit) -> u64 {
        let Some(most) = limit.max_rows else {
            return u64::MAX;
        };
        self.rows_per_batch.map_or(most, |own| own.min(most))
    }
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

    fn open(_stream: &str, options: Options) -> Result<Self> {
        Self::over(Rc::new(Host), options)
    }

    fn check(&self) -> Result<()> {
        self.api.count(0, 1).map(drop)
    }

    fn schema(&self) -> SchemaRef {
        columns::schema()
    }
}

impl Source for Comments {
    type Partition = Partition;

    fn latest_offset(&self, start: &Offset, up_to: Option<&Offset>, limit: ReadLimit) -> Result<Offset> {
        let most = start.current.saturating_add(self.most(limit));
        let end = match up_to {
            Some(pinned) => pinned.current.min(most),
            None => self.api.latest(start.current, most)?,
        };
        Ok(Offset {
            current: end.max(start.current),
        })
    }

    fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>> {
        offset::split(start, end, self.page_size)
    }

    fn read(&self, partition: Partition) -> Result<impl Iterator<Item = Result<RecordBatch>> + 'static> {
        Ok(Pages::new(self.api.clone(), partition, self.page_size))
    }
}

sandbar_sdk::export!(Comments);

#[cfg(test)]
mod tests;
