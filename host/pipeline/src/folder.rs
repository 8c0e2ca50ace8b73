use std::io::{Error, ErrorKind};
use std::path::Path;

use crate::CheckpointError;

/// Creates a folder of this machine with all above it. Durable, as the files in it will be: whoever loses a folder's
/// name loses what is in it. A folder that is there is left as it is.
///
/// # Errors
/// The error of the system that kept the folder or one above it from being created or synced.
pub fn create_folder(folder: &Path) -> std::io::Result<()> {
    let above = folder.ancestors();
    let missing: Vec<_> = above
        .take_while(|path| !is_here(path) && !path.exists())
        .collect();
    let parents = missing.iter().filter_map(|made| made.parent());
    std::fs::create_dir_all(folder)?;
    parents.into_iter().try_for_each(sync_folder)
}

/// [`create_folder`] for a checkpoint location.
pub(crate) fn create_location(folder: &Path) -> Result<(), CheckpointError> {
    create_folder(folder).map_err(|e| not_created(folder, &e))
}

/// Removes the oldest files of a folder, but not `newest`, until the rest has no more than `max` bytes together.
///
/// # Errors
/// The error of the system that kept the folder from being read or a file from being removed.
pub fn prune_folder(folder: &Path, newest: &Path, max: u64) -> std::io::Result<()> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // What others are at work on may be gone by now.
        if let Ok(meta) = entry.metadata()
            && meta.is_file()
            && entry.path() != newest
        {
            files.push((meta.modified()?, meta.len(), entry.path()));
        }
    }
    files.sort();
    let own = std::fs::metadata(newest).map_or(0, |meta| meta.len());
    let mut total = files.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + own;
    for (_, bytes, path) in files {
        if total <= max {
            break;
        }
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => total -= bytes,
        }
    }
    Ok(())
}

/// Whether it is the folder that relative paths begin in.
fn is_here(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Makes the names in a folder durable. Folders of other systems than Unix can't be synced.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if is_here(folder) { Path::new(".") } else { folder };
    match cfg!(unix) {
        true => std::fs::File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

/// Sorts the error by what is at fault: the location's name, or the disk.
fn not_created(folder: &Path, error: &Error) -> CheckpointError {
    let location = folder.display().to_string();
    let reason = format!("the folder can't be created: {error}");
    match error.kind() {
        ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::NotADirectory
        | ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem => CheckpointError::Location { location, reason },
        _ => CheckpointError::Folder { location, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_not_be_a_folder_is_a_mistake_of_the_location_and_a_full_disk_is_none() {
        let parent = tempfile::tempdir().unwrap();
        create_location(&parent.path().join("a/b/c")).unwrap();
        create_location(&parent.path().join("a/b/c")).unwrap();
        std::fs::write(parent.path().join("file"), "").unwrap();
        let mistake = create_location(&parent.path().join("file/b")).unwrap_err();
        assert!(matches!(mistake, CheckpointError::Location { .. }), "{mistake}");

        let full = not_created(parent.path(), &Error::from_raw_os_error(28));
        assert!(matches!(full, CheckpointError::Folder { .. }), "{full}");
    }
}
