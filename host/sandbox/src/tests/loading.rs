//! Which track a component is linked to.

use super::*;

#[tokio::test]
async fn a_component_is_linked_to_the_track_that_it_names() {
    let sandbox = sandbox();
    let older = load(&sandbox, kept()).await;
    let newer = load(&sandbox, sandbar_test_track::COMPONENT).await;
    assert_eq!(older.track(), "sandbar:connector@0.1");
    assert_eq!(newer.track(), "sandbar:connector@1000.0.0-test");
    for (connector, version) in [(&older, "0.1.0"), (&newer, "0.2.0")] {
        assert_eq!(
            (&*connector.id().name, &*connector.id().version),
            ("comments", version)
        );
    }
}

#[tokio::test]
async fn what_speaks_no_track_is_refused_with_the_names_of_all() {
    let sandbox = sandbox();
    let tracks = "the tracks sandbar:connector@0.1, sandbar:connector@1000.0.0-test";
    let other =
        |version: &str| format!("it is made for sandbar:connector@{version}, and this host speaks {tracks}");
    let exporting = |names: &[&str]| {
        let exports = names
            .iter()
            .map(|name| format!("(export \"sandbar:connector/{name}\" (instance $i))"));
        format!("(component (instance $i) {})", exports.collect::<String>())
    };
    let cases = [
        ("(component)".to_owned(), format!("it is no source of {tracks}: ")),
        (exporting(&["connector@0.9.0"]), other("0.9.0")),
        (exporting(&["sources@1000.0.0"]), other("1000.0.0")),
        (exporting(&["sources@1000.0.0-test.2"]), other("1000.0.0-test.2")),
        (
            "(component (import \"sandbar:connector/values@0.9.0\" (instance)))".to_owned(),
            other("0.9.0"),
        ),
        // Both are known. It lacks what the newer one has, which is what it is taken for.
        (
            exporting(&["sources@1000.0.0-test", "connector@0.1.0"]),
            format!(
                "it is no source of {tracks}: instance export `sandbar:connector/sources@1000.0.0-test` does not have \
                 export `introduce`"
            ),
        ),
        // It may import the interfaces of its own track only.
        (
            "(component (import \"sandbar:connector/log@0.1.0\" (instance (export \"log\" (func)))) (instance $i) \
             (export \"sandbar:connector/sources@1000.0.0-test\" (instance $i)))"
                .to_owned(),
            format!("it is no source of {tracks}: function implementation is missing"),
        ),
    ];
    for (text, says) in cases {
        let refused = try_load(&sandbox, wat::parse_str(&text).unwrap()).await;
        let Err(SandboxError::Load { reason, .. }) = refused.map(|connector| connector.track()) else {
            panic!("{text} is taken for a source");
        };
        assert!(reason.starts_with(&says), "{text}: {reason}");
    }
}
