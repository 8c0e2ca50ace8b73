//! The protocol's cases as plain text: `scenarios/*.txt`, one case each, what has to come of it included.
//!
//! ```text
//! source bounded|sequential|any rows=25 per-batch=10    a remote with the rows 1 to 25; `any` plays it with both
//! progress table|log|any                                where the offset of a commit lies
//! note {"current": 20}                                  a PySpark job's progress.json in the checkpoint location
//!
//! start A                                               A process begins and runs to its end, or to what is said:
//! start A crash after=commit 2                            gone after the commit of its second micro-batch
//! start A error before=claim 1                            the call fails, its effect did not happen
//! start A error after=commit 1                            it happened, though an error comes back
//! start A unavailable before=read 1                       fails as what may work later; tried again
//! start A stop after=acknowledge 1                        someone asks A to stop
//! start B pause before=commit 1                           stands still, until `resume B`, with all that can follow
//! start A version=0.2.0 per-batch=5 trigger=once        another version of the component; smaller batches, one
//! expect A done at 25                                   or: stopped at 10, superseded, offset unknown,
//!                                                       commit unknown, table changed, rolled back, unavailable,
//!                                                       failed, paused, crashed. An error that no line expects is
//!                                                       wrong
//! message A another runner                              a part of what A's error says
//!
//! grow 7                                                the remote has more rows
//! lose checkpoint                                       all that lies in the checkpoint location
//! copy checkpoint                                       keeps a copy of it, for `restore checkpoint`
//! lose entries 2                                        the offset log's entries from number 2 on
//! remove table                                          it is gone, or another one is in its place
//! restore table 1                                       another writer's RESTORE: the first micro-batch's rows stay
//! claim 2 at=17                                         somebody's entry in the offset log, never committed
//! reset 20                                              the operator's `sandbar reset --to-offset`; `expect reset ...`
//!
//! table 1..10 3:11..20 (25)                             the table's micro-batches by their ids, with the number where
//!                                                       it is not the next one; (25) has no rows and ends at 25
//! versions 0.1.0 0.2.0                                  which version of the component read each of them
//! acknowledged 10 20 25                                 what the source was told
//! noted 25                                              the progress note
//! offset log 1 2 3                                      the numbers taken in the offset log
//! ```
//!
//! Steps in their order: ask (the table), verify (that its rows are still there), load (the offset log's entry), initial, look (for all that exists),
//! plan, partitions, read, next, stage, write, finish, claim (an entry of the offset log), commit, prune,
//! acknowledge, note. Behind a step stands the micro-batch of that process in which it happens. If nothing is
//! said it is the first one, or 0 for what comes before it: ask, verify, load, initial, look. `acknowledge 0` is the one
//! that a start repeats. A fault meets the first call of its step there; a claim that finds its number taken is a
//! call too.

mod play;
mod words;

use std::path::Path;

use words::Scenario;

async fn play(file: &str, text: &str) -> Result<usize, String> {
    let scenario = Scenario::parse(file, text)?;
    let worlds = scenario.worlds()?;
    let count = worlds.len();
    for world in worlds {
        play::play(&scenario, world).await?;
    }
    Ok(count)
}

#[tokio::test]
async fn every_scenario_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/scenarios");
    let (mut files, mut plays) = (0, 0);
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        files += 1;
        match play(name, &text).await {
            Ok(count) => plays += count,
            Err(error) => wrong.push(error),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{files} scenarios in {plays} plays");
    assert!(files >= 25, "{files}");
}

const RIGHT: &str = "\
# Two lives.
source bounded rows=25 per-batch=10
progress log
start A crash before=commit 2
table 1..10
start A
table 1..10 3:11..20 21..25
acknowledged 10 10 20 25
offset log 1 2 3 4
";

#[tokio::test]
async fn a_wrong_expectation_is_named_with_file_and_line() {
    assert_eq!(play("right.txt", RIGHT).await, Ok(1));
    for (line, right, wrong, message) in [
        (5, "table 1..10\n", "table 1..11\n", "expected 1..11, found 1..10"),
        (
            7,
            "3:11..20",
            "11..20",
            "expected 1..10 11..20 21..25, found 1..10 3:11..20 21..25",
        ),
        (8, "10 10 20", "10 20", "expected 10 20 25, found 10 10 20 25"),
        (9, "log 1 2 3 4", "log 1 2 3", "expected 1 2 3, found 1 2 3 4"),
        (
            4,
            "commit 2",
            "commit 9",
            "expected crash before=commit 9, found done at 25",
        ),
        (
            4,
            "crash before",
            "error before",
            "expected an end without an error or a line for it, found failed",
        ),
    ] {
        assert!(RIGHT.contains(right));
        let error = play("case.txt", &RIGHT.replacen(right, wrong, 1))
            .await
            .unwrap_err();
        assert!(error.starts_with(&format!("case.txt:{line}: ")), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[tokio::test]
async fn what_an_error_is_expected_to_be_must_be_right_too() {
    let text = RIGHT.replace(
        "crash before=commit 2",
        "error before=commit 2\nexpect A superseded",
    );
    let error = play("case.txt", &text).await.unwrap_err();
    assert!(
        error.starts_with("case.txt:5: expect A: expected superseded, found failed"),
        "{error}"
    );
    let text = text.replace("A superseded", "A failed\nmessage A no such words");
    let error = play("case.txt", &text).await.unwrap_err();
    assert!(
        error.starts_with("case.txt:6: message A: expected no such words, found"),
        "{error}"
    );
    let waiting = RIGHT.replace("start A crash", "start B pause");
    let error = play("case.txt", &waiting).await.unwrap_err();
    assert!(error.contains("found that it stands still"), "{error}");
}

#[tokio::test]
async fn what_is_no_word_is_named_with_file_and_line() {
    for (line, right, wrong, message) in [
        (2, "source", "sources", "unknown word \"sources\""),
        (2, "bounded", "endless", "unknown source \"endless\""),
        (2, "rows=25", "rows=many", "\"many\" is no number"),
        (4, "start", "begin", "unknown word \"begin\""),
        (4, "crash", "burn", "unknown word \"burn\""),
        (4, "commit 2", "comit 2", "unknown step \"comit\""),
        (
            4,
            "before=commit",
            "during=commit",
            "before= or after= is missing",
        ),
        (9, "offset log", "offsets", "unknown word \"offsets\""),
    ] {
        assert!(RIGHT.contains(right));
        let error = play("case.txt", &RIGHT.replacen(right, wrong, 1))
            .await
            .unwrap_err();
        let expected = format!("case.txt:{line}: {message}");
        assert!(error.starts_with(&expected), "{error}");
    }
}
