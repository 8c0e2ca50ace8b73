//! HTTP, for the origins that the operator granted.
//!
//! The host adds credentials, follows the grants and redirects of GET and HEAD within them, decodes bodies and
//! keeps the connections. A request is sent at once and waited for later, so that a source can read a page while
//! the next one is on its way:
//!
//! ```no_run
//! use sandbar_sdk::http::{Client, Host, Request, Url};
//!
//! # fn read(one: Url, two: Url) -> sandbar_sdk::Result<()> {
//! let first = Host.send(&Request::get(one))?;
//! let second = Host.send(&Request::get(two))?;
//! let rows: Vec<u64> = first.wait()?.error_for_status()?.json()?;
//! # drop((second, rows));
//! # Ok(())
//! # }
//! ```
//!
//! A closure from a request to a response is a [`Client`] too, which is all that a native test needs.

#[cfg(target_family = "wasm")]
mod host;
mod request;
mod response;
mod status;
mod text;
#[cfg(all(target_family = "wasm", feature = "wasi-http"))]
mod wasi;

pub use request::Request;
pub use response::{Chunks, Response};
pub use url::Url;

use crate::Result;

/// A bound for a response's body that leaves room for its rows in the memory of a guest: 32 MiB.
pub const MAX_BODY: usize = 32 << 20;

/// What sends requests.
pub trait Client {
    /// Sends a request, and does not wait for the response.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`](crate::Error::Internal) for a request that the host refuses.
    fn send(&self, request: &Request) -> Result<Pending>;
}

/// The client that is there inside a host. It keeps the bodies of responses: see [`Response::rows`]. Outside of a host it
/// gives an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

/// A client over `wasi:http`, whose bodies come into the component piece by piece. Outside of a host it gives an error.
#[cfg(feature = "wasi-http")]
#[derive(Debug, Clone, Copy, Default)]
pub struct WasiHttp;

/// A request that is on its way.
pub struct Pending(Box<dyn FnOnce() -> Result<Response>>);

impl Pending {
    /// A response that comes from `wait`, which is called at most once.
    pub fn new(wait: impl FnOnce() -> Result<Response> + 'static) -> Self {
        Self(Box::new(wait))
    }

    /// Waits for the response.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable) when no response came, [`Error::Internal`](crate::Error::Internal)
    /// when the host refuses the request. Both name it.
    pub fn wait(self) -> Result<Response> {
        (self.0)()
    }
}

impl<F: Fn(&Request) -> Result<Response>> Client for F {
    fn send(&self, request: &Request) -> Result<Pending> {
        let response = self(request);
        Ok(Pending::new(move || response))
    }
}

#[cfg(not(target_family = "wasm"))]
impl Client for Host {
    fn send(&self, request: &Request) -> Result<Pending> {
        Err(outside(request))
    }
}

#[cfg(all(not(target_family = "wasm"), feature = "wasi-http"))]
impl Client for WasiHttp {
    fn send(&self, request: &Request) -> Result<Pending> {
        Err(outside(request))
    }
}

#[cfg(not(target_family = "wasm"))]
fn outside(request: &Request) -> crate::Error {
    crate::Error::internal(format_args!("HTTP is only there inside a host ({request})"))
}
