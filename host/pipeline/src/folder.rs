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

/// The same for a checkpoint location.
pub(crate) fn create_location(folder: &Path) -> Result<(), CheckpointError> {
    create_folder(folder).map_err(|e| not_created(folder, &e))
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
