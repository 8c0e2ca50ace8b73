use std::process::Command;
use std::sync::Arc;

use sandbar_registry::{Access, Place, Reference, RegistryError};

use crate::support::{DockerRegistry, caching, client, component, fetch, oci, program, push, sha256};

#[tokio::test]
async fn what_was_pushed_comes_back_by_its_tag_and_by_its_digest() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let (reference, wasm) = (registry.reference("team/feed:1.0"), component("a"));
    let pushed = client()
        .push(Arc::clone(&wasm), None, &reference, None)
        .await
        .unwrap();
    assert_eq!(pushed.component_digest, sha256(&wasm));

    let by_tag = fetch(&client(), &reference).await.unwrap();
    let by_digest = fetch(&client(), &pushed.reference).await.unwrap();
    for fetched in [&by_tag, &by_digest] {
        assert_eq!(fetched.bytes, wasm);
        assert_eq!(fetched.digest, pushed.component_digest);
        assert_eq!(fetched.manifest_digest.as_ref(), Some(&pushed.manifest_digest));
        assert!(!fetched.from_cache && fetched.signature.is_none());
    }
    assert!(
        pushed
            .reference
            .to_string()
            .ends_with(&format!(":1.0@{}", pushed.manifest_digest))
    );

    let again = client().push(wasm, None, &reference, None).await.unwrap();
    assert_eq!(again, pushed, "equal components have equal manifests");
}

#[tokio::test]
async fn the_artifact_is_that_of_the_cncf() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let (reference, wasm) = (registry.reference("feed:1.0"), component("a"));
    let pushed = client()
        .push(Arc::clone(&wasm), None, &reference, None)
        .await
        .unwrap();
    let read = |digest: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(registry.blob(digest)).unwrap()).unwrap()
    };
    let manifest = read(&pushed.manifest_digest);
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.wasm.config.v0+json"
    );
    assert_eq!(
        manifest["layers"],
        serde_json::json!([{
            "mediaType": "application/wasm",
            "digest": sha256(&wasm),
            "size": wasm.len(),
            "annotations": {"org.opencontainers.image.title": "feed.wasm"},
        }])
    );
    assert_eq!(
        read(manifest["config"]["digest"].as_str().unwrap()),
        serde_json::json!({
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [sha256(&wasm)],
            "component": {
                "exports": ["sandbar:connector/source@0.1.0"],
                "imports": ["sandbar:connector/log@0.1.0"],
            },
        })
    );
}

#[tokio::test]
async fn oras_pulls_what_is_pushed_here_and_pushes_what_is_pulled_here() {
    let (Some(registry), Some(python)) = (DockerRegistry::start(), program("oras/bin/python")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let oras = |script: &str| {
        let script = format!(
            "import oras.client\nclient = oras.client.OrasClient(insecure=True)\nhost = {:?}\n{script}",
            registry.address()
        );
        let mut command = Command::new(&python);
        // Its own settings are looked up below the home folder.
        let output = command
            .args(["-c", &script])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let ours = component("ours");
    push(&registry.reference("ours/feed:1"), &ours).await;
    oras("client.pull(target=f'{host}/ours/feed:1', outdir='.')");
    assert_eq!(std::fs::read(folder.path().join("feed.wasm")).unwrap(), &*ours);

    let theirs = component("theirs");
    std::fs::write(folder.path().join("theirs.wasm"), &theirs).unwrap();
    oras("client.push(target=f'{host}/theirs/feed:1', files=['theirs.wasm:application/wasm'])");
    let fetched = fetch(&client(), &registry.reference("theirs/feed:1"))
        .await
        .unwrap();
    assert_eq!(fetched.bytes, theirs);

    oras(
        "client.push(target=f'{host}/theirs/feed:2', files=['theirs.wasm', 'theirs.wasm:application/wasm'])",
    );
    oras("client.push(target=f'{host}/theirs/feed:3', files=['theirs.wasm:application/gzip'])");
    for (tag, says) in [
        ("2", "it has 2 layers, and one of application/wasm is wanted"),
        (
            "3",
            "its layer is application/gzip, and application/wasm is wanted",
        ),
    ] {
        let reference = registry.reference(&format!("theirs/feed:{tag}"));
        let error = fetch(&client(), &reference).await.unwrap_err();
        assert!(matches!(error, RegistryError::Artifact { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{reference} is no component: {says}"));
    }
}

#[tokio::test]
async fn a_tag_that_moved_is_noticed_and_one_that_did_not_is_not() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, tag) = (caching(&folder), registry.reference("feed:stable"));
    let first = push(&tag, &component("1")).await;
    let fetched = fetch(&ours, &tag).await.unwrap();
    let resolved = ours.resolve(&oci(&tag), None).await.unwrap();
    assert_eq!(resolved, fetched.resolution);
    assert_eq!(resolved.digest(), first.digest());

    let second = push(&tag, &component("2")).await;
    let moved = ours.resolve(&oci(&tag), None).await.unwrap();
    assert_ne!(moved, resolved);
    assert_eq!(moved.digest(), second.digest());
    assert_eq!(
        fetch(&ours, &tag).await.unwrap().bytes,
        component("2"),
        "the cache knows no tags"
    );
    assert_eq!(
        ours.resolve(&oci(&first), None).await.unwrap(),
        resolved,
        "a digest does not move"
    );
}

#[tokio::test]
async fn a_component_that_was_changed_in_the_registry_is_refused() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let (tag, wasm) = (registry.reference("feed:1"), component("a"));
    let pinned = push(&tag, &wasm).await;
    let other = component("b");
    assert_eq!(other.len(), wasm.len());
    std::fs::write(registry.blob(&sha256(&wasm)), &other).unwrap();
    for reference in [&tag, &pinned] {
        let error = fetch(&client(), reference).await.unwrap_err();
        let RegistryError::Changed {
            what,
            expected,
            found,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (*what, expected, found),
            ("component", &sha256(&wasm), &sha256(&other))
        );
    }
}

#[tokio::test]
async fn a_manifest_that_was_changed_in_the_registry_is_refused() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let tag = registry.reference("feed:1");
    let (pinned, other) = (push(&tag, &component("a")).await, component("b"));
    push(&registry.reference("feed:other"), &other).await;
    // One that leads to another good component of the repository.
    let digest = pinned.digest().unwrap();
    let manifest = std::fs::read_to_string(registry.blob(digest)).unwrap();
    let forged = manifest.replace(&sha256(&component("a")), &sha256(&other));
    assert_ne!(forged, manifest);
    std::fs::write(registry.blob(digest), &forged).unwrap();
    for reference in [&tag, &pinned] {
        let error = fetch(&client(), reference).await.unwrap_err();
        let RegistryError::Changed {
            what,
            expected,
            found,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (*what, expected.as_str(), found),
            ("manifest", digest, &sha256(forged.as_bytes()))
        );
    }
}

#[tokio::test]
async fn a_digest_is_served_without_the_registry_and_a_tag_is_not() {
    let Some(mut registry) = DockerRegistry::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, tag, wasm) = (
        caching(&folder),
        registry.reference("team/feed:1"),
        component("a"),
    );
    let pinned = push(&tag, &wasm).await;
    let unknown = push(&registry.reference("team/feed:2"), &component("b")).await;
    assert!(!fetch(&ours, &tag).await.unwrap().from_cache);
    registry.stop();

    let fetched = fetch(&ours, &pinned).await.unwrap();
    assert!(fetched.from_cache);
    assert_eq!(fetched.bytes, wasm);
    let by_component = Reference::parse(&format!("feed@{}", sha256(&wasm))).unwrap();
    let fetched = ours.fetch(&by_component, &Access::default()).await.unwrap();
    assert_eq!(fetched.bytes, wasm);

    let error = fetch(&ours, &tag).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("nobody can say what the tag 1 means just now"),
        "{text}"
    );
    assert!(
        text.contains("a reference with @sha256: works without the registry once it was fetched"),
        "{text}"
    );
    let error = ours.resolve(&oci(&tag), None).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("the tag 1"),
        "{error}"
    );
    let error = fetch(&ours, &unknown).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().ends_with("and it is not in the cache"),
        "{error}"
    );

    let listed = ours.list().await.unwrap();
    let [listed] = &listed[..] else {
        panic!("{listed:?}")
    };
    let origin = format!(
        "oci://{}/team/feed@{}",
        registry.address(),
        pinned.digest().unwrap()
    );
    assert_eq!(listed.references, [origin, sha256(&wasm)]);
    assert_eq!(
        (listed.place, listed.signed, &listed.fault),
        (Place::Cache, false, &None)
    );
    assert_eq!(listed.bytes, wasm.len() as u64);
}

#[tokio::test]
async fn what_was_changed_in_the_cache_is_fetched_again() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, wasm) = (caching(&folder), component("a"));
    let pinned = push(&registry.reference("feed:1"), &wasm).await;
    fetch(&ours, &pinned).await.unwrap();
    for extension in ["wasm", "manifest"] {
        for entry in std::fs::read_dir(folder.path().join("cache")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                std::fs::write(path, component("b")).unwrap();
            }
        }
        let fetched = fetch(&ours, &pinned).await.unwrap();
        assert!(fetched.bytes == wasm && !fetched.from_cache, "{extension}");
        assert!(fetch(&ours, &pinned).await.unwrap().from_cache, "{extension}");
    }
}

#[tokio::test]
async fn the_digest_of_one_thing_in_the_place_of_another_is_named() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (wasm, tag) = (component("a"), registry.reference("feed:1"));
    let pinned = push(&tag, &wasm).await;
    let manifest = pinned.digest().unwrap();

    // The component's where the manifest's belongs.
    let wrong = tag.pinned(&sha256(&wasm));
    let asked = fetch(&client(), &wrong).await.unwrap_err();
    let ours = caching(&folder);
    fetch(&ours, &pinned).await.unwrap();
    let kept = fetch(&ours, &wrong).await.unwrap_err();
    for error in [asked, kept] {
        assert!(matches!(error, RegistryError::OtherDigest { .. }), "{error}");
        assert!(error.to_string().contains(manifest), "{error}");
    }
    // The digest of another component than that under the tag: the registry says that it is broken, and may be.
    let other = push(&registry.reference("feed:2"), &component("b")).await;
    let wrong = tag.pinned(&sha256(&component("b")));
    let error = fetch(&client(), &wrong).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(fetch(&client(), &other).await.unwrap().bytes, component("b"));
    // And the other way round.
    let wrong = Reference::parse(&format!("feed@{manifest}")).unwrap();
    let error = ours.fetch(&wrong, &Access::default()).await.unwrap_err();
    assert!(matches!(error, RegistryError::OtherDigest { .. }), "{error}");
    assert!(error.to_string().contains(&sha256(&wasm)), "{error}");

    let nothing = tag.pinned(&sha256(b"nothing"));
    let error = fetch(&client(), &nothing).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let error = fetch(&client(), &registry.reference("feed:3")).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    let error = client()
        .push(component("b"), None, &pinned, None)
        .await
        .unwrap_err();
    assert!(matches!(error, RegistryError::OtherDigest { .. }), "{error}");
}

#[tokio::test]
async fn what_is_too_long_or_no_component_is_refused() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let (tag, wasm) = (registry.reference("feed:1"), component("a"));
    push(&tag, &wasm).await;
    let most = wasm.len() as u64;
    let at_most = |max| Access {
        max_bytes: Some(max),
        ..Access::default()
    };
    assert!(client().fetch(&oci(&tag), &at_most(most)).await.is_ok());
    let error = client().fetch(&oci(&tag), &at_most(most - 1)).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::TooLarge { max, .. } if max == most - 1),
        "{error}"
    );

    let module = wat::parse_str("(module)").unwrap();
    for (bytes, says) in [
        (module, "it is a core module, and not a component"),
        (
            b"no wasm at all".to_vec(),
            "it is no WebAssembly that can be read",
        ),
        (vec![], "it is no WebAssembly that can be read"),
    ] {
        let error = client().push(bytes.into(), None, &tag, None).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = client()
        .push(wasm, Some("no signature"), &tag, None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no text of minisign"), "{error}");
}
