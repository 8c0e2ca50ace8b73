//! Requests through the host, over the contract's own interface.

use super::{Client, Host, Pending, Request, Response};
use crate::Result;
use crate::bindings::generated::sandbar::connector::http as wit;

impl Client for Host {
    fn send(&self, request: &Request) -> Result<Pending> {
        let timeout = request
            .timeout
            .and_then(|timeout| u64::try_from(timeout.as_millis()).ok());
        let pending = wit::begin(&wit::Request {
            method: request.method.clone(),
            url: request.url.to_string(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            timeout_ms: timeout,
        })?;
        Ok(Pending::new(move || Ok(Response::held(pending.wait()?))))
    }
}
