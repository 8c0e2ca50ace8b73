//! Appends micro-batches to a Delta table, each exactly once.
//!
//! Rows go into Parquet files in the table's folder ([`DeltaStage`]), where no reader sees them. One commit then
//! adds the files and records the progress: the transaction `sandbar/<pipeline>` with the batch's number, and
//! domain metadata `sandbar.<pipeline>` with its end offset. Either all of it is in the table or none.
//!
//! ```text
//! stage -> data files            nobody sees them; orphans at worst
//! commit: compare, then put      one log entry, only if that version does not exist yet
//!   conflict -> read, compare, put again
//!   error    -> read: is it there? is it ours?
//! before and after: is the log still the one that the commit builds on? (one request for one file each)
//! ```
//!
//! Neither the format nor the kernel keeps a batch from coming twice. This crate does: it compares the
//! transaction's version on the very state of the table that it commits on, and after any error it reads the
//! table before it says what happened. Each commit has an id of its own, which distinguishes two commits of one batch.
//!
//! - Knows arrow, object_store and the Delta kernel, and nothing of sources or components.
//! - Invariant: a commit of a running pipeline reads no log, however old the table is: it asks for two files' tags.
//! - Invariant: a table that is removed, replaced or cut back while a pipeline runs gets no commit.
//! - Invariant: what runs after the commit (log checkpoints) never turns a committed batch into an error.
//! - Invariant: a column is added to a table only by the commit that brings rows with it, and may be null.
//! - Invariant: no file is written whose types differ from the table's, or with a value that its type can't hold.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bounds;
mod commit;
mod commit_resolution;
mod engine;
mod error;
mod factory;
mod file;
mod footing;
mod history;
mod layout;
mod legacy;
mod log;
mod options;
mod partition;
mod projection;
mod rows;
mod schema;
mod sink;
mod stage;
mod status;
mod store;
mod txn;
mod values;

#[cfg(test)]
mod tests;

pub use factory::{DeltaSinkFactory, WriteAccess};
pub use options::{DeltaOptions, OffsetStorage};
pub use sink::DeltaSink;
pub use stage::{DeltaStage, DeltaStaged};
