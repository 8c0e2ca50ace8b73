//! What tests share: [`ScriptedApi`], a comments API that records what it is asked and misbehaves when told to, over TLS if wanted;
//! [`FilesApi`], a Databricks workspace that does the same; [`FloodingApi`], which sends without end; [`S3Proxy`], which makes a lesser store of an S3 server; [`Proxy`], which stands between programs and servers;
//! [`store`], object stores that fail and processes that die.

mod answer;
mod docker_registry;
mod fault;
mod files_api;
mod flooding_api;
mod proxy;
mod request;
mod s3_proxy;
mod scripted_api;
mod server;
pub mod store;
mod tls;

#[cfg(test)]
mod tests;

pub use docker_registry::DockerRegistry;
pub use fault::Fault;
pub use files_api::{FilesApi, FilesFault};
pub use flooding_api::{Flood, FloodingApi, Frames};
pub use proxy::{Proxy, ProxyRules};
pub use request::RecordedRequest;
pub use s3_proxy::{ConditionalPut, S3Proxy};
pub use scripted_api::ScriptedApi;
pub use tls::{Authority, Certificate, Tls};
