use std::os::unix::fs::PermissionsExt;

use sandbar_registry::{Access, Place, Reference, Registry, RegistryError};
use tempfile::TempDir;

use crate::support::{client, component, sha256};

fn folder_of(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

async fn error_of(registry: &Registry, reference: &str) -> RegistryError {
    let reference = Reference::parse(reference).unwrap();
    registry.fetch(&reference, &Access::default()).await.unwrap_err()
}

#[tokio::test]
async fn versions_and_digests_are_found_in_the_components_folder() {
    let (one, two) = (component("1"), component("2"));
    let hex = sha256(&two).replace(':', "-");
    let (by_digest, signature) = (format!("{hex}.wasm"), "text");
    let folder = folder_of(&[
        ("feed@1.0.0.wasm", &one),
        ("feed@1.0.0.wasm.minisig", signature.as_bytes()),
        ("feed@1.1.0.wasm", &two),
        (&by_digest, &two),
        ("notes.txt", b""),
        ("feed.wasm", &one),
    ]);
    let ours = client().with_components_folder(folder.path());
    let fetch = async |text: &str| {
        let reference = Reference::parse(text).unwrap();
        let fetched = ours.fetch(&reference, &Access::default()).await.unwrap();
        assert_eq!(ours.resolve(&reference, None).await.unwrap(), fetched.resolution);
        fetched
    };
    let fetched = fetch("feed@1.0.0").await;
    assert_eq!(
        (&fetched.bytes, fetched.signature.as_deref()),
        (&one, Some(signature))
    );
    assert_eq!(fetched.digest, sha256(&one));
    assert_eq!(fetch(&sha256(&two)).await.bytes, two);
    assert_eq!(fetch(&format!("any@{}", sha256(&two))).await.bytes, two);
    let path = folder.path().join("feed.wasm");
    assert_eq!(fetch(path.to_str().unwrap()).await.bytes, one);

    let listed = ours.list().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|listed| {
            (
                listed.references[0].as_str(),
                listed.digest.clone(),
                listed.signed,
                listed.place,
            )
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("feed@1.0.0", sha256(&one), true, Place::Folder),
            ("feed@1.1.0", sha256(&two), false, Place::Folder),
            (sha256(&two).as_str(), sha256(&two), false, Place::Folder),
        ]
    );

    let error = error_of(&ours, "feed@2.0.0").await;
    assert!(
        error.to_string().ends_with("the folder has 1.0.0, 1.1.0"),
        "{error}"
    );
    let error = error_of(&ours, "other@2.0.0").await;
    assert!(
        error.to_string().ends_with("the folder has no version of it"),
        "{error}"
    );
    let error = error_of(&client(), "feed@1.0.0").await;
    assert!(
        error.to_string().contains("no components folder is set"),
        "{error}"
    );
    let error = error_of(&ours, &sha256(b"nothing")).await;
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_bare_name_is_not_looked_for() {
    let error = error_of(&client(), "comments").await;
    assert!(
        matches!(&error, RegistryError::Builtin { name } if name == "comments"),
        "{error}"
    );
    let resolved = client()
        .resolve(&Reference::parse("comments").unwrap(), None)
        .await;
    assert!(matches!(resolved, Err(RegistryError::Builtin { .. })));
}

#[tokio::test]
async fn a_file_under_the_digest_of_another_is_refused() {
    let name = format!("{}.wasm", sha256(&component("1")).replace(':', "-"));
    let folder = folder_of(&[(&name, &component("2"))]);
    let ours = client().with_components_folder(folder.path());
    let error = error_of(&ours, &sha256(&component("1"))).await;
    assert!(matches!(error, RegistryError::Changed { .. }), "{error}");
    assert!(ours.list().await.unwrap()[0].fault.is_some());
}

#[tokio::test]
async fn a_file_that_changes_is_noticed() {
    let folder = folder_of(&[("feed.wasm", &component("1"))]);
    let path = folder.path().join("feed.wasm");
    let reference = Reference::Path(path.clone());
    let state = async || client().resolve(&reference, None).await.unwrap();
    let first = state().await;
    assert_eq!(state().await, first);

    // Another one of the same length, made so as editors and deployments do.
    let meta = std::fs::metadata(&path).unwrap();
    let beside = folder.path().join("new");
    std::fs::write(&beside, component("2")).unwrap();
    std::fs::File::options()
        .append(true)
        .open(&beside)
        .unwrap()
        .set_modified(meta.modified().unwrap())
        .unwrap();
    std::fs::rename(&beside, &path).unwrap();
    let second = state().await;
    assert_ne!(second, first);
    std::fs::write(folder.path().join("feed.wasm.minisig"), "text").unwrap();
    assert_ne!(state().await, second, "a signature that comes is a change");

    std::fs::remove_file(&path).unwrap();
    let error = client().resolve(&reference, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let error = error_of(&client(), "ghcr.io/team/feed:1").await;
    assert!(
        error
            .to_string()
            .ends_with("a registry's components are written oci://host/path:tag"),
        "{error}"
    );
}

#[tokio::test]
async fn files_are_bounded_and_regular() {
    let folder = folder_of(&[
        ("long.wasm", &[0; 101]),
        ("feed.wasm", &[0; 100]),
        ("feed.wasm.minisig", &[b' '; 20_000]),
    ]);
    let ours = client().with_max_component_bytes(100);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let error = error_of(&ours, &path("long.wasm")).await;
    assert!(
        matches!(error, RegistryError::TooLarge { max: 100, .. }),
        "{error}"
    );
    let error = error_of(&ours, &path("feed.wasm")).await;
    assert!(
        error
            .to_string()
            .contains("feed.wasm.minisig: it has more than 16384 bytes"),
        "{error}"
    );
    let error = error_of(&ours, "/dev/zero").await;
    assert!(
        error.to_string().contains("it is a device, not a regular file"),
        "{error}"
    );
    let error = error_of(&ours, folder.path().to_str().unwrap()).await;
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

#[tokio::test]
async fn a_cache_that_others_can_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let registry = client().with_cache_folder(&cache);
    assert_eq!(
        std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(format!("{registry:?}").contains("Some(Cache"));
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert!(format!("{:?}", client().with_cache_folder(&cache)).contains("cache: None"));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(format!("{:?}", client().with_cache_folder(&file)).contains("cache: None"));
}
