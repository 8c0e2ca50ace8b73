//! A comments API in JSONPlaceholder's shape on loopback, with the paging and headers of json-server 0.17.
//!
//! It is there for the demo, for documentation and for benchmarks, so it must cost next to nothing beside
//! what is measured: rows are copied from prepared text, never serialised.

mod collection;
mod paging;
mod routes;
mod text;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use collection::Collection;

/// What the API serves, and how.
#[derive(Debug, Clone, Default)]
pub struct DemoApiOptions {
    /// Comments that are there from the start.
    pub rows: u64,
    /// The port on 127.0.0.1; 0 picks one.
    pub port: u16,
    /// How long each answer waits.
    pub latency: Duration,
    /// Comments that appear per second, from the start on.
    pub grow_per_second: f64,
}

/// The running API. It stops when this is dropped.
#[derive(Debug)]
pub struct DemoApi {
    address: SocketAddr,
    collection: Arc<Collection>,
    task: JoinHandle<()>,
}

impl DemoApi {
    /// Binds the port and serves from tasks of the current tokio runtime.
    pub async fn start(options: DemoApiOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let collection = Arc::new(Collection::new(options.rows, options.grow_per_second));
        let task = tokio::spawn(accept(listener, Arc::clone(&collection), options.latency));
        Ok(Self {
            address,
            collection,
            task,
        })
    }

    /// The address of the comments.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/comments", self.origin())
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address without a path, as grants take it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets `count` further comments appear.
    pub fn add_rows(&self, count: u64) {
        self.collection.add(count);
    }

    /// Comments that are there now.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.collection.rows()
    }

    /// Stops: open connections are closed, and the port is free when this returns.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for DemoApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, collection: Arc<Collection>, latency: Duration) {
    // Owned here, so that the end of this task is the end of every connection.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&collection), latency));
            }
            // Out of file descriptors, most likely: some come back when a connection ends.
            Err(error) => {
                tracing::warn!(%error, "the demo API can't accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, collection: Arc<Collection>, latency: Duration) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection of the demo API keeps its delay");
    }
    let answer = service_fn(|request| {
        let collection = Arc::clone(&collection);
        async move {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            routes::answer(&collection, request).await
        }
    });
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await
    {
        tracing::debug!(%error, "a connection of the demo API ended early");
    }
}
