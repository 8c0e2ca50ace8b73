use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use super::BoxError;
use super::flood::{Below, Counted, Layer, Meter};
use sandbar_policy::Grants;

type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Where names lead to.
pub(crate) trait Resolve: Send + Sync {
    /// All addresses of a host, with the scope (`%eth0`) of those that have one. Their port counts for nothing.
    fn resolve(&self, host: &str) -> Found;
}

/// Names that one pipeline looks up at once. Each keeps a thread until its answer comes, whoever gave up before.
const LOOKUPS: usize = 4;

/// A resolver that blocks, at most a few times at once.
pub(crate) struct SystemResolver {
    slots: Arc<Semaphore>,
    look_up: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::looking_up_by(|host| Ok((host, 0).to_socket_addrs()?.collect()))
    }
}

impl SystemResolver {
    pub(crate) fn looking_up_by(look_up: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(LOOKUPS)),
            look_up,
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Found {
        let (host, slots, look_up) = (host.to_owned(), self.slots.clone(), self.look_up);
        Box::pin(async move {
            let permit = slots.acquire_owned().await.map_err(io::Error::other)?;
            let looking_up = tokio::task::spawn_blocking(move || {
                let found = look_up(&host);
                drop(permit);
                found
            });
            looking_up.await.map_err(io::Error::other)?
        })
    }
}

/// Marks a connection that was refused because of its address.
#[derive(Debug, thiserror::Error)]
#[error("{host} leads to a private address")]
pub(crate) struct ProhibitedAddress {
    pub(crate) host: String,
}

/// Resolves names and lets only granted addresses through. The connection goes to what is given here, so there is no
/// second answer that could differ.
#[derive(Clone)]
pub(crate) struct CheckedResolver {
    pub(crate) grants: Arc<Grants>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { grants, resolver } = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = resolver.resolve(&host).await?;
            let granted: Vec<_> = found
                .iter()
                .filter(|found| grants.allows_address(&host, found.ip()))
                .copied()
                .collect();
            if granted.is_empty() && !found.is_empty() {
                return Err(io::Error::other(ProhibitedAddress { host }));
            }
            Ok(granted.into_iter())
        })
    }
}

/// A connector with an end: name, TCP and TLS together take no longer. Its connections are counted, and know whether they
/// served a request before.
#[derive(Clone)]
pub(crate) struct Timed<C> {
    pub(crate) inner: C,
    pub(crate) within: Duration,
    /// One for each connection, idle ones included: descriptors belong to the whole process.
    pub(crate) connections: Arc<Semaphore>,
    /// Bytes that a remote may send beside bodies.
    pub(crate) beside: u64,
}

/// Whether a connection has given a response before.
#[derive(Clone, Default)]
pub(crate) struct Used(Arc<AtomicBool>);

impl Used {
    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri> + Clone + Send + 'static,
    C::Response: Connection,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = Tracked<TokioIo<Counted<C::Response>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (mut inner, connections) = (self.inner.clone(), self.connections.clone());
        let connected = async move {
            let permit = connections.acquire_owned().await?;
            let stream = inner.call(uri).await.map_err(Into::into)?;
            Ok::<_, BoxError>((stream, permit))
        };
        let connected = tokio::time::timeout(self.within, connected);
        let beside = self.beside;
        Box::pin(async move {
            match connected.await {
                Ok(Ok((stream, permit))) => Ok(Tracked {
                    stream: counted(stream, beside),
                    used: Used::default(),
                    _permit: permit,
                }),
                Ok(Err(e)) => Err(e),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

fn counted<S: Connection>(stream: S, beside: u64) -> TokioIo<Counted<S>> {
    let connected = stream.connected();
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    let below = extensions.remove().map(|Below(meter)| meter);
    let (layer, max) = match connected.is_negotiated_h2() {
        true => (Layer::Http2, beside),
        // Up to three buffers of a body are on their way when the first of their bytes is told.
        false => (Layer::Http1, beside.saturating_mul(4)),
    };
    Counted::new(stream, Meter::new(layer, max, below))
}

/// A connector below TLS, whose bytes are counted too: not all that TLS reads comes through it.
#[derive(Clone)]
pub(crate) struct BelowTls<C> {
    pub(crate) inner: C,
    /// Bytes that may carry nothing.
    pub(crate) beside: u64,
}

impl<C> Service<Uri> for BelowTls<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Counted<C::Response>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, beside) = (self.inner.call(uri), self.beside);
        Box::pin(async move {
            let stream = connecting.await?;
            Ok(Counted::new(stream, Meter::new(Layer::Tls, beside, None)))
        })
    }
}

/// A connection that carries [`Used`].
pub(crate) struct Tracked<S> {
    stream: S,
    used: Used,
    _permit: OwnedSemaphorePermit,
}

impl<S: Connection> Connection for Tracked<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.used.clone())
    }
}

/// Reads and writes through to a field.
macro_rules! delegate_read_and_write {
    ([$($stream:ident)?] $type:ty, $field:ident) => {
        impl$(<$stream: hyper::rt::Read + Unpin>)? hyper::rt::Read for $type {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                buffer: hyper::rt::ReadBufCursor<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.$field).poll_read(context, buffer)
            }
        }

        impl$(<$stream: hyper::rt::Write + Unpin>)? hyper::rt::Write for $type {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.$field).poll_write(context, bytes)
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.$field).poll_flush(context)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.$field).poll_shutdown(context)
            }

            fn is_write_vectored(&self) -> bool {
                self.$field.is_write_vectored()
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                parts: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.$field).poll_write_vectored(context, parts)
            }
        }
    };
}
pub(super) use delegate_read_and_write;

delegate_read_and_write!([S] Tracked<S>, stream);
