use std::path::{Component, Path, PathBuf};

use url::Url;

/// Where a pipeline keeps its notes, however that is spelled.
#[derive(Clone, Debug)]
pub struct CheckpointPlace {
    spelling: String,
    folder: Option<FolderId>,
}

impl CheckpointPlace {
    pub(crate) fn find(location: &str) -> Self {
        Self {
            spelling: one_spelling(location),
            folder: folder_id(location),
        }
    }

    /// Whether two pipelines keep their notes in one place.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        if self.spelling.starts_with("memory:") {
            return false;
        }
        let same_folder = self.folder.is_some() && self.folder == other.folder;
        same_folder || self.spelling == other.spelling
    }
}

/// A location spelled in one way only, so that two spellings of one place are seen to be one: without `.`, `..` and
/// slashes at the end, and for a folder of this machine with links followed, as far as it exists.
pub(crate) fn one_spelling(location: &str) -> String {
    let Ok(url) = Url::parse(location) else {
        return local(Path::new(location)).display().to_string();
    };
    if url.scheme() == "file"
        && let Ok(path) = url.to_file_path()
    {
        return local(&path).display().to_string();
    }
    let parts = url.path().split('/').filter(|part| !part.is_empty());
    let path = parts.fold(String::new(), |path, part| path + "/" + part);
    let authority = url.authority();
    format!("{}://{authority}{path}", url.scheme())
}

/// A folder of this machine: device and inode.
type FolderId = (u64, u64);

/// The folder at a location, by which it is one under names that differ, as letters of another case are where the file
/// system ignores case.
#[cfg(unix)]
fn folder_id(location: &str) -> Option<FolderId> {
    use std::os::unix::fs::MetadataExt;

    let found = std::fs::metadata(location).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn folder_id(_: &str) -> Option<FolderId> {
    None
}

/// Why a checkpoint location can't be where it is: in the folder of the table. Names that begin with `_` or `.` are
/// hidden there from every reader and clean-up of Delta tables, so `_checkpoints` inside of a table is fine.
///
/// Source: the Delta protocol's section on data files, and Spark's `_checkpoints` convention.
pub(crate) fn inside_of_table(table: &str, checkpoint: &str) -> Option<&'static str> {
    let (table, checkpoint) = (one_spelling(table), one_spelling(checkpoint));
    let rest = checkpoint.strip_prefix(&table)?;
    if rest.is_empty() {
        return Some("is the table's own folder");
    }
    let inside = rest.strip_prefix('/')?;
    let first = inside.split('/').next().unwrap_or_default();
    if first == "_delta_log" {
        return Some("lies in the table's log");
    }
    let hidden = first.starts_with(['_', '.']);
    (!hidden)
        .then_some("lies in the table's folder, where clean-ups of the table remove what they don't know")
}

/// Why readers of Delta tables could not open a table of this name, ours included: they take a path for a URL once more
/// than they should, so that `a%2Fb` becomes `a/b` and a backslash a slash.
pub(crate) fn unreadable_name(table: &str) -> Option<String> {
    let escaped = table
        .as_bytes()
        .windows(3)
        .find(|part| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit());
    let odd = match escaped {
        Some(escaped) => String::from_utf8_lossy(escaped).into_owned(),
        None => table
            .chars()
            .find(|c| *c == '\\' || c.is_control())?
            .escape_default()
            .to_string(),
    };
    Some(format!(
        "{table:?} has {odd:?} in it, which programs that read Delta tables take for something else; choose a name without it"
    ))
}

/// A path without `..`, which stores of objects do not take.
pub(crate) fn without_parents(path: PathBuf) -> PathBuf {
    match path.components().any(|part| part == Component::ParentDir) {
        true => local(&path),
        false => path,
    }
}

/// Links are followed as far as the path exists; the rest is taken as it is written.
fn local(path: &Path) -> PathBuf {
    let mut missing = vec![];
    let mut there = path;
    loop {
        if let Ok(found) = there.canonicalize() {
            return missing
                .iter()
                .rev()
                .fold(found, |path: PathBuf, part| match part {
                    Component::ParentDir => path.parent().map(Path::to_path_buf).unwrap_or(path),
                    Component::Normal(name) => path.join(name),
                    _ => path,
                });
        }
        let mut parts = there.components();
        match (parts.next_back(), parts.as_path()) {
            (Some(last), rest) if !rest.as_os_str().is_empty() => {
                missing.push(last);
                there = rest;
            }
            _ => return path.to_path_buf(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().display().to_string();
        std::fs::create_dir(folder.path().join("t")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("t"), folder.path().join("link")).unwrap();
        for spelling in ["t", "t/", "./t", "x/../t", "t/.", "link", "link/", ".//t"] {
            assert_eq!(
                one_spelling(&format!("{root}/{spelling}")),
                format!("{root}/t"),
                "{spelling}"
            );
        }
        assert_eq!(one_spelling(&format!("file://{root}/t/")), format!("{root}/t"));
        // Nothing of this one exists.
        assert_eq!(
            one_spelling(&format!("{root}/new/./a/../b/")),
            format!("{root}/new/b")
        );
        assert_eq!(one_spelling("s3://Bucket/a//b/../c/"), "s3://Bucket/a/c");
        assert_eq!(one_spelling("s3://bucket/a/%62"), "s3://bucket/a/%62");
        assert_eq!(one_spelling("dbfs:/Volumes/a/b/c/"), "dbfs:///Volumes/a/b/c");
    }

    #[test]
    fn links_to_one_folder_are_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(at("t")).unwrap();
        std::os::unix::fs::symlink(at("t"), at("T")).unwrap();
        let shared = |one: &str, other: &str| {
            let [one, other] = [one, other].map(CheckpointPlace::find);
            one.is_shared_with(&other)
        };
        assert!(shared(&at("t"), &at("T")) && shared(&at("missing"), &at("missing")));
        assert!(!shared(&at("t"), &at("missing")) && !shared(&at("missing"), &at("other")));
        assert!(!shared("memory:", "memory:"));
        // Names of another case, where the file system ignores it.
        let mut other = CheckpointPlace::find(&at("t"));
        other.spelling = at("of another case");
        assert!(other.is_shared_with(&CheckpointPlace::find(&at("t"))));
    }

    #[test]
    fn names_that_readers_misread_are_refused() {
        for name in [
            "/a/feature%2Fnew",
            "/a/per%20cent/t",
            "/a/back\\slash",
            "/a/new\nline",
            "s3://b/x%252F",
        ] {
            assert!(unreadable_name(name).is_some(), "{name}");
        }
        for name in ["/a/100%", "/a/%zz/t", "/a/with space", "/a/ümläut#?", "s3://b/x"] {
            assert_eq!(unreadable_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_checkpoint_location_in_the_tables_folder_is_seen() {
        for (checkpoint, fine) in [
            ("/lake/_checkpoints/t", true),
            ("/lake/t2", true),
            ("/lake", true),
            ("/lake/t/_checkpoints", true),
            ("/lake/t/.notes", true),
            ("/lake/t", false),
            ("/lake/x/../t/", false),
            ("/lake/t/notes", false),
            ("/lake/t/_delta_log", false),
            ("/lake/t/_delta_log/x", false),
            ("s3://lake/t", true),
        ] {
            assert_eq!(
                inside_of_table("/lake/t/", checkpoint).is_none(),
                fine,
                "{checkpoint}"
            );
        }
        assert!(inside_of_table("s3://lake/t", "s3://lake/t/notes").is_some());
    }
}
