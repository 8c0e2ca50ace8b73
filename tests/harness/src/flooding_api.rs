use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::Tls;

/// What a [`FloodingApi`] sends for as long as it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// `100 Continue`, over HTTP/1.1.
    Continue,
    /// `103 Early Hints`, over HTTP/1.1 or HTTP/2, as was agreed on.
    EarlyHints,
    /// Frames of HTTP/2 that carry no body.
    Frames(Frames),
    /// An answer without rows to each request, and between them frames of HTTP/2 that carry no body.
    WhileIdle(Frames),
}

/// Frames of HTTP/2 that carry no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// PING, each of which is answered.
    Ping,
    /// SETTINGS, each of which is acknowledged.
    Settings,
    /// WINDOW_UPDATE of the connection, by one byte.
    WindowUpdate,
    /// PRIORITY, which nobody uses any more.
    Priority,
    /// Of a type that no document knows.
    Unknown,
    /// DATA without data. The head of an answer comes before.
    EmptyData,
}

/// An API that sends without end, and answers nothing or next to nothing. It stops when it is dropped.
pub struct FloodingApi {
    address: SocketAddr,
    secure: bool,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    written: AtomicU64,
}

impl FloodingApi {
    /// Starts one on loopback. Frames need TLS that offers `h2`.
    ///
    /// # Panics
    ///
    /// When this machine has no port or thread for it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without its server")]
    pub fn start(flood: Flood, tls: Option<&Tls>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
        let address = listener.local_addr().expect("the port's number");
        listener
            .set_nonblocking(true)
            .expect("a port that does not block");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("an event queue");
        let (stop, stopped) = oneshot::channel();
        let counts = Arc::<Counts>::default();
        let (counted, tls) = (Arc::clone(&counts), tls.cloned());
        let secure = tls.is_some();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, tls, &counted, flood) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("flood".to_owned()).spawn(serve);
        Self {
            address,
            secure,
            counts,
            stop: Some(stop),
            thread: Some(thread.expect("a thread")),
        }
    }

    /// Scheme, address and port.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How many bytes of its floods were taken, by the kernel if by nobody else.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, tls: Option<Tls>, counts: &Arc<Counts>, flood: Flood) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(stream, tls.clone(), Arc::clone(counts), flood));
    }
}

/// Serves one connection until the client closes it.
async fn serve(stream: TcpStream, tls: Option<Tls>, counts: Arc<Counts>, flood: Flood) {
    let Some(tls) = tls else {
        let _ = http1(stream, &counts, flood).await;
        return;
    };
    let Ok(stream) = tls.acceptor().accept(stream).await else {
        return;
    };
    let _ = match stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        true => http2(stream, &counts, flood).await,
        false => http1(stream, &counts, flood).await,
    };
}

async fn http1<S: AsyncRead + AsyncWrite>(stream: S, counts: &Counts, flood: Flood) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut request = vec![];
    while !request.ends_with(b"\r\n\r\n") {
        request.push(reader.read_u8().await?);
    }
    let again = match flood {
        Flood::Continue => "HTTP/1.1 100 Continue\r\n\r\n",
        _ => "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    };
    pour(&mut writer, again.as_bytes(), counts).await
}

async fn http2<S: AsyncRead + AsyncWrite>(stream: S, counts: &Counts, flood: Flood) -> std::io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut preface = [0; PREFACE];
    reader.read_exact(&mut preface).await?;
    writer.write_all(&frame(4, 0, 0, &[])).await?;
    let mut stream_id = 0;
    let mut requests = async |stream_id: &mut u32| -> std::io::Result<()> {
        loop {
            let mut head = [0; 9];
            reader.read_exact(&mut head).await?;
            let [a, b, c, kind, _, id @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            reader.read_exact(&mut payload).await?;
            if kind == HEADERS {
                *stream_id = u32::from_be_bytes(id);
                return Ok(());
            }
        }
    };
    requests(&mut stream_id).await?;
    // `:status` is the eighth name of the static table, 200 its eighth entry.
    let ok = frame(HEADERS, 4, stream_id, &[0x88]);
    let (first, again) = match flood {
        Flood::Continue | Flood::EarlyHints => (vec![], frame(HEADERS, 4, stream_id, b"\x08\x03103")),
        Flood::Frames(frames @ Frames::EmptyData) => (ok, of(frames, stream_id)),
        Flood::Frames(frames) => (vec![], of(frames, stream_id)),
        Flood::WhileIdle(frames) => (nothing(stream_id), of(frames, 0)),
    };
    writer.write_all(&first).await?;
    // What the client says meanwhile is read, so that nothing but its own account ends this.
    let gone = async { while requests(&mut stream_id).await.is_ok() {} };
    tokio::select! {
        () = gone => Ok(()),
        ended = pour(&mut writer, &again, counts) => ended,
    }
}

/// An answer without rows.
fn nothing(stream_id: u32) -> Vec<u8> {
    let headers = b"\x88\x00\x0dx-total-count\x010";
    let body = frame(0, 1, stream_id, b"[]");
    [frame(1, 4, stream_id, headers), body].concat()
}

fn of(frames: Frames, stream_id: u32) -> Vec<u8> {
    match frames {
        Frames::Ping => frame(6, 0, 0, &[0; 8]),
        Frames::Settings => frame(4, 0, 0, &[]),
        Frames::WindowUpdate => frame(8, 0, 0, &1u32.to_be_bytes()),
        Frames::Priority => frame(2, 0, stream_id.max(1), &[0, 0, 0, 0, 7]),
        Frames::Unknown => frame(0xfe, 0, 0, &[0; 16]),
        Frames::EmptyData => frame(0, 0, stream_id, &[]),
    }
}

fn frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let head = [&length[..], &[kind, flags], &stream_id.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

async fn pour(writer: &mut (impl AsyncWrite + Unpin), again: &[u8], counts: &Counts) -> std::io::Result<()> {
    let piece = again.repeat(1 + 16_384 / again.len());
    loop {
        writer.write_all(&piece).await?;
        counts.written.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

impl Drop for FloodingApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FloodingApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FloodingApi({})", self.address)
    }
}
