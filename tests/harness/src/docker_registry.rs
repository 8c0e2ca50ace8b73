use std::io::{BufRead, BufReader, Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Debian's docker-registry on loopback, with a folder of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct DockerRegistry {
    program: PathBuf,
    child: Child,
    address: String,
    folder: TempDir,
}

impl DockerRegistry {
    /// The one user of a private registry.
    pub const USER: &str = "reader";
    /// The password of that user.
    pub const PASSWORD: &str = "correct-horse-battery";
    /// The user and the password, as htpasswd writes them.
    const HTPASSWD: &str = "reader:$2b$05$XKdRf5l1o6DmophT8LEOSubw2vM3xW2a0Fwz0H1F.kZsTZB.eBLSO\n";

    /// Starts one that lets everybody in, by the path of the program.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(program: &Path) -> Result<Self> {
        Self::with(program, "")
    }

    /// One that lets only [`USER`](Self::USER) in.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn private(program: &Path) -> Result<Self> {
        Self::with(
            program,
            "auth:\n  htpasswd:\n    realm: tests\n    path: FOLDER/htpasswd\n",
        )
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The file that holds a blob, by its `sha256:` digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        let beginning: String = hex.chars().take(2).collect();
        blobs.join(beginning).join(hex).join("data")
    }

    /// Ends it; what it has is kept for [`start_again`](Self::start_again).
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again at the same address, with what it had.
    ///
    /// # Errors
    ///
    /// When it does not start: somebody else may have the address by now.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop();
        let path = self.folder.path().join("config.yml");
        let config = std::fs::read_to_string(&path)?;
        std::fs::write(&path, config.replace("127.0.0.1:0", &self.address))?;
        (self.child, self.address) = serve(&self.program, self.folder.path())?;
        Ok(())
    }

    fn with(program: &Path, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: FOLDER/data\nhttp:\n  \
             addr: 127.0.0.1:0\n{more}"
        );
        let config = config.replace("FOLDER", &folder.path().display().to_string());
        std::fs::write(folder.path().join("config.yml"), config)?;
        std::fs::write(folder.path().join("htpasswd"), Self::HTPASSWD)?;
        let (child, address) = serve(program, folder.path())?;
        Ok(Self {
            program: program.to_owned(),
            child,
            address,
            folder,
        })
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the program, and returns it with the address that it tells.
fn serve(program: &Path, folder: &Path) -> Result<(Child, String)> {
    let mut child = Command::new(program)
        .arg("serve")
        .arg(folder.join("config.yml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().ok_or_else(|| Error::other("no stderr"))?;
    let mut log = BufReader::new(stderr).lines().map_while(Result::ok);
    let address = log.by_ref().find_map(|line| {
        let (_, rest) = line.split_once("listening on ")?;
        Some(rest.split('"').next()?.to_owned())
    });
    let Some(address) = address else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::other("the registry does not say where it listens"));
    };
    // It must not wait for somebody to read what else it says.
    std::thread::spawn(move || log.for_each(drop));
    Ok((child, address))
}
