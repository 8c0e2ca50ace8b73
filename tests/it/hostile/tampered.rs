//! The cache of compiled components, through the whole host: what lies in it is machine code, and trusted only when it
//! is what was put there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sandbar_hostile::{Call, Mode};

use super::world::{End, World, hostile};
use crate::support::{Workspace, files_below};

fn run(folder: &Path, name: &str) -> World {
    let world = World::with_cache(Some(folder));
    let settings = hostile(&world.api, Mode::Healthy, Call::Open);
    world.contains(name, &settings, &End::Done, "", 3);
    world
}

fn compiled(folder: &Path) -> Vec<PathBuf> {
    let files = files_below(folder);
    files
        .into_iter()
        .filter(|file| file.extension() == Some("cwasm".as_ref()))
        .collect()
}

#[test]
fn a_file_that_was_changed_is_compiled_again() {
    let work = Workspace::new();
    let folder = work.path("cache");
    run(&folder, "first");
    let files = compiled(&folder);
    assert_eq!(files.len(), 2, "{files:?}");
    let whole: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for place in [0.0, 0.1, 0.5, 0.999] {
        for (file, whole) in files.iter().zip(&whole) {
            let mut changed = whole.clone();
            let at = (changed.len() as f64 * place) as usize;
            changed[at] ^= 0x10;
            std::fs::write(file, changed).unwrap();
        }
        run(&folder, "again");
        for (file, whole) in files.iter().zip(&whole) {
            assert!(
                std::fs::read(file).unwrap() == *whole,
                "{place}: {} is not mended",
                file.display()
            );
        }
    }
}

#[test]
fn a_folder_that_others_can_write_is_not_used() {
    let work = Workspace::new();
    let folder = work.path("cache");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    run(&folder, "open");
    assert_eq!(compiled(&folder), [] as [PathBuf; 0]);
}
