//! The protocol over a real Delta table, in one process: every request to a store and every call to the source is a
//! step that can go wrong, and two runners take turns step by step.

mod crashes;
mod lake;
mod late_writes;
mod runners;
mod source;
mod strangers;
mod walk;
mod world;
