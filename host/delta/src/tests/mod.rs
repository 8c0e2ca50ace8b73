//! Real tables in temporary folders.
mod exactly_once;
mod existing;
mod partitions;
mod steady;
mod store;
mod support;
mod types;
