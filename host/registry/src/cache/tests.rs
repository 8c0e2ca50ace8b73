use std::time::{Duration, SystemTime};

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_was_of_no_use_for_longest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache"), 250).unwrap();
    let blobs = [[1; 100], [2; 100], [3; 100]];
    let digests = blobs.map(|blob| digest::sha256(&blob));
    let here = || {
        digests
            .each_ref()
            .map(|digest| cache.component(digest, 1000).is_some())
    };
    cache.store(Kind::Component, &digests[0], &blobs[0], at(1));
    cache.store(Kind::Component, &digests[1], &blobs[1], at(2));
    assert_eq!(here(), [true, true, false]);
    cache.touch(Kind::Component, &digests[0], at(3));
    cache.store(Kind::Component, &digests[2], &blobs[2], at(4));
    assert_eq!(here(), [true, false, true]);
    // What is larger than all of it lies there alone.
    cache.store(Kind::Component, &digests[1], &[4; 300], at(5));
    assert_eq!(cache.digests(Kind::Component), [digests[1].clone()]);
    assert_eq!(here(), [false, false, false], "and is not what its name says");
}

#[test]
fn a_file_of_others_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache"), 1000).unwrap();
    let digest = digest::sha256(b"x");
    cache.store(Kind::Component, &digest, b"x", at(1));
    assert_eq!(cache.component(&digest, 1).unwrap(), b"x");
    assert_eq!(cache.component(&digest, 0), None);
    let path = cache.path(Kind::Component, &digest);
    std::fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(cache.component(&digest, 1), None);
}
