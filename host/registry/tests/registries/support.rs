use std::convert::Infallible;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sandbar_pipeline::{Clock, SystemClock};
use sandbar_registry::{Access, Fetched, OciReference, Reference, Registry, RegistryError};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// A program that `tests/registry/install` brings.
#[track_caller]
pub(crate) fn program(path: &str) -> Option<PathBuf> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let targets = [scratch.parent().unwrap().to_owned(), repository.join("target")];
    let found = targets
        .map(|target| target.join("registry").join(path))
        .into_iter()
        .find(|program| program.exists());
    if found.is_none() {
        let text = format!("{path} is not installed: run tests/registry/install");
        let required = std::env::var_os("SANDBAR_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{text} (SANDBAR_REQUIRE_ALL=1)");
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    found
}

/// A small component that differs from those of other salts.
pub(crate) fn component(salt: &str) -> Arc<[u8]> {
    let text = format!(
        r#"(component
            (import "sandbar:connector/log@0.1.0" (instance))
            (instance $i) (export "sandbar:connector/source@0.1.0" (instance $i))
            (@custom "salt" "{salt}"))"#
    );
    wat::parse_str(text).unwrap().into()
}

/// Debian's docker-registry on loopback, with a folder of its own. It ends when it is dropped.
pub(crate) struct DockerRegistry(sandbar_harness::DockerRegistry);

/// The one user of a private registry.
pub(crate) const USER: &str = sandbar_harness::DockerRegistry::USER;
pub(crate) const PASSWORD: &str = sandbar_harness::DockerRegistry::PASSWORD;

impl DockerRegistry {
    pub(crate) fn start() -> Option<Self> {
        let program = program("bin/docker-registry")?;
        Some(Self(sandbar_harness::DockerRegistry::start(&program).unwrap()))
    }

    /// One that lets only [`USER`] in.
    pub(crate) fn private() -> Option<Self> {
        let program = program("bin/docker-registry")?;
        Some(Self(sandbar_harness::DockerRegistry::private(&program).unwrap()))
    }

    /// A reference to something in it.
    pub(crate) fn reference(&self, rest: &str) -> OciReference {
        format!("oci://{}/{rest}", self.address()).parse().unwrap()
    }
}

impl Deref for DockerRegistry {
    type Target = sandbar_harness::DockerRegistry;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for DockerRegistry {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// A registry's client that no configuration of this machine reaches.
pub(crate) fn client() -> Registry {
    Registry::default().with_docker_config(None)
}

/// The same with a cache.
pub(crate) fn caching(folder: &TempDir) -> Registry {
    client().with_cache_folder(&folder.path().join("cache"))
}

pub(crate) fn oci(reference: &OciReference) -> Reference {
    Reference::Oci(reference.clone())
}

pub(crate) async fn fetch(registry: &Registry, reference: &OciReference) -> Result<Fetched, RegistryError> {
    registry.fetch(&oci(reference), &Access::default()).await
}

/// Pushes a component that must get there.
pub(crate) async fn push(reference: &OciReference, component: &Arc<[u8]>) -> OciReference {
    let pushed = client().push(Arc::clone(component), None, reference, None).await;
    pushed.unwrap().reference
}

/// A clock at a time of day that does not move.
pub(crate) struct StandingClock {
    now: SystemTime,
    machine: SystemClock,
}

impl StandingClock {
    pub(crate) fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            machine: SystemClock::default(),
        })
    }
}

impl Clock for StandingClock {
    fn now(&self) -> SystemTime {
        self.now
    }

    fn elapsed(&self) -> Duration {
        self.machine.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.machine.sleep(duration)
    }
}

pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A server that answers each request as a closure says, and keeps what was asked. It lasts as long as its test's runtime.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Asked>>>,
}

/// A request that a server got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(None, answer).await
    }

    pub(crate) async fn with(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(vec![]));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen, tls) = (Arc::clone(&answer), Arc::clone(&seen), tls.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let authorization = request.headers().get("authorization");
                    seen.lock().unwrap().push(Asked {
                        line: format!("{} {}", request.method(), request.uri()),
                        authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
                    });
                    let response = answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                            }
                        }
                        None => {
                            let _ = http.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn reference(&self, rest: &str) -> OciReference {
        format!("oci://{}/{rest}", self.address).parse().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.requests.lock().unwrap().clone()
    }
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).boxed();
    with_body(status, headers, body)
}

pub(crate) fn with_body(status: u16, headers: &[(&str, &str)], body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest of layers: media type, digest, size.
pub(crate) fn manifest(layers: &[(&str, &str, u64)]) -> String {
    let layers: Vec<_> = layers
        .iter()
        .map(|(kind, digest, size)| serde_json::json!({"mediaType": kind, "digest": digest, "size": size}))
        .collect();
    serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers}).to_string()
}

/// The digest of bytes, made without the crate's own code for it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let hex = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("sha256:{hex}")
}
