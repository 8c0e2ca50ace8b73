//! What an embedder uses, and what the `sandbar` program is made of: pipeline files, components, and
//! pipelines that run.
//!
//! ```no_run
//! # async fn run() -> Result<(), sandbar_runtime::RuntimeError> {
//! use sandbar_runtime::{NoopObserver, PipelineFile, Runtime, StopSignal, Trigger};
//!
//! let runtime = Runtime::new()?;
//! let file = PipelineFile::load("comments.toml".as_ref())?;
//! let pipeline = runtime.open(&file).await?;
//! let summary = pipeline.run(Trigger::AvailableNow, NoopObserver::shared(), StopSignal::never()).await?;
//! println!("{} rows", summary.rows);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod check;
mod check_options;
mod conditional_put;
mod config;
mod error;
mod loaded_version;
mod location;
mod nearest;
mod open;
mod place;
mod preview;
mod runtime;
mod schedule;
mod single_writer;
mod sink;
mod source_options;
mod status;
mod supervisor;
mod swap;
mod versions;

pub use check::{CheckItem, Finding};
pub use config::{
    CheckpointConfig, ConfigError, CredentialConfig, CredentialKind, OAuth2Config, PipelineConfig,
    PipelineFile, Problem, Secret, SecretError, SecretRef, SinkConfig, SourceConfig, TriggerConfig,
    pipeline_file_reference, pipeline_file_schema,
};
pub use error::RuntimeError;
pub use open::OpenPipeline;
pub use place::CheckpointPlace;
pub use preview::PreviewError;
pub use runtime::{RemedyWords, Runtime, RuntimeBuilder};
pub use sandbar_delta::{DeltaOptions, DeltaSinkFactory, OffsetStorage};
pub use sandbar_egress::Network;
pub use sandbar_pipeline::{
    Batch, BatchId, BatchReport, CheckpointLocation, Clock, ComponentId, NoopObserver, Offset, Pipeline,
    PipelineError, PipelineObserver, PipelineOptions, ReadLimit, Reader, ReaderOptions, Remedy, ResetEffect,
    RetryPolicy, RunSummary, Schedule, Sink, SinkError, SinkFactory, Source, SourceError, SourceUsage,
    StepDurations, StepOutcome, StopSignal, Stopper, SwapEvent, SwapNote, SwapOrder, SwapOutcome, SwapRecord,
    SystemClock, Takeover, Trigger, Turns, Version, VersionRecord, create_folder, is_ours, is_ours_alone,
    is_unprintable, read_text_file, with_causes,
};
pub use sandbar_policy::{
    Credential, Grants, HttpGrant, LimitKey, Limits, OAuth2Options, PolicyError, Remedy as SourceRemedy,
};
pub use sandbar_registry::{
    Access, Fetched, Listed, OciReference, Place, Pushed, Reference, Registry, RegistryError, RegistryLogin,
    SignedBy, TrustedKeys,
};
pub use sandbar_sandbox::{
    AddressSpace, Compiler, Connector, Description, Import, OpenOptions, PipelineContext, SandboxError,
    SandboxSource, StreamInfo, WASMTIME_VERSION, compile_from_stdin,
};
pub use schedule::{CronSchedule, ScheduleError};
pub use status::{PastBatch, PipelineStatus};
pub use supervisor::{MakeObserver, PipelineReport, PipelineState, Restart, Supervisor, SupervisorOptions};
pub use swap::{SwapCheck, SwapReport, SwapRequest};
