//! A component from its bytes to a loaded connector: checked, compiled or taken from the cache, linked, and asked what it
//! is.

mod address_space;
mod cache;
mod compile;
mod complexity;
mod connector;
mod description;
mod engine;
mod identity;
mod imports;
pub(crate) mod options_schema;

pub use address_space::AddressSpace;
pub use cache::ComponentCache;
pub use compile::{Compiler, compile_from_stdin};
pub(crate) use connector::check_process;
pub use connector::{ComponentBytes, Connector};
pub use description::{Description, StreamInfo};
pub use engine::{Sandbox, WASMTIME_VERSION};
pub(crate) use identity::identity;
