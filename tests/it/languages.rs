//! The comments source, written and built in different ways: each gives the same table, bit for bit.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use sandbar_harness::ScriptedApi;
use sandbar_test_components::COMMENTS_OVER_WASI;
use serde_json::json;

use crate::support::{Settings, Workspace};

/// Reads two times what a growing API has, in micro-batches of several partitions with several pages each.
fn read(work: &Workspace, api: &ScriptedApi) -> Vec<RecordBatch> {
    let file = |component: &str| {
        Settings::of(api)
            .set("source.component", &format!("'{component}'"))
            .set("source.options.rows_per_batch", "40")
            .set("source.options.page_size", "7")
            // Rows of several partitions come in any order.
            .set("source.limits.parallelism", "1")
    };
    let component = if work.path("comments.wasm").exists() {
        "./comments.wasm"
    } else {
        "comments"
    };
    work.add(&file(component));
    let run = work.read_available();
    assert_eq!(run.batches(), [40, 40, 20]);
    let table = work.table();
    let files = table.record_batches().into_iter();
    let mut files: Vec<_> = files.map(|(_, rows)| rows).collect();
    // Their names say nothing of their order.
    files.sort_by_key(|rows| rows.column(0).as_primitive::<Int32Type>().value(0));
    files
}

#[test]
fn over_the_contracts_interface_and_over_wasi_http_comes_the_same_table() {
    let api = ScriptedApi::start(100);
    let direct = read(&Workspace::new(), &api);
    assert_eq!(direct.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
    let work = Workspace::new();
    std::fs::write(work.path("comments.wasm"), COMMENTS_OVER_WASI).unwrap();
    assert_eq!(read(&work, &api), direct);
    assert_eq!(work.table().end("comments"), Some(json!({"current": 100})));
    let inspected = work.run(&["inspect", "./comments.wasm", "--json"]).ok();
    assert!(
        inspected.stdout.contains("wasi:http/outgoing-handler"),
        "{}",
        inspected.stdout
    );
}
