//! APIs that give rows again: they ignore where a page is to begin, or their total is none.

use sandbar_sdk::http::Response;
use sandbar_sdk::{Error, ReadLimit, Result};

use super::remote::{Remote, end, ids, max_rows, page, part};

fn latest(remote: &std::rc::Rc<Remote>, start: u64, limit: ReadLimit) -> Result<u64> {
    end(&remote.comments(""), start, limit).map(|latest| latest.current)
}

/// Gives its first rows for every start.
fn ignores_start(rows: u64) -> impl Fn(u64, u64, Response) -> Result<Response> {
    move |_, limit, response| Ok(response.with_body(page(0, limit.min(rows))))
}

fn refusal(outcome: Result<u64>) -> String {
    match outcome {
        Err(Error::Malformed(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_api_that_ignores_where_a_page_begins_is_refused_before_a_row_is_read() {
    for total in [true, false] {
        let remote = Remote::with_rows(250);
        remote.fail(ignores_start(250));
        if !total {
            remote.hide_total();
        }
        for start in [0, 1, 100, 249] {
            for limit in [ReadLimit::default(), max_rows(100)] {
                let said = refusal(latest(&remote, start, limit));
                assert!(
                    said.contains("gives the same row, with the id \"1\", for _start="),
                    "{said}"
                );
            }
        }
        assert!(remote.asked().len() <= 16, "two requests each time");
    }
}

#[test]
fn the_same_without_ids_is_seen_by_the_total() {
    let remote = Remote::with_rows(250);
    remote.fail(|_, limit, response| {
        Ok(response.with_body(format!("[{}]", vec!["{}"; limit as usize].join(","))))
    });
    let said = refusal(latest(&remote, 0, ReadLimit::default()));
    assert_eq!(
        said,
        "http://api/comments says that 250 rows exist and has row 250"
    );
}

#[test]
fn a_total_of_the_page_or_of_the_rows_so_far_is_refused() {
    for start in [0, 7] {
        let remote = Remote::with_rows(250);
        remote.hide_total();
        remote.fail(|start, limit, response| {
            let rows = 250u64.saturating_sub(start).min(limit);
            Ok(response.with_header("x-total-count", rows.to_string()))
        });
        let said = refusal(latest(&remote, start, ReadLimit::default()));
        assert!(
            said.starts_with("http://api/comments says that 1 rows exist and has row "),
            "{said}"
        );

        remote.fail(|start, limit, response| {
            let so_far = (start + limit).min(250);
            Ok(response.with_header("x-total-count", so_far.to_string()))
        });
        let said = refusal(latest(&remote, start, ReadLimit::default()));
        assert!(said.contains("always has one more"), "{said}");
        assert!(remote.asked().len() <= 6);
    }
}

#[test]
fn an_api_that_grows_while_it_is_asked_is_believed() {
    for by in [1, 2, 3, 100] {
        let remote = Remote::with_rows(25);
        let growing = std::rc::Rc::clone(&remote);
        remote.hide_total();
        let asked = std::cell::Cell::new(0);
        remote.fail(move |start, limit, response| {
            // It grows behind the first answer.
            let rows = if asked.replace(asked.get() + 1) == 0 {
                25
            } else {
                25 + by
            };
            growing.set_rows(rows);
            let response = response.with_body(page(start, rows.min(start + limit).max(start)));
            Ok(response.with_header("x-total-count", rows.to_string()))
        });
        assert_eq!(latest(&remote, 24, ReadLimit::default()).unwrap(), 25, "by {by}");
    }
}

#[test]
fn a_page_that_came_before_is_tried_again() {
    let remote = Remote::with_rows(30);
    remote.fail(|start, limit, response| {
        let start = if start == 20 { 0 } else { start };
        Ok(response.with_body(page(start, start + limit)))
    });
    let error = ids(&remote.comments(r#","page_size":10"#), part(0, 30)).unwrap_err();
    let Error::Unavailable { message, .. } = error else {
        panic!("{error}");
    };
    assert!(
        message.starts_with("GET http://api/comments?_start=20&_limit=10 gave a page that came before it"),
        "{message}"
    );
}

#[test]
fn rows_without_ids_may_be_the_same() {
    let remote = Remote::with_rows(4);
    remote.fail(|_, _, response| Ok(response.with_body("[{},{}]")));
    let batches = super::remote::batches(&remote.comments(r#","page_size":2"#), part(0, 4)).unwrap();
    assert_eq!(batches.len(), 2);
}
