use std::error::Error;

use super::*;
use crate::Offset;

#[test]
fn offsets_in_messages_are_short_and_harmless() {
    let offset = Offset::from(serde_json::Value::from(format!(
        "\u{9b}2J{}",
        "x".repeat(1 << 20)
    )));
    let errors = [
        PipelineError::TooManyBytes {
            end: offset.clone(),
            max: 7,
        },
        PipelineError::Stuck { rows: 3, offset },
    ];
    for error in errors {
        let said = error.to_string();
        assert!(said.contains("\"\u{fffd}2Jxxx") && said.contains('…'), "{said}");
        assert!(
            said.len() < 600 && !said.chars().any(char::is_control),
            "{said:?}"
        );
    }
}

/// One of each kind that has a cause.
fn with_a_cause() -> Vec<PipelineError> {
    let cause = || Cause::from("the disk is full");
    let store = object_store::Error::NotImplemented {
        operation: "put".into(),
        implementer: "fake".into(),
    };
    vec![
        SourceError::Sandbox(cause()).into(),
        SinkError::Unknown {
            batch: 3,
            source: cause(),
        }
        .into(),
        SinkError::Store {
            context: "can't write".into(),
            source: cause(),
        }
        .into(),
        CheckpointError::Store {
            path: "offsets/3".into(),
            source: store,
        }
        .into(),
    ]
}

#[test]
fn a_chain_of_errors_has_each_text_once() {
    for error in with_a_cause() {
        let mut texts = vec![];
        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(error) = next {
            texts.push(error.to_string());
            next = error.source();
        }
        for (place, text) in texts.iter().enumerate() {
            let repeated = texts[place + 1..].iter().any(|below| text.contains(below));
            assert!(!repeated, "{texts:?}");
        }
        assert_eq!(with_causes(&error), texts.join(": "));
    }
}

#[test]
fn a_text_that_has_its_cause_in_it_is_not_followed_by_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("it broke: {0}")]
    struct Talkative(#[source] std::io::Error);

    let error = SinkError::Store {
        context: "can't write".into(),
        source: Box::new(Talkative(std::io::Error::other("disk full"))),
    };
    assert_eq!(with_causes(&error), "can't write: it broke: disk full");
}
