//! Stores that fail, and processes that die: what a crash, an error or a second runner looks like from the place
//! where effects become durable.

mod exhaustive;
mod faulty_store;
mod process;
mod turns;

pub use exhaustive::Exhaustive;
pub use faulty_store::FaultyStore;
pub use process::{Answer, Effect, Fault, Process, Step, StepKind};
pub use turns::Turns;
