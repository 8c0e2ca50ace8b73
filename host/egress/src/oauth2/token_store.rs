use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use sandbar_pipeline::{is_ours_alone, open_file};

/// The longest file. Tokens have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// One file with the newest refresh token of one credential, which its owner alone can read.
///
/// Several processes may use it: a run, and a check or a status beside it. An endpoint that gives a new refresh token each
/// time makes the old one worthless, so they take turns: whoever fetches holds the lock, reads the newest token first and
/// writes the new one before it lets go.
///
/// All functions block.
#[derive(Clone)]
pub(super) struct TokenStore {
    path: PathBuf,
    configured: String,
}

/// Whoever holds it may fetch.
pub(super) struct TokenLock(#[expect(dead_code, reason = "it is held")] File);

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The digest of the configured token that this one descends from: whoever configures another one means it.
    configured: String,
    refresh_token: String,
}

impl TokenStore {
    pub(super) fn new(folder: &Path, origin: &str, configured: &str) -> Self {
        let name: String = hex(origin).chars().take(16).collect();
        Self {
            path: folder.join(format!("oauth-{name}")),
            configured: hex(configured),
        }
    }

    /// Takes the lock, or returns `None` while another process holds it.
    pub(super) fn try_lock(&self) -> Result<Option<TokenLock>, String> {
        let path = self.path.with_extension("lock");
        let locked = || -> io::Result<Option<TokenLock>> {
            self.own_folder()?;
            let file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(TokenLock(file))),
                Err(Errno::WOULDBLOCK) => Ok(None),
                Err(e) => Err(e.into()),
            }
        };
        locked().map_err(|e| format!("{} can't be locked: {e}", path.display()))
    }

    /// The newest token, if there is one that descends from the configured one.
    pub(super) fn load(&self) -> Result<Option<String>, String> {
        let text = match self.read() {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{}: {e}", self.path.display())),
        };
        let kept: Option<Kept> = serde_json::from_slice(&text).ok();
        Ok(kept
            .filter(|kept| kept.configured == self.configured)
            .map(|kept| kept.refresh_token))
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let file = open_file(&self.path)?;
        if !is_ours_alone(&file.metadata()?) {
            return Err(io::Error::other(
                "it does not belong to this user alone, as a secret has to; remove it",
            ));
        }
        let mut text = vec![];
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Replaces it. It is durable when this returns.
    pub(super) fn save(&self, refresh_token: &str) -> Result<(), String> {
        let kept = Kept {
            configured: self.configured.clone(),
            refresh_token: refresh_token.to_owned(),
        };
        self.write(&kept)
            .map_err(|e| format!("{} can't be written: {e}", self.path.display()))
    }

    fn write(&self, kept: &Kept) -> io::Result<()> {
        let folder = self.own_folder()?;
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|e| e.error)?;
        fs::File::open(folder)?.sync_all()
    }

    /// The folder, made if it is not there, once it is known to belong to this user alone.
    fn own_folder(&self) -> io::Result<&Path> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Who made the folder before us could take away what is put there.
        let found = fs::metadata(folder)?;
        match found.is_dir() && is_ours_alone(&found) {
            true => Ok(folder),
            false => Err(io::Error::other(
                "its folder does not belong to this user alone (chmod 700)",
            )),
        }
    }
}

fn hex(text: &str) -> String {
    format!("{:x}", Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_for_its_owner_alone_and_for_the_configured_one_it_descends_from() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("checkpoint/secrets");
        let store = TokenStore::new(&secrets, "https://a.example", "first");
        assert_eq!(store.load(), Ok(None));
        store.save("second").unwrap();
        store.save("third").unwrap();
        assert_eq!(store.load(), Ok(Some("third".into())));
        let other = |origin, configured| TokenStore::new(&secrets, origin, configured).load();
        assert_eq!(other("https://a.example", "another"), Ok(None));
        assert_eq!(other("https://b.example", "first"), Ok(None));

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&secrets), mode(&store.path)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&secrets).unwrap().count(), 1);
        fs::write(&store.path, "{").unwrap();
        assert_eq!(store.load(), Ok(None), "a damaged file is as good as none");
    }

    #[test]
    fn what_others_can_reach_is_neither_read_nor_written() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        let store = TokenStore::new(&secrets, "https://a.example", "first");
        store.save("second").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&store.path, 0o604);
        assert!(
            store
                .load()
                .unwrap_err()
                .contains("does not belong to this user alone")
        );
        set(&store.path, 0o600);
        for mode in [0o770, 0o1777, 0o701] {
            set(&secrets, mode);
            let error = store.save("third").unwrap_err();
            assert!(error.contains("(chmod 700)"), "{mode:o}: {error}");
        }
        set(&secrets, 0o700);
        assert_eq!(store.load(), Ok(Some("second".into())));
        // A pipe at its place is not waited for.
        fs::remove_file(&store.path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &store.path, rustix::fs::Mode::RUSR).unwrap();
        assert!(store.load().unwrap_err().contains("a named pipe"));
    }
}
