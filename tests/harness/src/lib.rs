//! What tests share: [`ScriptedApi`], a comments API that records what it is asked and misbehaves when told to, and
//! [`store`], object stores that fail and processes that die.

mod answer;
mod fault;
mod request;
mod scripted_api;
pub mod store;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use request::RecordedRequest;
pub use scripted_api::ScriptedApi;
