//! Write a Sandbar source.
//!
//! A connector is one type. It says what it is with [`Connector`] and how it is read with [`Source`], where the
//! end of a range is known before it is read, or with [`SequentialSource`], where it is not; [`export!`] makes
//! it a component. This is all of one, for a remote that numbers its events:
//!
//! ```
//! use std::rc::Rc;
//!
//! use sandbar_sdk::http::{Client, Request, Response, Url};
//! use sandbar_sdk::{Connector, ReadLimit, Result, Rows, Schema, Selection, Source};
//! use serde::{Deserialize, Serialize};
//!
//! struct Events {
//!     url: Url,
//!     client: Rc<dyn Client>,
//! }
//!
//! #[derive(Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Options {
//!     /// Where the events are.
//!     #[schemars(with = "String", url)]
//!     url: Url,
//! }
//!
//! #[derive(Serialize, Deserialize, Default, PartialEq)]
//! struct Offset {
//!     seen: u64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Partition {
//!     from: u64,
//!     to: u64,
//! }
//!
//! impl Connector for Events {
//!     const NAME: &'static str = "events";
//!     const VERSION: &'static str = env!("CARGO_PKG_VERSION");
//!     const SUMMARY: &'static str = "Numbered events of a remote";
//!     type Options = Options;
//!     type Offset = Offset;
//!
//!     fn open(_stream: &str, options: Options, client: Rc<dyn Client>) -> Result<Self> {
//!         Ok(Self { url: options.url, client })
//!     }
//!
//!     fn check(&self) -> Result<()> {
//!         self.get("count", "").map(drop)
//!     }
//!
//!     fn schema(&self) -> Result<Schema> {
//!         Ok(Schema::text("number bigint not null, what string"))
//!     }
//! }
//!
//! impl Source for Events {
//!     type Partition = Partition;
//!
//!     fn latest_offset(&self, start: &Offset, _: Option<u64>) -> Result<Offset> {
//!         let seen: u64 = self.get("count", "")?.json()?;
//!         Ok(Offset { seen: seen.max(start.seen) })
//!     }
//!
//!     fn batch_end(&self, start: &Offset, latest: &Offset, limit: ReadLimit) -> Result<Offset> {
//!         let most = start.seen.saturating_add(limit.max_rows.unwrap_or(u64::MAX));
//!         Ok(Offset { seen: latest.seen.min(most) })
//!     }
//!
//!     fn partitions(&self, start: &Offset, end: &Offset) -> Result<Vec<Partition>> {
//!         let starts = (start.seen..end.seen).step_by(1000);
//!         Ok(starts.map(|from| Partition { from, to: end.seen.min(from + 1000) }).collect())
//!     }
//!
//!     fn read(&self, Partition { from, to }: Partition) -> Result<impl Iterator<Item = Result<Rows>>> {
//!         let page = self.get("rows", &format!("from={from}&to={to}"))?;
//!         let rows = page.rows(&self.schema()?, &Selection::default())?;
//!         Ok(std::iter::once(Ok(rows.into())))
//!     }
//! }
//!
//! impl Events {
//!     fn get(&self, path: &str, query: &str) -> Result<Response> {
//!         let mut url = self.url.clone();
//!         url.set_path(path);
//!         url.set_query(Some(query));
//!         self.client.send(&Request::get(url))?.wait()?.error_for_status()
//!     }
//! }
//!
//! sandbar_sdk::export!(Events);
//! ```
//!
//! Build it as a `cdylib` for `wasm32-wasip2`. Everywhere else [`export!`] is nothing, so that the same crate is
//! tested natively; [`http::Client`] is where a test puts a remote of its own.

#[doc(hidden)]
pub mod adapter;
#[cfg(all(feature = "arrow", any(target_family = "wasm", test)))]
mod arrow_ipc;
#[cfg(target_family = "wasm")]
mod bindings;
mod connector;
pub mod cursor;
mod error;
#[cfg(target_family = "wasm")]
mod exports;
pub mod http;
mod json;
pub mod log;
pub mod options;
pub mod progress_note;
mod rows;
mod seen_pages;

pub use connector::{Connector, ReadLimit, SequentialSource, Source, Stream};
pub use error::{Error, Result};
pub use rows::{HeldRows, Layout, Rows, Schema, Selection};
pub use seen_pages::SeenPages;

/// Arrow, for sources that make record batches themselves.
#[cfg(feature = "arrow")]
pub mod arrow {
    pub use arrow_array::RecordBatch;
    pub use arrow_schema::{DataType, Field, Schema, SchemaRef};
}

/// Makes a component of a [`Source`], or with `sequential` of a [`SequentialSource`].
///
/// Once in a crate. On targets other than WebAssembly it is nothing.
///
/// ```text
/// sandbar_sdk::export!(Events);
/// sandbar_sdk::export!(sequential Events);
/// ```
#[macro_export]
macro_rules! export {
    (sequential $source:ty) => {
        $crate::__export_kind!($crate::adapter::Sequential<$source>);
    };
    ($source:ty) => {
        $crate::__export_kind!($crate::adapter::Bounded<$source>);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_kind {
    ($kind:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            type Exported = $crate::__private::Exported<$kind>;
    $crate::__private::generated::export_source!(Exported with_types_in $crate::__private::generated);
        };
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_kind {
    ($kind:ty) => {};
}

#[doc(hidden)]
#[cfg(target_family = "wasm")]
pub mod __private {
    pub use crate::bindings::generated;
    pub use crate::exports::Exported;
}
