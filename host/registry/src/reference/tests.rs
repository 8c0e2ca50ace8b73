use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn each_form_is_told_from_the_others() {
    let path = |text: &str| Reference::Path(text.into());
    for (text, wanted) in [
        ("comments", Reference::Builtin("comments".into())),
        ("feed.wasm", path("feed.wasm")),
        ("feed@1.0.wasm", path("feed@1.0.wasm")),
        ("./feed", path("./feed")),
        ("parts\\feed", path("parts\\feed")),
        ("ghcr.io/team/feed:1", path("ghcr.io/team/feed:1")),
        (
            "feed@1.2.0-rc.1+5",
            Reference::Folder {
                name: "feed".into(),
                version: "1.2.0-rc.1+5".into(),
            },
        ),
        (
            DIGEST,
            Reference::Digest {
                name: None,
                digest: DIGEST.into(),
            },
        ),
        (
            &format!("feed@{DIGEST}"),
            Reference::Digest {
                name: Some("feed".into()),
                digest: DIGEST.into(),
            },
        ),
    ] {
        assert_eq!(Reference::parse(text).unwrap(), wanted, "{text}");
    }
}

#[test]
fn a_registry_is_taken_to_pieces() {
    let parse = |text: &str| text.parse::<OciReference>().unwrap();
    let full = parse(&format!("oci://GHCR.io/team/my-feed__2:1.0_x@{DIGEST}"));
    assert_eq!(
        (full.registry(), full.repository()),
        ("ghcr.io", "team/my-feed__2")
    );
    assert_eq!((full.tag(), full.digest()), (Some("1.0_x"), Some(DIGEST)));
    assert!(!full.is_loopback());
    assert_eq!(parse("oci://[::1]:5000/a:1").registry(), "[::1]:5000");
    for host in [
        "localhost",
        "LOCALHOST:5000",
        "127.0.0.1:5000",
        "127.9.9.9",
        "[::1]",
        "[::1]:5000",
    ] {
        assert!(parse(&format!("oci://{host}/a:1")).is_loopback(), "{host}");
    }
    for host in [
        "localhost.example",
        "127.0.0.1.example",
        "0.0.0.0",
        "128.0.0.1",
        "[::2]",
        "registry:5000",
    ] {
        assert!(!parse(&format!("oci://{host}/a:1")).is_loopback(), "{host}");
    }
}

#[test]
fn what_is_no_reference_is_refused_with_how_it_is_written() {
    let long = "a".repeat(129);
    for (text, says) in [
        ("", "empty"),
        ("a\u{1b}[2J", "can't be printed"),
        ("a\nb.wasm", "can't be printed"),
        ("https://ghcr.io/a:1", "written oci://host/path:tag"),
        ("docker://ghcr.io/a:1", "written oci://host/path:tag"),
        ("a b", "a name has"),
        ("-a", "a name has"),
        (&long, "a name has"),
        ("a@", "a version has"),
        ("a@-1", "a version has"),
        ("a@1@2", "a version has"),
        ("a@..", "a version has"),
        ("sha256:12", "a digest is"),
        ("a@sha256:12", "a digest is"),
        (&DIGEST.to_uppercase().replace("SHA", "sha"), "a digest is"),
        ("oci://ghcr.io", "no path"),
        ("oci://ghcr.io/", "a path in a registry"),
        ("oci:///a:1", "its host is none"),
        ("oci://ghcr.io/a", "neither a tag nor a digest"),
        ("oci://ghcr.io/a:", "a tag has"),
        ("oci://ghcr.io/a:-1", "a tag has"),
        ("oci://ghcr.io/a:1:2", "a tag has"),
        ("oci://ghcr.io/a:1/b", "a tag has"),
        ("oci://ghcr.io/A:1", "a path in a registry"),
        ("oci://ghcr.io/a//b:1", "a path in a registry"),
        ("oci://ghcr.io/../b:1", "a path in a registry"),
        ("oci://ghcr.io/a_-b:1", "a path in a registry"),
        ("oci://ghcr.io/a?b:1", "a path in a registry"),
        ("oci://ghcr.io/a%2f:1", "a path in a registry"),
        ("oci://user:secret@ghcr.io/a:1", "no digest"),
        ("oci://ghcr.io/a@sha512:12", "no digest"),
        ("oci://ghcr.io:0/a:1", "its host is none"),
        ("oci://ghcr.io:65536/a:1", "its host is none"),
        ("oci://ghcr.io:/a:1", "its host is none"),
        ("oci://-ghcr.io/a:1", "its host is none"),
        ("oci://ghcr..io/a:1", "its host is none"),
        ("oci://127.1/a:1", "its host is none"),
        ("oci://0x7f000001/a:1", "its host is none"),
        ("oci://::1/a:1", "its host is none"),
        ("oci://[::1/a:1", "its host is none"),
    ] {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(Reference::parse(&format!("./{}", "a".repeat(4095))).is_err());
    assert!("comments".parse::<OciReference>().is_err());
}

proptest! {
    #[test]
    fn what_is_parsed_is_written_and_parsed_again(text in "\\PC{0,40}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
    }

    #[test]
    fn so_is_what_looks_like_a_reference(
        scheme in "(oci://)?",
        host in "([A-Za-z0-9.-]{1,8}|\\[::1\\])?(:[0-9]{0,6})?/?",
        path in "([a-z0-9._/-]{0,12})",
        tag in "([:@][A-Za-z0-9._+-]{0,6})?",
        digest in "(@?sha256:([0-9a-f]{64}|[0-9a-f]{3}))?",
    ) {
        let text = format!("{scheme}{host}{path}{tag}{digest}");
        if let Ok(reference) = Reference::parse(&text) {
            let written = reference.to_string();
            prop_assert_eq!(Reference::parse(&written).unwrap(), reference);
            prop_assert_eq!(written.to_lowercase(), text.to_lowercase());
        }
    }

    #[test]
    fn every_well_formed_registry_is_taken(
        host in "[a-z]{1,8}(-[a-z0-9]{1,4})?(\\.[a-z]{2,6}){0,2}",
        port in proptest::option::of(1u16..),
        path in "[a-z0-9]{1,5}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,5}){0,2}",
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,8}"),
    ) {
        let mut text = format!("oci://{host}");
        if let Some(port) = port {
            text += &format!(":{port}");
        }
        text += &format!("/{path}");
        text += &match &tag {
            Some(tag) => format!(":{tag}"),
            None => format!("@{DIGEST}"),
        };
        prop_assert_eq!(text.parse::<OciReference>().unwrap().to_string(), text);
    }
}
