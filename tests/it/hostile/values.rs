//! Values that a table can't hold, and offsets with more digits than a number of 64 bits.

use std::path::Path;
use std::sync::Arc;

use arrow_array::*;
use sandbar_hostile::{Call, Mode};

use super::ipc;
use super::world::{World, hex, hostile};
use crate::support::Settings;

/// A healthy source of these rows.
fn giving(world: &World, values: ArrayRef) -> Settings {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..values.len() as i32));
    let rows = RecordBatch::try_from_iter([("id", ids), ("value", values)]).unwrap();
    hostile(&world.api, Mode::Healthy, Call::Open)
        .set("source.options.schema", &hex(&ipc::schema(&rows.schema())))
        .set("source.options.rows", &format!("[{}]", hex(&ipc::stream(&rows))))
}

#[test]
fn a_value_that_no_table_holds_is_refused_with_its_row_and_column() {
    let world = World::new();
    let decimals = Decimal128Array::from(vec![0, 1, 100_000]);
    let lists = ListArray::from_iter_primitive::<types::Date32Type, _, _>([
        None,
        Some(vec![Some(0)]),
        Some(vec![None, Some(i32::MIN)]),
    ]);
    let values: [(ArrayRef, &str); 6] = [
        (
            Arc::new(Date32Array::from(vec![0, 1, i32::MAX])),
            "column \"value\", row 3: ",
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1, i64::MAX]).with_timezone("UTC")),
            "column \"value\", row 3: ",
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![0, 1, -62_135_596_800_001])),
            "column \"value\", row 3: ",
        ),
        (
            Arc::new(TimestampSecondArray::from(vec![0, 1, i64::MAX])),
            "(row 3)",
        ),
        (
            Arc::new(decimals.with_precision_and_scale(5, 2).unwrap()),
            "column \"value\", row 3: ",
        ),
        (Arc::new(lists), "column \"value.element\", row 3: "),
    ];
    for (number, (values, says)) in values.into_iter().enumerate() {
        let name = format!("wild-{number}");
        let file = format!("{name}.toml");
        world.work.add(&giving(&world, values).named(&name));
        let run = world.work.run_available(&name).with_code(1);
        run.saying(&[says, "can't take these rows", "column \"value"]);
        let left = world.work.files_in(&format!("lake/{name}"));
        let left: Vec<_> = left.iter().filter(|path| is_of_table(path)).collect();
        assert!(left.is_empty(), "{left:?}");
        for format in ["table", "json", "csv"] {
            let preview = world
                .work
                .run(&["preview", &file, "--format", format])
                .with_code(1);
            assert_eq!(preview.stdout, "");
            preview.saying(&[says]);
        }
        // The rows before it can be seen.
        let preview = world
            .work
            .run(&["preview", &file, "--rows", "2", "--format", "json"]);
        assert_eq!(preview.ok().stdout.lines().count(), 2);
    }
}

fn is_of_table(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| kind == "parquet" || kind == "json")
}

#[test]
fn a_value_that_can_not_be_shown_is_not_shown_as_an_error() {
    let world = World::new();
    // No table has the type: the schema is refused by `run`, and a preview has nothing to do with a table.
    let values: ArrayRef = Arc::new(Time32SecondArray::from(vec![0, 86_399, 86_400]));
    world.work.add(&giving(&world, values).named("clock"));
    for format in ["table", "json", "csv"] {
        let preview = world.work.run(&["preview", "clock.toml", "--format", format]);
        let preview = preview
            .with_code(1)
            .saying(&["column \"value\", row 3 can't be printed"]);
        assert_eq!(preview.stdout, "");
    }
}

#[test]
fn a_partition_value_that_would_come_back_as_null_is_refused() {
    let world = World::new();
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("")]));
    let settings = giving(&world, values).set("sink.partition_by", "['value']");
    world.work.add(&settings.named("empty"));
    let run = world.work.run_available("empty").with_code(1);
    run.saying(&["column \"value\", row 3: ", "would come back as null"]);
}

#[test]
fn numbers_of_offsets_keep_their_digits() {
    let world = World::new();
    for (name, place) in [("in-table", "'table'"), ("in-log", "'checkpoint'")] {
        let settings = hostile(&world.api, Mode::Healthy, Call::Open).set("sink.progress", place);
        world.work.add(&settings.named(name));
        world.work.run_available(name).ok();
        let file = format!("{name}.toml");
        let log = |version: u64| {
            world
                .work
                .read(&format!("lake/{name}/_delta_log/{version:020}.json"))
        };
        // Two that are one in 64 bits.
        let offsets = [
            r#"{"at":1700000000.123456788,"id":18446744073709551616}"#,
            r#"{"at":1700000000.123456789,"id":18446744073709551616}"#,
        ];
        for (version, to) in (1..).zip(offsets) {
            world
                .work
                .run(&["reset", &file, "--to-offset", to, "--yes"])
                .ok()
                .saying(&[to]);
            let commit = log(version);
            let quoted = serde_json::to_string(to).unwrap();
            let quoted = quoted.trim_matches('"');
            assert!(commit.contains(&format!(r#"\"end\":{quoted}"#)), "{commit}");
            let status = world.work.run(&["status", &file, "--json"]).ok().stdout;
            assert!(status.contains(&format!("\"offset\":{to}")), "{status}");
            assert!(status.contains(&format!("\"end\":{to}")), "{status}");
            let shown = world.work.run(&["status", &file]).ok().stdout;
            assert!(shown.contains(to), "{shown}");
        }
        let before = log(2);
        assert!(
            // Where the table does not know the end of the batch before, the start is the new one too.
            (place == "'checkpoint'" || before.contains("123456788")) && before.contains("123456789"),
            "start and end: {before}"
        );
        // The next run begins at the last of them.
        let run = world.work.run_available(name).ok();
        assert!(
            run.stdout.contains(&format!("\"start\":{}", offsets[1])),
            "{}",
            run.stdout
        );
        if place == "'checkpoint'" {
            let entry = world.work.read(&format!("lake/_checkpoints/{name}/offsets/3"));
            assert!(entry.contains(&format!("\"end\":{}", offsets[1])), "{entry}");
        }
    }
}

#[test]
fn a_source_does_not_go_on_from_another_number_than_it_was_told() {
    let world = World::new();
    world.work.add(&Settings::of(&world.api).named("numbers"));
    for note in [r#"{"current":18446744073709551616}"#, r#"{"current":20.0}"#] {
        world.work.write("lake/_checkpoints/numbers/progress.json", note);
        let run = world.work.run_available("numbers").with_code(1);
        run.saying(&[&format!("progress note {note} is not one of this source")]);
    }
    world
        .work
        .write("lake/_checkpoints/numbers/progress.json", "{\"current\":20}");
    assert_eq!(world.work.run_available("numbers").ok().batches(), [5]);
    for to in [r#"{"current":18446744073709551616}"#, r#"{"current":20.0}"#] {
        let reset = world
            .work
            .run(&["reset", "numbers.toml", "--to-offset", to, "--yes"]);
        reset
            .with_code(1)
            .saying(&[&format!("offset {to} is not one of this source")]);
    }
    world.work.run_available("numbers").ok().saying(&["nothing new"]);
}
