use super::protocol::{Request, RequestKind, Response};

#[test]
fn requests_and_responses_are_lines_of_json_that_read_back() {
    let swap = RequestKind::Swap {
        reference: "oci://host/c:2".into(),
        again: true,
        reason: "a\nreason".into(),
    };
    for kind in [RequestKind::List, RequestKind::Pause, swap] {
        let request = Request {
            pipeline: Some("p".into()),
            user: "me".into(),
            kind,
        };
        let line = serde_json::to_string(&request).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    }
    let least: Request =
        serde_json::from_str(r#"{"command":"swap","pipeline":"p","reference":"c@2"}"#).unwrap();
    assert!(matches!(least.kind, RequestKind::Swap { again: false, .. }));
    assert!(serde_json::from_str::<Request>(r#"{"command":"format"}"#).is_err());
    let failed = r#"{"failed":{"message":"no","mistake":true}}"#;
    assert!(matches!(
        serde_json::from_str(failed).unwrap(),
        Response::Failed { mistake: true, .. }
    ));
}
