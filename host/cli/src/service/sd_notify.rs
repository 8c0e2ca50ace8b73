//! What systemd is told by a service of `Type=notify`, over a datagram socket: see `sd_notify(3)`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sandbar_runtime::Clock;

use crate::output::plain;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The longest wait for a service manager that does not read.
const MAX_SEND_TIME: Duration = Duration::from_secs(1);
/// The most characters of a status.
const MAX_STATUS: usize = 200;
/// The shortest time between two pings, whatever the environment asks for.
const MIN_PING: Duration = Duration::from_millis(10);

/// The way to the service manager, if one listens.
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The time from one ping to the next.
    ping: Option<Duration>,
}

/// What systemd put into the environment.
#[derive(Default)]
pub(crate) struct Notifications {
    pub(super) socket: Option<OsString>,
    pub(super) watchdog_usec: Option<OsString>,
    pub(super) watchdog_pid: Option<OsString>,
}

impl Notifications {
    /// Takes from the environment what systemd put there, so that no other process of this program answers for it. To be
    /// called before there are threads.
    pub(crate) fn take_from_environment() -> Self {
        let take = |name| {
            let value = std::env::var_os(name);
            #[expect(unsafe_code, reason = "children would inherit what is meant for this process")]
            // SAFETY: nothing else runs yet that could read the environment.
            unsafe {
                std::env::remove_var(name);
            }
            value
        };
        Self {
            socket: take(SOCKET),
            watchdog_usec: take(WATCHDOG_USEC),
            watchdog_pid: take(WATCHDOG_PID),
        }
    }
}

impl Notifier {
    pub(super) fn new(environment: &Notifications) -> Self {
        let number = |text: &Option<OsString>| text.as_ref()?.to_str()?.parse::<u64>().ok();
        let is_ours = match &environment.watchdog_pid {
            None => true,
            pid => number(pid) == Some(std::process::id().into()),
        };
        let usec = number(&environment.watchdog_usec).filter(|usec| is_ours && *usec > 0);
        Self {
            socket: environment.socket.as_ref().and_then(open),
            // As systemd asks: twice in its time.
            ping: usec.map(|usec| Duration::from_micros(usec / 2).max(MIN_PING)),
        }
    }

    /// Whether a service manager listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// The start, or a reload, is over.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// Pipeline files are being read again. [`ready`](Self::ready) ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// The process begins to stop.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// One line about how it goes, for `systemctl status`.
    pub(crate) fn status(&self, line: &str) {
        let line: String = plain(line).replace('\n', " ").chars().take(MAX_STATUS).collect();
        self.send(&format!("STATUS={line}"));
    }

    /// Tells the watchdog twice in its time that the process lives, for ever. Each ping first waits for a new task to run,
    /// so that it shows that the threads of the runtime still take up work.
    pub(crate) async fn ping(&self, clock: &dyn Clock) {
        let Some(pause) = self.ping else { return };
        loop {
            if tokio::spawn(async {}).await.is_ok() {
                self.send("WATCHDOG=1");
            }
            clock.sleep(pause).await;
        }
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, "the service manager can't be told {message:?}");
        }
    }
}

fn open(name: &OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let opened = address(name).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(MAX_SEND_TIME))?;
        Ok((socket, address))
    });
    match opened {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::warn!(%error, "{SOCKET} is no socket that can be written to: {name:?}");
            None
        }
    }
}

/// A path, or a name in the kernel's own space that begins with `@`.
fn address(name: &OsString) -> std::io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] if !name.is_empty() => {
            <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
        }
        _ => Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "neither an absolute path nor an abstract name",
        )),
    }
}
