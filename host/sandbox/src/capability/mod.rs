//! What a component can call. One file for each capability; each is denied unless it is here.

mod checkpoint;
mod http;
mod http_types;
mod log;

pub(crate) use checkpoint::CheckpointCapability;
#[cfg(test)]
pub(crate) use http::admit;
pub(crate) use http::{HttpCapability, HttpUsage};
pub(crate) use http_types::shadow as shadow_http_types;
pub(crate) use log::{LogBudget, LogCapability};
