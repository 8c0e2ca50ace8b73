//! Answers that are right, and not as one would write them: other charsets, byte order marks, odd codings, no body.

use sandbar_harness::{Fault, ScriptedApi};

use crate::support::{Settings, Workspace};

#[test]
fn charsets_and_byte_order_marks_change_no_row() {
    for (fault, name) in [
        (Fault::Charset("iso-8859-1"), "Zürich"),
        (Fault::Charset("utf-16le"), "Zürich"),
        (Fault::ByteOrderMark, "name 1"),
    ] {
        let api = ScriptedApi::start(15);
        api.fault_when(|_| true, fault.clone(), usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        work.read_available();
        let mut rows = work.table().rows();
        rows.sort_by_key(|row| row.id);
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, (1..=15).collect::<Vec<_>>(), "{fault:?}");
        assert!(rows.iter().any(|row| row.name == name), "{fault:?}: {rows:?}");
    }
}

#[test]
fn words_that_are_no_coding_are_not_minded() {
    for word in ["", "none", "UTF-8", "identity", "binary"] {
        let api = ScriptedApi::start(15);
        api.fault_when(|_| true, Fault::ContentEncoding(word.into()), usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        work.read_available();
        work.table().assert_once(1..=15);
    }
}

#[test]
fn a_coding_that_nobody_can_undo_is_said_in_words_and_not_tried_again() {
    for (coding, why) in [
        (
            "compress",
            "its body is coded as compress, which was not asked for; gzip, br, zstd and deflate are known",
        ),
        (
            "gzip, br",
            "its body is coded 2 times (gzip in br); one coding is undone",
        ),
        ("gzip", "its body is not coded as its content-encoding says"),
    ] {
        let api = ScriptedApi::start(15);
        api.fault_when(|_| true, Fault::ContentEncoding(coding.into()), usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        let ended = work.run_available("comments").with_code(1).saying(&[why]);
        assert!(
            !ended.stderr.contains("HttpResponseContentCoding"),
            "{}",
            ended.stderr
        );
        assert_eq!(api.requests().len(), 1, "{coding}");
    }
}

#[test]
fn an_answer_without_a_body_is_the_end_of_an_api_without_totals() {
    for code in [204, 200] {
        let api = ScriptedApi::start(25);
        let beyond = |request: &sandbar_harness::RecordedRequest| {
            let start = request
                .parameter("_start")
                .and_then(|text| text.parse::<u64>().ok());
            start.is_some_and(|start| start >= 25)
        };
        api.fault_when(beyond, Fault::status(code), usize::MAX);
        api.fault_when(|_| true, Fault::NoTotalHeader, usize::MAX);
        let work = Workspace::with(&Settings::of(&api));
        work.read_available();
        work.read_available();
        work.table().assert_once(1..=25);
    }
}
