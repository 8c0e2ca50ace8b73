use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Table, installed, not_installed, repository, until};

/// moto's S3 server with the bucket `lake`. It is stopped when the test is through with it.
pub(crate) struct S3Server {
    child: Child,
    address: SocketAddr,
    python: PathBuf,
}

impl S3Server {
    /// Starts one, `None` where it is not installed.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let python = installed("readers").map(|folder| folder.join("bin/python"));
        let program = python.as_ref().map(|python| python.with_file_name("moto_server"));
        let (Some(python), Some(program)) = (python, program.filter(|program| program.exists())) else {
            not_installed("moto's S3 server is");
            return None;
        };
        // It can't pick a port and tell which.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(&python)
            .arg(program)
            .args(["--host", "127.0.0.1", "--port", &free.port().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: free,
            python,
        };
        until("moto answers", || {
            assert!(server.child.try_wait().unwrap().is_none(), "moto ended early");
            TcpStream::connect(free).is_ok()
        });
        server.request("PUT /lake");
        Some(server)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The Python that has a client for it, with what that client has to know.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.python);
        command
            .arg(repository().join("tests/readers").join(script))
            .args(arguments);
        for (name, value) in variables(&self.origin()) {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} {arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Copies all objects below `prefix` into a folder that does not exist yet, and tells their keys.
    pub(crate) fn download(&self, prefix: &str, folder: &Path) -> Vec<String> {
        let text = self.python("s3.py", &["download", "lake", prefix, folder.to_str().unwrap()]);
        text.lines().map(str::to_owned).collect()
    }

    /// The table at `s3://lake/comments`, as it is now.
    pub(crate) fn table(&self) -> Table {
        let folder = tempfile::tempdir().unwrap();
        self.download("comments/", folder.path());
        Table::read_from(folder)
    }

    fn request(&self, line: &str) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = self.address;
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

/// What a program has to know of an S3 server at `origin`.
pub(crate) fn variables(origin: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT", origin.to_owned()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret0123456789".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
    ]
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
