//! Components that mean harm, each beside a pipeline of the same process that does not: every one ends in an error that
//! says what it did, leaves no row behind that it should not, and harms nobody.

mod cases;
mod compiling;
mod floods;
mod forked;
mod fuzz;
mod ipc;
mod lengths;
mod limits;
mod loading;
mod modes;
mod pinned;
mod program;
#[cfg(target_os = "linux")]
mod shared_memory;
mod tampered;
mod values;
mod world;

#[cfg(unix)]
pub(crate) use world::describing;
pub(crate) use world::hostile;
