use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sandbar_registry::{
    Access, Fetched, Reference, Registry, RegistryError, SignatureFault, TrustedKeys, signature_tag,
};
use tempfile::TempDir;

use crate::support::{DockerRegistry, StandingClock, caching, client, component, oci, program, push};

/// A key pair of the real minisign, and files that it signs.
struct Signer {
    minisign: PathBuf,
    folder: TempDir,
}

impl Signer {
    fn new() -> Option<Self> {
        let minisign = program("bin/minisign")?;
        let folder = tempfile::tempdir().unwrap();
        let signer = Self { minisign, folder };
        signer.run(&["-G", "-W", "-p", "key.pub", "-s", "key.sec"]);
        Some(signer)
    }

    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new(&self.minisign);
        let output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a component in a file of its own.
    fn sign(&self, wasm: &[u8], comment: &str, more: &[&str]) -> PathBuf {
        let path = self.path("feed.wasm");
        std::fs::write(&path, wasm).unwrap();
        let arguments = ["-S", "-s", "key.sec", "-m", "feed.wasm", "-t", comment];
        self.run(&[&arguments[..], more].concat());
        path
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.path("key.pub")).unwrap()
    }

    fn keys(&self) -> TrustedKeys {
        TrustedKeys::parse(&[self.public()]).unwrap()
    }
}

fn signature(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("wasm.minisig")).unwrap()
}

async fn fetch(
    registry: &Registry,
    reference: &Reference,
    keys: &TrustedKeys,
) -> Result<Fetched, RegistryError> {
    let access = Access {
        keys: Some(keys),
        ..Access::default()
    };
    registry.fetch(reference, &access).await
}

fn fault(result: Result<Fetched, RegistryError>) -> (SignatureFault, String) {
    match result.unwrap_err() {
        error @ RegistryError::Signature { .. } => {
            let text = error.to_string();
            let RegistryError::Signature { fault, .. } = error else {
                unreachable!()
            };
            (fault, text)
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_file_that_a_trusted_key_signed_is_taken() {
    let (Some(signer), Some(other)) = (Signer::new(), Signer::new()) else {
        return;
    };
    let wasm = component("a");
    let path = signer.sign(&wasm, "timestamp:1\texpires:2999-12-31\tfeed 1.0", &[]);
    let reference = Reference::Path(path.clone());
    let line = signer.public().lines().nth(1).unwrap().to_owned();
    for keys in [
        signer.keys(),
        TrustedKeys::parse(&[line]).unwrap(),
        TrustedKeys::parse(&[other.public(), signer.public()]).unwrap(),
    ] {
        let fetched = fetch(&client(), &reference, &keys).await.unwrap();
        let signed_by = fetched.signed_by.unwrap();
        // The key's id is what minisign wrote into the comment of the public key.
        let id = signer
            .public()
            .lines()
            .next()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(signed_by.key_id, id);
        assert!(signed_by.comment.contains("feed 1.0") && signed_by.expires.is_some());
        assert_eq!(fetched.signature.unwrap(), signature(&path));
    }
}

#[tokio::test]
async fn unsigned_foreign_changed_and_old_signatures_are_each_refused_with_the_remedy() {
    let (Some(signer), Some(other)) = (Signer::new(), Signer::new()) else {
        return;
    };
    let (ours, wasm) = (client(), component("a"));
    let path = signer.sign(&wasm, "feed", &[]);
    let (reference, good) = (Reference::Path(path.clone()), signature(&path));
    let beside = path.with_extension("wasm.minisig");
    let id = signer.keys().ids().next().unwrap().to_owned();
    let other_id = other.keys().ids().next().unwrap().to_owned();
    let remedy = |text: &str| {
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        assert!(
            text.contains("minisign -S -s") && text.contains("sandbar push"),
            "{text}"
        );
    };

    let (found, text) = fault(fetch(&ours, &reference, &other.keys()).await);
    remedy(&text);
    assert_eq!(
        found,
        SignatureFault::OtherKey {
            key_id: id.clone(),
            trusted: other_id.clone()
        }
    );

    std::fs::remove_file(&beside).unwrap();
    let (found, text) = fault(fetch(&ours, &reference, &signer.keys()).await);
    remedy(&text);
    assert_eq!(found, SignatureFault::Unsigned { trusted: id.clone() });

    // Other bytes; a comment, a signature or a key's id that was changed.
    let other_signature = signature(&other.sign(&wasm, "feed", &[]));
    let line = |text: &str, number: usize| text.lines().nth(number).unwrap().to_owned();
    let changed = [
        good.replace("trusted comment: feed", "trusted comment: fees"),
        good.replace(&line(&good, 3), &line(&other_signature, 3)),
    ];
    for text in &changed {
        assert_ne!(*text, good);
        std::fs::write(&beside, text).unwrap();
        let (found, text) = fault(fetch(&ours, &reference, &signer.keys()).await);
        remedy(&text);
        assert_eq!(found, SignatureFault::Wrong { key_id: id.clone() });
    }
    std::fs::write(&beside, &good).unwrap();
    assert!(fetch(&ours, &reference, &signer.keys()).await.is_ok());
    std::fs::write(&path, component("b")).unwrap();
    let (found, text) = fault(fetch(&ours, &reference, &signer.keys()).await);
    remedy(&text);
    assert_eq!(found, SignatureFault::Wrong { key_id: id });

    for text in ["", "no signature", &good[..good.len() / 2]] {
        std::fs::write(&beside, text).unwrap();
        let (found, text) = fault(fetch(&ours, &reference, &signer.keys()).await);
        remedy(&text);
        assert!(matches!(found, SignatureFault::Unreadable { .. }), "{text}");
    }
    signer.sign(&wasm, "feed", &["-l"]);
    let (found, _) = fault(fetch(&ours, &reference, &signer.keys()).await);
    assert!(
        matches!(&found, SignatureFault::Unreadable { reason } if reason.contains("minisign -l")),
        "{found}"
    );
}

#[tokio::test]
async fn a_signature_ends_when_it_says() {
    let Some(signer) = Signer::new() else { return };
    // 2027-01-31T23:59:59Z and the second after it.
    let (last, over) = (1_801_439_999, 1_801_440_000);
    let wasm = component("a");
    for (comment, ends) in [
        ("feed", None),
        ("expires:2027-01-31", Some("2027-01-31")),
        (
            "timestamp:1\tEXPIRES:2027-02-01T00:00:00Z\tfile:a",
            Some("2027-02-01T00:00:00Z"),
        ),
        (
            "expires:2027-02-01T02:00:00+02:00 feed",
            Some("2027-02-01T02:00:00+02:00"),
        ),
        ("expires:2999-01-01 expires:2027-01-31", Some("2027-01-31")),
    ] {
        let reference = Reference::Path(signer.sign(&wasm, comment, &[]));
        let at = |seconds| client().with_clock(StandingClock::at(seconds));
        assert!(
            fetch(&at(last), &reference, &signer.keys()).await.is_ok(),
            "{comment}"
        );
        let found = fetch(&at(over), &reference, &signer.keys()).await;
        let Some(ends) = ends else {
            assert!(found.is_ok(), "{comment}");
            continue;
        };
        let (found, text) = fault(found);
        assert!(
            matches!(&found, SignatureFault::Expired { expires, .. } if expires == ends),
            "{found}"
        );
        assert!(text.contains("minisign -S"), "{text}");
    }
    for comment in [
        "expires:",
        "expires:soon",
        "expires: 2999-01-01",
        "expires:2999-13-01",
        "expires:0001-01-01",
    ] {
        let reference = Reference::Path(signer.sign(&wasm, comment, &[]));
        let (found, _) = fault(fetch(&client(), &reference, &signer.keys()).await);
        assert!(
            matches!(found, SignatureFault::Expiry { .. }),
            "{comment}: {found}"
        );
    }
}

#[tokio::test]
async fn one_signature_serves_the_file_and_the_registry() {
    let (Some(signer), Some(mut registry)) = (Signer::new(), DockerRegistry::start()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, wasm, tag) = (
        caching(&folder),
        component("a"),
        registry.reference("team/feed:1"),
    );
    let text = signature(&signer.sign(&wasm, "feed", &[]));

    let unsigned = client().push(Arc::clone(&wasm), None, &tag, None).await.unwrap();
    let (found, error) = fault(fetch(&ours, &oci(&tag), &signer.keys()).await);
    assert!(
        matches!(found, SignatureFault::Unsigned { .. }) && error.starts_with(&tag.to_string()),
        "{error}"
    );
    // Signed afterwards: the component in the cache does not stand in the way.
    let pushed = client()
        .push(Arc::clone(&wasm), Some(&text), &tag, None)
        .await
        .unwrap();
    assert_eq!(pushed, unsigned);
    for reference in [&tag, &pushed.reference] {
        let fetched = fetch(&ours, &oci(reference), &signer.keys()).await.unwrap();
        assert_eq!(fetched.signature.as_ref(), Some(&text));
        assert!(fetched.signed_by.is_some());
    }
    assert!(ours.list().await.unwrap()[0].signed);
    registry.stop();
    let kept = fetch(&ours, &oci(&pushed.reference), &signer.keys())
        .await
        .unwrap();
    assert!(kept.from_cache && kept.signed_by.is_some());
    let by_digest = Reference::parse(&pushed.component_digest).unwrap();
    assert!(
        fetch(&ours, &by_digest, &signer.keys())
            .await
            .unwrap()
            .signed_by
            .is_some()
    );

    // Whoever trusts another key learns that from the cache too.
    let other = Signer::new().unwrap();
    let (found, _) = fault(fetch(&ours, &oci(&pushed.reference), &other.keys()).await);
    assert!(matches!(found, SignatureFault::OtherKey { .. }), "{found}");
}

#[tokio::test]
async fn a_signature_that_was_renewed_is_looked_for_when_the_kept_one_expired() {
    let (Some(signer), Some(registry)) = (Signer::new(), DockerRegistry::start()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (wasm, tag) = (component("a"), registry.reference("feed:1"));
    let sign = |comment: &str| signature(&signer.sign(&wasm, comment, &[]));
    let push = async |text: String| {
        client()
            .push(Arc::clone(&wasm), Some(&text), &tag, None)
            .await
            .unwrap()
    };
    let ours = |seconds| caching(&folder).with_clock(StandingClock::at(seconds));

    let pinned = oci(&push(sign("expires:2027-01-31")).await.reference);
    assert!(fetch(&ours(1_801_000_000), &pinned, &signer.keys()).await.is_ok());
    let (found, _) = fault(fetch(&ours(1_802_000_000), &pinned, &signer.keys()).await);
    assert!(matches!(found, SignatureFault::Expired { .. }), "{found}");
    push(sign("expires:2028-01-31")).await;
    assert!(fetch(&ours(1_802_000_000), &pinned, &signer.keys()).await.is_ok());
}

#[tokio::test]
async fn a_signature_that_nobody_can_look_up_is_not_called_missing() {
    let (Some(signer), Some(mut registry)) = (Signer::new(), DockerRegistry::start()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, tag) = (caching(&folder), registry.reference("feed:1"));
    let pushed = client().push(component("a"), None, &tag, None).await.unwrap();
    crate::support::fetch(&ours, &pushed.reference).await.unwrap();
    registry.stop();
    let error = fetch(&ours, &oci(&pushed.reference), &signer.keys())
        .await
        .unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("could not be looked up"),
        "{error}"
    );
}

#[tokio::test]
async fn a_signature_of_another_program_is_not_written_over() {
    let (Some(signer), Some(registry)) = (Signer::new(), DockerRegistry::start()) else {
        return;
    };
    let wasm = component("a");
    let path = signer.sign(&wasm, "feed", &[]);
    let reference = registry.reference("feed:1");
    let pinned = push(&reference, &wasm).await;
    let tag = signature_tag(pinned.digest().unwrap());
    assert!(tag.starts_with("sha256-") && tag.ends_with(".sig"), "{tag}");
    let theirs = push(&registry.reference(&format!("feed:{tag}")), &component("b")).await;
    let signed = client()
        .push(wasm, Some(&signature(&path)), &reference, None)
        .await;
    let text = signed.unwrap_err().to_string();
    assert!(text.contains("another program"), "{text}");
    let left = client()
        .resolve(&oci(&registry.reference(&format!("feed:{tag}"))), None)
        .await;
    assert_eq!(left.unwrap().digest(), theirs.digest());
}
