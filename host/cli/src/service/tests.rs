use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::time::SystemTime;

use sandbar_runtime::{NoopObserver, Offset, PipelineObserver, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::health::HealthReport;
use super::*;

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

fn board(names: &[&str]) -> (Arc<Board>, Vec<Arc<dyn PipelineObserver>>) {
    let board = Arc::new(Board::new(clock()));
    let observer = |name: &&str| board.observer(name, NoopObserver::shared());
    let observers = names.iter().map(observer).collect();
    (board, observers)
}

fn start_of(observer: &Arc<dyn PipelineObserver>) {
    observer.started(7, &Offset::parse("{\"current\":3}").unwrap());
}

/// A server of the board's health. It ends with the stopper.
async fn serving(board: &Arc<Board>) -> (SocketAddr, Stopper, tokio::task::JoinHandle<()>) {
    let board = board.clone();
    serving_report(move || board.report()).await
}

async fn serving_report(
    report: impl Fn() -> HealthReport + Send + Sync + 'static,
) -> (SocketAddr, Stopper, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopper, stop) = Stopper::new();
    let task = tokio::spawn(health::serve(listener, Arc::new(report), clock(), stop));
    (address, stopper, task)
}

/// The status and the body of an answer.
async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
}

async fn ask(address: SocketAddr, request: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The server closes it.
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_process_is_ready_when_each_pipeline_has_started_once() {
    let (board, observers) = board(&["comments", "orders"]);
    let (address, _stopper, _) = serving(&board).await;
    assert_eq!(get(address, "/healthz").await.0, 200);
    start_of(&observers[0]);
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(body["ready"], false);
    assert_eq!(body["pipelines"][0]["state"], "running");
    assert_eq!(body["pipelines"][0]["last_batch"], 7);
    assert_eq!(body["pipelines"][1]["state"], "starting");
    assert_eq!(body["pipelines"][1]["last_batch"], Value::Null);

    start_of(&observers[1]);
    let (status, body) = get(address, "/readyz").await;
    assert_eq!((status, &body["ready"]), (200, &Value::Bool(true)));

    // It was ready once, and restarting it would help nobody.
    board.ended("orders", Some("the table is gone"));
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 200);
    assert_eq!(body["pipelines"][1]["state"], "failed");
    assert_eq!(body["pipelines"][1]["last_error"]["message"], "the table is gone");
}

#[tokio::test]
async fn a_loop_that_is_not_at_work_is_neither_alive_nor_ready() {
    let dead = || HealthReport {
        alive: false,
        pipelines: vec![],
    };
    let (address, _stopper, _) = serving_report(dead).await;
    assert_eq!(get(address, "/healthz").await.0, 503);
    assert_eq!(get(address, "/readyz").await.0, 503);
}

#[tokio::test]
async fn errors_are_shown_short_and_harmless_and_stay_with_their_time() {
    let (board, observers) = board(&["comments"]);
    let message = format!("\u{1b}[31m503\n{}", "x".repeat(10_000));
    observers[0].retrying(1, Duration::from_secs(1), &message);
    let pipeline = board.report().pipelines.remove(0);
    assert_eq!(pipeline.state, health::PipelineState::Retrying);
    let error = pipeline.last_error.unwrap();
    assert!(
        error.message.starts_with("\u{fffd}[31m503 x"),
        "{}",
        error.message
    );
    assert_eq!(error.message.chars().count(), 500);

    observers[0].nothing_new(&Offset::parse("1").unwrap());
    let pipeline = board.report().pipelines.remove(0);
    assert_eq!(pipeline.state, health::PipelineState::Running);
    assert!(pipeline.last_error.is_some() && pipeline.since >= error.at);
}

#[tokio::test]
async fn everything_else_is_not_found() {
    let (board, _observers) = board(&[]);
    let (address, _stopper, _) = serving(&board).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /healthz/ HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        "HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        assert_eq!(ask(address, request).await.0, 404, "{request}");
    }
    assert_eq!(get(address, "/readyz?x=1").await.0, 200);
}

#[tokio::test]
async fn large_requests_are_refused() {
    let (board, _observers) = board(&[]);
    let (address, _stopper, _) = serving(&board).await;
    let long = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(9_000));
    assert_eq!(ask(address, &long).await.0, 431);
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65));
    assert_eq!(ask(address, &many).await.0, 431);
}

#[tokio::test]
async fn clients_that_say_nothing_make_way_for_those_that_do() {
    let (board, _observers) = board(&[]);
    let (address, _stopper, _) = serving(&board).await;
    let mut silent = vec![];
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(get(address, "/healthz").await.0, 200);
    // The first one was shut out, sooner than for its silence alone. The last one was not.
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(4), silent[0].read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
    let last = silent.last_mut().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(last.read(&mut byte).await.unwrap(), 1);
}

/// A clock whose sleeps are over when the test says so.
#[derive(Default)]
struct HeldClock {
    slept: Mutex<Vec<Duration>>,
    release: tokio::sync::Notify,
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(
        &self,
        duration: Duration,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send + '_>> {
        self.slept.lock().unwrap().push(duration);
        Box::pin(self.release.notified())
    }
}

#[tokio::test]
async fn a_connection_ends_after_its_time_whatever_it_does() {
    let clock = Arc::new(HeldClock::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (board, _observers) = board(&[]);
    let report = Arc::new(move || board.report());
    let (_stopper, stop) = Stopper::new();
    tokio::spawn(health::serve(listener, report, clock.clone(), stop));
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /hea").await.unwrap();
    // Kept until somebody waits.
    clock.release.notify_one();
    let mut byte = [0];
    assert!(matches!(slow.read(&mut byte).await, Ok(0) | Err(_)));
    assert_eq!(*clock.slept.lock().unwrap(), [Duration::from_secs(10)]);
}

#[tokio::test]
async fn a_stop_ends_the_server_and_its_connections() {
    let (board, _observers) = board(&[]);
    let (address, stopper, task) = serving(&board).await;
    let mut open = TcpStream::connect(address).await.unwrap();
    stopper.stop();
    task.await.unwrap();
    let mut byte = [0];
    assert!(matches!(open.read(&mut byte).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
}

/// A service manager's socket at a path, and what the environment would say of it.
fn manager(folder: &tempfile::TempDir) -> (UnixDatagram, Notifications) {
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let notifications = Notifications {
        socket: Some(path.into()),
        ..Notifications::default()
    };
    (socket, notifications)
}

fn heard(socket: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn the_service_manager_hears_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, notifications) = manager(&folder);
    let notifier = Notifier::new(&notifications);
    notifier.ready();
    assert_eq!(heard(&socket), "READY=1");
    notifier.status(&format!("two\nREADY=1 {}", "x".repeat(1_000)));
    let status = heard(&socket);
    assert!(status.starts_with("STATUS=two READY=1 xx"), "one line: {status}");
    assert!(status.len() < 256, "{status}");
    notifier.stopping();
    assert_eq!(heard(&socket), "STOPPING=1");

    let now = || rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec * 1_000_000;
    let before = now();
    notifier.reloading();
    let message = heard(&socket);
    let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    let time: i64 = time.parse().unwrap();
    assert!((before..=now() + 1_000_000).contains(&time), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_may_have_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("sandbar-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let notifier = Notifier::new(&Notifications {
        socket: Some(format!("@{name}").into()),
        ..Notifications::default()
    });
    notifier.ready();
    assert_eq!(heard(&socket), "READY=1");
}

#[test]
fn without_a_socket_nothing_is_said() {
    for socket in [
        None,
        Some(""),
        Some("@"),
        Some("relative"),
        Some("vsock:2:1"),
        Some("/nowhere"),
    ] {
        let notifier = Notifier::new(&Notifications {
            socket: socket.map(Into::into),
            ..Notifications::default()
        });
        assert_eq!(notifier.is_heard(), socket == Some("/nowhere"), "{socket:?}");
        notifier.ready();
    }
}

#[tokio::test]
async fn the_watchdog_is_fed_twice_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, notifications) = manager(&folder);
    let notifications = Notifications {
        watchdog_usec: Some("30000000".into()),
        watchdog_pid: Some(std::process::id().to_string().into()),
        ..notifications
    };
    let (notifier, clock) = (Notifier::new(&notifications), HeldClock::default());
    let pings = async {
        for _ in 0..3 {
            while clock.slept.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(heard(&socket), "WATCHDOG=1");
            assert_eq!(clock.slept.lock().unwrap().pop(), Some(Duration::from_secs(15)));
            clock.release.notify_one();
        }
    };
    tokio::select! {
        () = notifier.ping(&clock) => unreachable!("it goes on for ever"),
        () = pings => {}
    }
}

#[tokio::test]
async fn a_watchdog_of_another_process_and_an_odd_one_are_not_fed() {
    for (usec, pid) in [
        (None, None),
        (Some("0"), None),
        (Some("soon"), None),
        (Some("30000000"), Some("1")),
        (Some("30000000"), Some("me")),
    ] {
        let notifier = Notifier::new(&Notifications {
            socket: None,
            watchdog_usec: usec.map(Into::into),
            watchdog_pid: pid.map(Into::into),
        });
        let clock = HeldClock::default();
        let ended = tokio::time::timeout(Duration::from_secs(10), notifier.ping(&clock)).await;
        assert!(ended.is_ok(), "{usec:?} {pid:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_tells_how_its_pipelines_are_and_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, notifications) = manager(&folder);
    let (stopper, stop) = Stopper::new();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let service = Service::start(listen, &notifications, clock(), stop)
        .await
        .unwrap();
    service.notifier().ready();
    assert_eq!(heard(&socket), "READY=1");
    let observer = service.board().observer("comments", NoopObserver::shared());
    let status = heard(&socket);
    assert_eq!(status, "STATUS=1 pipeline: 1 starting");
    start_of(&observer);
    assert_eq!(heard(&socket), "STATUS=1 pipeline: 1 running");
    stopper.stop();
    assert_eq!(heard(&socket), "STOPPING=1");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let stop = StopSignal::never();
    let error = Service::start(Some(address), &Notifications::default(), clock(), stop).await;
    let error = error.err().unwrap().to_string();
    assert!(error.starts_with(&format!("--listen {address}: ")), "{error}");
}
