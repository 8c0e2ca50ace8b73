//! The exactly-once protocol between a [`Source`] and a [`Sink`].
//!
//! ```text
//! trigger -> plan -> read (one task per partition) -> stage -> commit -> acknowledge
//! ```
//!
//! [`Pipeline`] is the whole of it. [`Reader`] is its reading alone, for programs with other uses for the rows.
//!
//! The sink's commit is the one point of truth: rows, batch id and end offset become durable in one step,
//! or none of them does. Everything before it leaves garbage at worst, everything after it is advice. So a
//! start has nothing to reconcile. It asks the sink for the last committed batch and its end offset,
//! acknowledges that end once more, and plans from there. Nothing has to be read the same way twice.
//!
//! Where a table can't carry the offset, an entry of the offset log is written before the commit, and the
//! batch number in the table says whether it counts: see [`OffsetEntry`]. Where neither place knows the
//! offset of a committed batch the pipeline refuses to guess.
//!
//! Invariant: this crate knows neither wasm nor Delta, so that the protocol is proven with fakes in
//! milliseconds.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod backoff;
mod batch_writer;
mod checkpoint;
mod clock;
mod commit;
mod error;
mod file;
mod folder;
mod json;
mod keys;
mod micro_batch;
mod observer;
mod offset;
mod options;
mod owner;
mod pipeline;
mod plan;
mod reader;
mod remedy;
mod retry;
mod schedule;
mod sink;
mod sink_factory;
mod source;
mod source_identity;
mod start;
mod stop;
mod stopwatch;
mod succession;
mod swap;
#[cfg(test)]
mod tests;
mod trigger;
mod turns;
mod versions;
mod visited_offsets;

pub use backoff::Backoff;
pub use checkpoint::{CheckpointLocation, OffsetEntry};
pub use clock::{Clock, SystemClock};
pub use error::{CheckpointError, PipelineError, Rollback, SinkError, SourceError, with_causes};
pub use file::{is_ours, is_ours_alone, look_at_file, open_file, read_beginning, read_file, read_text_file};
pub use folder::{create_folder, prune_folder};
pub use json::{Json, Number};
pub use micro_batch::{ComponentId, MicroBatch};
pub use observer::{BatchReport, NoopObserver, PipelineObserver, StepDurations};
pub use offset::{BatchId, Offset, Partition};
pub use options::{PipelineOptions, ReaderOptions, RunSummary, StepOutcome};
pub use owner::CheckpointOwner;
pub use pipeline::Pipeline;
pub use reader::Reader;
pub use remedy::{Remedy, ResetEffect};
pub use retry::RetryPolicy;
pub use sandbar_policy::is_unprintable;
pub use schedule::Schedule;
pub use sink::{CommitReceipt, Committed, Sink, Stage, WriteStats};
pub use sink_factory::{CommitRecord, SinkCheck, SinkFactory, SinkState};
pub use source::{Batch, Batches, ReadLimit, Source, SourceUsage};
pub use source_identity::SourceIdentity;
pub use start::Start;
pub use stop::{StopSignal, Stopper};
pub use succession::{
    Probation, Successor, SuccessorSender, Successors, SwapEvent, SwapNote, Takeover, successors,
};
pub use swap::can_go_on;
pub use trigger::Trigger;
pub use turns::{Turn, Turns};
pub use versions::{
    OnProbation, RefusedVersion, StartVersion, SwapOrder, SwapOutcome, SwapRecord, Version, VersionRecord,
};
