use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file that somebody named, to be read. It must be a regular one: who opens a named pipe waits for whoever writes
/// to it, a device may never come to an end, and some do something when they are opened.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when it is not there, [`io::ErrorKind::Other`] when it is something else than a regular file,
/// or the error of opening it.
pub fn open_file(path: &Path) -> io::Result<File> {
    regular(&std::fs::metadata(path)?)?;
    // Something else may lie there by now.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads as much of a regular file as `max` bytes and one more, which tells that it is longer.
///
/// # Errors
/// As for [`open_file`], or the error of reading it.
pub fn read_beginning(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    open_file(path)?
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// As for [`read_beginning`]; [`io::ErrorKind::FileTooLarge`] when it is longer.
pub fn read_file(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let bytes = read_beginning(path, max)?;
    match bytes.len() as u64 > max {
        true => Err(too_long(max)),
        false => Ok(bytes),
    }
}

/// The same, of text in UTF-8.
///
/// # Errors
/// As for [`read_file`]; [`io::ErrorKind::InvalidData`] when it is no UTF-8.
pub fn read_text_file(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read_file(path, max)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// Looks at a file that a library is going to open.
///
/// # Errors
/// As for [`open_file`]; [`io::ErrorKind::FileTooLarge`] when it has more than `max` bytes.
pub fn look_at_file(path: &Path, max: u64) -> io::Result<()> {
    let found = std::fs::metadata(path)?;
    regular(&found)?;
    match found.len() > max {
        true => Err(too_long(max)),
        false => Ok(()),
    }
}

/// Whether what was found belongs to this user, and nobody else can write there.
pub fn is_ours(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

/// Whether nobody else can even look at it.
pub fn is_ours_alone(found: &Metadata) -> bool {
    is_ours(found) && found.mode() & 0o077 == 0
}

fn too_long(max: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("it has more than {max} bytes"),
    )
}

fn regular(found: &Metadata) -> io::Result<()> {
    match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "it is {}, not a regular file",
            what(found.file_type())
        ))),
    }
}

fn what(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else {
        "something else"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_named_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket, link] = ["pipe", "socket", "link"].map(|name| folder.path().join(name));
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let cases = [
            (folder.path(), "it is a folder"),
            (&pipe, "it is a named pipe"),
            (&link, "it is a named pipe"),
            (&socket, "it is a socket"),
            (Path::new("/dev/zero"), "it is a device"),
        ];
        for (path, says) in cases {
            let read = read_file(path, 1 << 20).unwrap_err().to_string();
            let looked = look_at_file(path, 1 << 20).unwrap_err().to_string();
            let wanted = format!("{says}, not a regular file");
            assert_eq!((read, looked), (wanted.clone(), wanted), "{}", path.display());
        }
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // A terabyte of nothing, which takes no place on the disk.
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(read_beginning(file.path(), 10).unwrap(), [0; 11]);
        for error in [
            read_file(file.path(), 10).map(drop),
            read_text_file(file.path(), 10).map(drop),
            look_at_file(file.path(), 10),
        ] {
            assert_eq!(error.unwrap_err().to_string(), "it has more than 10 bytes");
        }
        std::fs::write(file.path(), [0xff]).unwrap();
        assert_eq!(read_file(file.path(), 1).unwrap(), [0xff]);
        assert!(read_text_file(file.path(), 1).is_err());
    }
}
