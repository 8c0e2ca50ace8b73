//! What tests of sources share: [`ScriptedApi`], a comments API that records what it is asked and misbehaves
//! when told to.

mod answer;
mod fault;
mod request;
mod scripted_api;

#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use request::RecordedRequest;
pub use scripted_api::ScriptedApi;
