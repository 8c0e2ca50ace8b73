//! Real tables in temporary folders.
mod changed;
mod evolve;
mod exactly_once;
mod existing;
mod meddled;
mod partitions;
mod rollback;
mod steady;
mod store;
mod support;
mod types;
mod wide;
