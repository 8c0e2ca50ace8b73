use std::os::unix::fs::PermissionsExt;

use super::*;

/// A component without anything in it.
const EMPTY: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

struct Bench {
    engine: Engine,
    component: Component,
    cache: ComponentCache,
    folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let engine = Engine::default();
    let folder = tempfile::tempdir().unwrap();
    Bench {
        component: Component::from_binary(&engine, &EMPTY).unwrap(),
        cache: ComponentCache::open(&folder.path().join("cache")).unwrap(),
        engine,
        folder,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_is_stored_is_found_by_its_digest_and_engine() {
    let Bench {
        engine,
        component,
        cache,
        folder: _folder,
    } = bench();
    assert!(cache.load(&engine, "sha256:aa").is_none());
    cache.store(&engine, "sha256:aa", &component);
    assert!(cache.load(&engine, "sha256:aa").is_some());
    assert!(cache.load(&engine, "sha256:ab").is_none());
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = Engine::new(&config).unwrap();
    assert!(
        cache.load(&other, "sha256:aa").is_none(),
        "another engine has a file of its own"
    );
}

#[test]
fn a_file_that_was_changed_in_any_place_is_ignored() {
    let Bench {
        engine,
        component,
        cache,
        folder: _folder,
    } = bench();
    cache.store(&engine, "sha256:aa", &component);
    let path = cache.path(&engine, "sha256:aa");
    let whole = fs::read(&path).unwrap();
    let step = (whole.len() / 500).max(1);
    for at in (0..whole.len()).step_by(step) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(cache.load(&engine, "sha256:aa").is_none(), "byte {at}");
    }
    for cut in [0, 1, 31, 32, 33, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(cache.load(&engine, "sha256:aa").is_none(), "cut at {cut}");
    }
    cache.store(&engine, "sha256:aa", &component);
    assert!(cache.load(&engine, "sha256:aa").is_some());
}

#[test]
fn the_file_of_another_component_is_ignored() {
    let Bench {
        engine,
        component,
        cache,
        folder: _folder,
    } = bench();
    cache.store(&engine, "sha256:aa", &component);
    fs::copy(cache.path(&engine, "sha256:aa"), cache.path(&engine, "sha256:bb")).unwrap();
    assert!(cache.load(&engine, "sha256:bb").is_none());
}

#[test]
fn writers_at_the_same_time_leave_whole_files_and_nothing_else() {
    let Bench {
        engine,
        component,
        cache,
        folder,
    } = bench();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (engine, component, cache) = (&engine, &component, &cache);
            scope.spawn(move || {
                for round in 0..20 {
                    let digest = format!("sha256:{}", (number + round) % 4);
                    cache.store(engine, &digest, component);
                    assert!(
                        cache.load(engine, &digest).is_some(),
                        "a file that is there is whole"
                    );
                }
            });
        }
    });
    assert_eq!(files(&folder.path().join("cache")).len(), 4);
}

#[test]
fn the_oldest_files_make_room_for_new_ones() {
    let Bench {
        engine,
        component,
        mut cache,
        folder,
    } = bench();
    cache.store(&engine, "sha256:0", &component);
    let one = fs::metadata(cache.path(&engine, "sha256:0")).unwrap().len();
    cache.max = one * 3 + one / 2;
    for number in 1..10_u64 {
        let file = fs::File::open(cache.path(&engine, &format!("sha256:{}", number - 1))).unwrap();
        let stored = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number);
        file.set_modified(stored).unwrap();
        cache.store(&engine, &format!("sha256:{number}"), &component);
    }
    assert_eq!(files(&folder.path().join("cache")).len(), 3);
    for number in 7..10 {
        assert!(
            cache.load(&engine, &format!("sha256:{number}")).is_some(),
            "{number}"
        );
    }
    // One that is too large by itself is not worth an error.
    cache.max = 1;
    cache.store(&engine, "sha256:9", &component);
    assert_eq!(files(&folder.path().join("cache")).len(), 1);
}

#[test]
fn a_folder_that_is_not_ours_alone_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(ComponentCache::open(&path("new/one")).is_some());
    let mode = fs::metadata(path("new/one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for mode in [0o777, 0o770, 0o701, 0o740] {
        fs::set_permissions(path("new/one"), fs::Permissions::from_mode(mode)).unwrap();
        assert!(ComponentCache::open(&path("new/one")).is_none(), "{mode:o}");
    }
    fs::set_permissions(path("new/one"), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(path("new/one"), path("link")).unwrap();
    assert!(ComponentCache::open(&path("link")).is_none());
    fs::write(path("file"), "").unwrap();
    assert!(ComponentCache::open(&path("file")).is_none());
}

#[test]
fn a_file_that_somebody_else_wrote_is_ignored_though_it_is_whole() {
    let Bench {
        engine,
        component,
        cache,
        folder: _folder,
    } = bench();
    cache.store(&engine, "sha256:aa", &component);
    let path = cache.path(&engine, "sha256:aa");
    // As if another folder lay there since the cache was opened.
    for mode in [0o666, 0o660, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(cache.load(&engine, "sha256:aa").is_none(), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(cache.load(&engine, "sha256:aa").is_some());
    // Only root can give a file away.
    match std::os::unix::fs::chown(&path, Some(65_534), None) {
        Ok(()) => assert!(cache.load(&engine, "sha256:aa").is_none()),
        Err(e) => println!("skipped: {e}"),
    }
}

#[test]
fn a_folder_of_somebody_else_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    assert!(ComponentCache::open(&cache).is_some());
    // Only root can give a folder away.
    match std::os::unix::fs::chown(&cache, Some(65_534), None) {
        Ok(()) => assert!(ComponentCache::open(&cache).is_none()),
        Err(e) => println!("skipped: {e}"),
    }
}
