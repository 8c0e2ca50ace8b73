//! The pipeline files of a run: named one by one, or those of a folder, and what becomes of them while it runs.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sandbar_runtime::PipelineFile;

use crate::CliError;
use crate::commands::load;

/// The files, and what each of them was like when it was last read.
#[derive(Default)]
pub(crate) struct PipelineFiles {
    /// As they were named on the command line.
    named: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
}

struct Known {
    /// What it was like when it was read.
    read: Stamp,
    /// What it was like at the last look, if that was not the same.
    seen: Option<Stamp>,
    /// The file, as far as it could be read.
    file: Option<PipelineFile>,
}

/// By which a change of a file is noticed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    length: u64,
    inode: u64,
}

/// What became of a file.
pub(crate) enum Change {
    /// It is new, or says something else.
    Read(Box<PipelineFile>),
    /// It can't be used, and whatever ran from it goes on.
    Bad(CliError),
    /// The pipeline of this name is in no file any more.
    Gone(String),
}

impl PipelineFiles {
    pub(crate) fn new(named: Vec<PathBuf>) -> Self {
        Self {
            named,
            known: BTreeMap::new(),
        }
    }

    /// Whether there is a folder among them, so that pipelines may come and go.
    pub(crate) fn has_folder(&self) -> bool {
        self.named.iter().any(|path| path.is_dir())
    }

    /// Reads all files for the first time. Blocks.
    ///
    /// # Errors
    /// A file that was named on the command line can't be used, or a folder can't be read.
    pub(crate) fn read_all(&mut self) -> Result<Vec<Change>, CliError> {
        let mut changes = vec![];
        for path in self.paths()? {
            let named = self.named.contains(&path);
            if let Some(name) = self.name_of(&path) {
                return Err(named_twice(&name));
            }
            match self.read(&path) {
                Change::Bad(e) if named => return Err(e),
                change => changes.push(change),
            }
        }
        Ok(changes)
    }

    /// Looks what changed since. A file of a folder counts once it is the same at two looks in a row, so that one that is
    /// being written is left alone; `all` takes every file as it is now. Blocks.
    pub(crate) fn look(&mut self, all: bool) -> Vec<Change> {
        let paths = match self.paths() {
            Ok(paths) => paths,
            Err(e) => return vec![Change::Bad(e)],
        };
        let mut changes = vec![];
        let gone: Vec<_> = self
            .known
            .keys()
            .filter(|known| !paths.contains(known))
            .cloned()
            .collect();
        for path in gone {
            if let Some(Known { file: Some(file), .. }) = self.known.remove(&path) {
                changes.push(Change::Gone(file.config().name.clone()));
            }
        }
        for path in paths {
            if all || self.is_settled(&path) {
                let before = self.name_of(&path);
                let change = self.read(&path);
                if let (Some(before), Change::Read(file)) = (before, &change)
                    && before != file.config().name
                {
                    changes.push(Change::Gone(before));
                }
                changes.push(change);
            }
        }
        changes
    }

    /// The file of a pipeline, read once more. Blocks.
    ///
    /// # Errors
    /// There is none of this name, or it can't be used.
    pub(crate) fn read_again(&mut self, pipeline: &str) -> Result<PipelineFile, CliError> {
        let path = self.known.iter().find_map(|(path, known)| {
            let file = known.file.as_ref()?;
            (file.config().name == pipeline).then(|| path.clone())
        });
        let missing = || CliError::Usage(format!("no file of this run has the pipeline {pipeline:?}"));
        match self.read(&path.ok_or_else(missing)?) {
            Change::Read(file) => Ok(*file),
            Change::Bad(e) => Err(e),
            Change::Gone(_) => Err(missing()),
        }
    }

    fn name_of(&self, path: &Path) -> Option<String> {
        let file = self.known.get(path)?.file.as_ref()?;
        Some(file.config().name.clone())
    }

    /// Whether a file changed since it was read, and not since the last look.
    fn is_settled(&mut self, path: &Path) -> bool {
        let Ok(now) = std::fs::metadata(path).map(|found| Stamp::of(&found)) else {
            return false;
        };
        match self.known.get_mut(path) {
            Some(known) if known.read == now => {
                known.seen = None;
                false
            }
            Some(known) => known.seen.replace(now) == Some(now),
            None => {
                let known = Known {
                    read: Stamp::NONE,
                    seen: Some(now),
                    file: None,
                };
                self.known.insert(path.to_owned(), known);
                false
            }
        }
    }

    fn read(&mut self, path: &Path) -> Change {
        let read = std::fs::metadata(path).map_or(Stamp::NONE, |found| Stamp::of(&found));
        let loaded = load(path).and_then(|file| self.alone(path, file));
        let before = self.known.remove(path).and_then(|known| known.file);
        let (file, change) = match loaded {
            Ok(file) => (Some(file.clone()), Change::Read(Box::new(file))),
            Err(e) => (before, Change::Bad(e)),
        };
        let seen = None;
        self.known.insert(path.to_owned(), Known { read, seen, file });
        change
    }

    /// Each pipeline needs a name and a checkpoint location of its own.
    fn alone(&self, path: &Path, file: PipelineFile) -> Result<PipelineFile, CliError> {
        let others = self.known.iter().filter(|(other, _)| *other != path);
        for other in others.filter_map(|(_, known)| known.file.as_ref()) {
            let name = &file.config().name;
            if other.config().name == *name {
                return Err(named_twice(name));
            }
            if file.shares_checkpoint_location(other) {
                return Err(CliError::Usage(format!(
                    "{} and {} have one checkpoint location: {}; each pipeline needs a location of its own",
                    other.path().display(),
                    path.display(),
                    file.checkpoint_location()
                )));
            }
        }
        Ok(file)
    }

    /// All files, those of a folder by their names.
    fn paths(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut paths = vec![];
        for named in &self.named {
            match named.is_dir() {
                true => paths.extend(files_of(named)?),
                false => paths.push(named.clone()),
            }
        }
        Ok(paths)
    }
}

fn named_twice(pipeline: &str) -> CliError {
    CliError::Usage(format!("two of the files name the pipeline {pipeline:?}"))
}

/// The files of a folder that end in `.toml` and are not hidden.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |source| CliError::Io {
        context: format!("the folder {} can't be read", folder.display()),
        source,
    };
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

impl Stamp {
    const NONE: Self = Self {
        modified: (i64::MIN, 0),
        length: 0,
        inode: 0,
    };

    fn of(found: &Metadata) -> Self {
        Self {
            modified: (found.mtime(), found.mtime_nsec()),
            length: found.len(),
            inode: found.ino(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, name: &str) {
        let text = format!(
            "name = {name:?}\nsource.component = \"comments\"\nsink.table = \"t/{name}\"\n\
             checkpoint.location = \"c/{name}\"\n"
        );
        std::fs::write(folder.join(file), text).unwrap();
    }

    /// One word for each change, over two looks, since a change has to settle.
    fn looked(files: &mut PipelineFiles) -> Vec<String> {
        let first = files.look(false);
        let second = files.look(false);
        let word = |change| match change {
            Change::Read(file) => format!("read {}", file.config().name),
            Change::Bad(e) => format!("bad: {e}"),
            Change::Gone(name) => format!("gone {name}"),
        };
        first.into_iter().chain(second).map(word).collect()
    }

    #[test]
    fn files_of_a_folder_come_change_and_go() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.toml", "a");
        write(folder.path(), ".hidden.toml", "hidden");
        write(folder.path(), "notes.txt", "notes");
        let mut files = PipelineFiles::new(vec![folder.path().to_owned()]);
        assert!(files.has_folder());
        assert_eq!(files.read_all().unwrap().len(), 1);
        assert!(looked(&mut files).is_empty());
        write(folder.path(), "b.toml", "b");
        assert_eq!(looked(&mut files), ["read b"]);
        write(folder.path(), "a.toml", "another");
        assert_eq!(looked(&mut files), ["gone a", "read another"]);
        std::fs::write(folder.path().join("b.toml"), "name = 1").unwrap();
        let bad = looked(&mut files);
        assert!(bad.len() == 1 && bad[0].starts_with("bad"), "{bad:?}");
        assert!(looked(&mut files).is_empty(), "it is said once");
        std::fs::remove_file(folder.path().join("b.toml")).unwrap();
        assert_eq!(looked(&mut files), ["gone b"]);
    }

    #[test]
    fn a_file_that_is_still_being_written_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = PipelineFiles::new(vec![folder.path().to_owned()]);
        files.read_all().unwrap();
        std::fs::write(folder.path().join("a.toml"), "name = ").unwrap();
        assert!(files.look(false).is_empty());
        write(folder.path(), "a.toml", "a");
        assert!(files.look(false).is_empty());
        assert_eq!(files.look(false).len(), 1);
    }

    #[test]
    fn two_files_of_one_name_or_location_do_not_run_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.toml", "a");
        let mut files = PipelineFiles::new(vec![folder.path().to_owned()]);
        files.read_all().unwrap();
        write(folder.path(), "b.toml", "a");
        assert_eq!(
            looked(&mut files),
            ["bad: two of the files name the pipeline \"a\""]
        );
    }
}
