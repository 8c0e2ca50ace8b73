//! What users of the `sandbar` program rely on, asked of the real program: its commands, exit statuses and messages,
//! the table that it leaves behind, and what happens when it is killed. The API is scripted and on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and wait for real processes by the real clock"
)]

/// A folder with pipeline files, runs of the program in it, and the table read without the project's own code.
mod support;

/// Where the program may have little address space.
#[cfg(target_os = "linux")]
mod address_space;
/// Bodies in other charsets and codings, with marks, and none at all.
mod bodies;
/// `check`, `inspect`, `preview`, `status`, `reset`.
mod commands;
/// What outlives a source.
mod context;
/// Credentials, and everything where they must not be.
mod credentials;
/// `demo` and `demo-api`.
mod demo;
/// Credentials that come back in rows.
mod echoes;
/// An API that answers badly.
mod failing_api;
/// Grants and private addresses.
mod grants;
/// The main job: rows and growth become micro-batches, once each.
mod growing;
/// Whose a checkpoint location and an offset are.
mod identity;
/// Readers of the output that go away.
mod output;
/// Folders with odd names.
#[cfg(unix)]
mod paths;
/// Where progress lies: in the table, in a note of before, in the offset log.
mod progress;
/// Requests through a proxy.
mod proxies;
/// What is refused, with which exit status and message.
mod refusals;
/// Components that a pipeline takes from a registry, and what becomes of it while the registry changes.
#[cfg(target_os = "linux")]
mod registry;
/// APIs that give rows again.
mod repeats;
/// Tables and checkpoint locations on S3.
mod s3;
/// Health probes, messages to a service manager, and schedules.
mod service;
/// The unit and the manifests of the documentation.
mod service_files;
/// Named pipes, devices and huge files where files are named.
mod special_files;
/// Signals, intervals, and two runners of one pipeline.
mod stopping;
/// Newer versions of a component that take over while the program runs.
#[cfg(target_os = "linux")]
mod swap;
/// Tables and checkpoint folders that somebody removes, replaces or turns back while a pipeline runs.
mod table_changes;
/// What a table can have besides: an ingestion time, partitions, a log checkpoint, several pipelines.
mod tables;
/// HTTPS: certificates, HTTP/2 and HTTP/1.1.
mod tls;
/// Checkpoint locations on Databricks volumes.
mod volumes;

/// One source in several languages and ways.
mod languages;

/// Stores that fail, processes that die and runners that meet, over a real table in one process.
mod chaos;
/// Every call that changes a file: crashes, errors, a second runner and a full disk at each of them.
#[cfg(target_os = "linux")]
mod file_steps;
/// The flaws of the PySpark job that this project began with, one by one.
mod flaws;
/// Many pipelines in one process, and folders of their files.
#[cfg(target_os = "linux")]
mod fleet;
/// Tables and checkpoint locations that earlier versions left.
mod golden;
/// Components that mean harm, beside pipelines that do not.
mod hostile;
/// SIGKILL and SIGTERM at random moments.
mod kill;
/// Swaps again and again, with SIGKILL in between.
#[cfg(target_os = "linux")]
mod swap_kills;
/// Notes and entries that a power cut left half written.
mod torn;

/// The API that the comments component is made for: json-server with JSONPlaceholder's data.
mod json_server;
/// Wild values, and readers that skip files by statistics.
mod pruning;
/// The table through the eyes of other programs: duckdb, ClickHouse, delta-rs, polars.
mod readers;

/// The documentation against the program.
mod docs;
/// Rules of the repository that no compiler knows.
mod tidy;
/// Which crate may know which.
mod walls;
