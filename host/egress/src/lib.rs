//! The guarded HTTP client: the only way out for a connector.
//!
//! One [`HttpClient`] serves all instances of a pipeline: it has their connection pool, rate, credentials and OAuth2
//! tokens. One [`HttpSession`] is HTTP as a single instance sees it: behind the pipeline's grants, with limits on what it
//! sends and receives, and with secrets redacted from every response.
//!
//! Each request is checked twice: by its method and URL before a name is resolved, and by the resolved address before a
//! connection is opened. Redirects are followed here and checked like first requests.
//!
//! Invariant: this crate knows no wasmtime. How a component calls it is the affair of `sandbar-sandbox`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod client;
mod cpu;
mod credential;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod network;
mod oauth2;
mod process;
mod redact;
mod session;
mod usage;

pub use client::HttpClient;
pub use cpu::{CpuMeter, Metered, TICK, metered, thread_time};
pub use error::HttpError;
pub use network::Network;
pub use process::{Forked, PerProcess, Process};
pub use redact::Redactor;
pub use session::{HttpSession, RequestBody, ResponseBody, Timeouts};
pub use usage::HttpUsage;
