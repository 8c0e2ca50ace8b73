use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;

use super::*;
use crate::{Document, parse_schema};

const LIMITS: RowLimits = RowLimits {
    rows: 1_000,
    bytes: 1 << 20,
};

fn decoder(schema: &str, selection: Selection) -> Decoder {
    Decoder::new(parse_schema(schema).unwrap(), selection).unwrap()
}

fn at(path: &str, layout: Layout) -> Selection {
    Selection::at(path, layout).unwrap()
}

/// The values of the columns `id` and `name` of each row.
fn rows(decoder: &Decoder, text: &str) -> Vec<(Option<i64>, Option<String>)> {
    let batch = decoder.decode(text.as_bytes(), LIMITS).unwrap();
    let (ids, names) = (
        batch.column(0).as_primitive::<Int64Type>(),
        batch.column(1).as_string::<i32>(),
    );
    ids.iter()
        .zip(names)
        .map(|(id, name)| (id, name.map(str::to_owned)))
        .collect()
}

fn row(id: i64, name: &str) -> (Option<i64>, Option<String>) {
    (Some(id), Some(name.to_owned()))
}

fn refusal(decoder: &Decoder, text: &str) -> String {
    decoder.decode(text.as_bytes(), LIMITS).unwrap_err().to_string()
}

#[test]
fn columns_come_from_pointers_texts_and_constants() {
    let selection = at("/data/items", Layout::Array)
        .with_value("id", "/key/0")
        .and_then(|selection| selection.with_json("name", "/user"))
        .unwrap()
        .with_constant("source", "\"api\"");
    let decoder = decoder(
        "id bigint, name string, source string not null, more int",
        selection,
    );
    let text = r#"{"data": {"next": null, "items": [
        {"key": [1, "x"], "user": {"login" : "ada"}, "more": 5},
        {"user": "bob", "key": []},
        {"user": null, "key": 7}
    ]}, "after": [1, {"items": 2}]}"#;
    let batch = decoder.decode(text.as_bytes(), LIMITS).unwrap();
    assert_eq!(
        rows(&decoder, text),
        [
            (Some(1), Some("{\"login\" : \"ada\"}".into())),
            (None, Some("\"bob\"".into())),
            (None, Some("null".into()))
        ]
    );
    let source = batch.column(2).as_string::<i32>();
    assert!(
        source.iter().all(|source| source == Some("api")),
        "a constant is in each row"
    );
    assert_eq!(batch.column(3).null_count(), 3, "what is not selected is null");
}

#[test]
fn one_pointer_may_be_the_beginning_of_another_and_feed_several_columns() {
    let selection = at("", Layout::Array)
        .with_value("id", "/user/id")
        .and_then(|selection| selection.with_json("name", "/user"))
        .and_then(|selection| selection.with_value("again", "/user/id"))
        .unwrap();
    let decoder = decoder("id bigint, name string, again bigint", selection);
    let text = r#"[{"user": {"id": 4, "x": [1]}}]"#;
    assert_eq!(
        rows(&decoder, text),
        [(Some(4), Some(r#"{"id": 4, "x": [1]}"#.into()))]
    );
    let batch = decoder.decode(text.as_bytes(), LIMITS).unwrap();
    assert_eq!(batch.column(2).as_primitive::<Int64Type>().value(0), 4);
}

#[test]
fn rows_stand_as_the_layout_says_and_in_no_other_way() {
    let schema = "id bigint, name string";
    let (array, lines, object) = (
        r#"[{"id":1,"name":"a"}]"#,
        "{\"id\":1,\"name\":\"a\"}\n\n{\"id\":2,\"name\":\"b\"}",
        r#"{"id":1,"name":"a"}"#,
    );
    for (layout, text, count) in [
        (Layout::Array, array, Some(1)),
        (Layout::Array, object, None),
        (Layout::Array, "null", Some(0)),
        (Layout::Array, " \n", Some(0)),
        (Layout::Array, "\u{feff}[]", Some(0)),
        (Layout::Array, "{\"error\": \"no\"}", None),
        (Layout::Lines, lines, Some(2)),
        (Layout::Lines, object, Some(1)),
        (Layout::Lines, "", Some(0)),
        (Layout::Lines, array, None),
        (Layout::Object, object, Some(1)),
        (Layout::Object, lines, None),
        (Layout::Object, array, None),
        (Layout::Object, "null", None),
        (Layout::Any, array, Some(1)),
        (Layout::Any, lines, Some(2)),
        (Layout::Any, "3", None),
        (Layout::Any, "\"[]\"", None),
    ] {
        let read = decoder(schema, at("", layout)).decode(text.as_bytes(), LIMITS);
        assert_eq!(
            read.ok().map(|rows| rows.num_rows()),
            count,
            "{layout:?} of {text}"
        );
    }
    assert!(Selection::at("/x", Layout::Lines).is_err());
    let below = decoder(schema, at("/items", Layout::Array));
    assert_eq!(refusal(&below, "{\"error\": \"no\"}"), "no array of rows");
}

#[test]
fn a_part_of_the_rows_is_taken_and_the_rest_is_checked() {
    let text = r#"[{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"},{"id":4,"name":"d"}]"#;
    let taken = |skip, max| {
        rows(
            &decoder("id bigint, name string", at("", Layout::Array).within(skip, max)),
            text,
        )
    };
    assert_eq!(taken(1, Some(2)), [row(2, "b"), row(3, "c")]);
    assert_eq!(taken(3, None), [row(4, "d")]);
    assert_eq!(taken(9, Some(1)), []);
    assert_eq!(taken(0, Some(0)), []);
    let first = decoder("id bigint, name string", at("", Layout::Array).within(0, Some(1)));
    assert!(refusal(&first, "[{\"id\":1},{\"id\":").contains("the text is cut off"));
    assert!(refusal(&first, "[{\"id\":1}] x").contains("text follows"));
}

#[test]
fn a_fault_names_row_field_and_byte() {
    let decoder = decoder(
        "id bigint not null, user struct<login: string not null, tags: array<int>>",
        Selection::default(),
    );
    for (text, says) in [
        (
            "[{\"id\":1},{\"id\":\"x\"}]",
            "row 1, field id: an integer is expected, and another kind of value is here (byte 16)",
        ),
        (
            "[{\"id\":1.5}]",
            "row 0, field id: the number is no integer, or too large for the column (byte 7)",
        ),
        (
            "[{}]",
            "row 0, field id: a value is missing, and the column may not be null (byte 1)",
        ),
        (
            "[{\"id\":null}]",
            "row 0, field id: a value is missing, and the column may not be null (byte 7)",
        ),
        (
            "[{\"id\":1,\"user\":{}}]",
            "row 0, field user.login: a value is missing, and the column may not be null (byte 16)",
        ),
        (
            "[{\"id\":1,\"user\":{\"login\":\"a\",\"tags\":[1,true]}}]",
            "row 0, field user.tags: an integer is expected, and another kind of value is here (byte 39)",
        ),
        (
            "[{\"id\":1,\"user\":{\"login\":\"a\",\"login\":\"b\"}}]",
            "row 0, field user.login: the object has this name twice (byte 37)",
        ),
        (
            "[{\"id\":1,\"id\":2}]",
            "row 0, field id: the object has this name twice (byte 14)",
        ),
        (
            "[1]",
            "row 0: an object with the columns of a row is expected, and another kind of value is here (byte 1)",
        ),
        (
            "[{\"id\":1}",
            "JSON that can't be read: the text is cut off (byte 9)",
        ),
    ] {
        assert_eq!(refusal(&decoder, text), says, "{text}");
    }
    let bytes = b"[{\"id\":1,\"x\":\"\xff\"}]";
    let error = decoder.decode(bytes, LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "text that is not UTF-8 (byte 14)");
}

#[test]
fn what_a_text_becomes_is_bounded_before_it_is_kept() {
    let decoder = decoder(
        "id bigint, name string, tags array<bigint>, m map<string, bigint>",
        Selection::default(),
    );
    let limits = RowLimits::new(10, 1_000);
    let refused = |text: String| {
        let error = decoder.decode(text.as_bytes(), limits).unwrap_err().to_string();
        assert!(
            error.contains("more than 1000 bytes") || error.contains("more than 10 rows"),
            "{error}"
        );
    };
    refused("{}".repeat(11));
    refused(format!("{{\"name\": \"{}\"}}", "x".repeat(1_000)));
    refused(format!("{{\"name\": \"{}\"}}", "\\n".repeat(1_000)));
    refused(format!("{{\"tags\": [{}1]}}", "1,".repeat(200)));
    let members: Vec<_> = (0..100).map(|n| format!("\"{n}\": null")).collect();
    refused(format!("{{\"m\": {{{}}}}}", members.join(",")));
    // What is skipped costs nothing.
    let skipped = format!("{{\"other\": \"{}\"}}", "x".repeat(10_000));
    assert!(decoder.decode(skipped.as_bytes(), limits).is_ok());
    let constant = Selection::default().with_constant("name", format!("\"{}\"", "x".repeat(200)));
    let constant = Decoder::new(decoder.schema().clone(), constant).unwrap();
    assert!(constant.decode(b"{}{}{}{}{}", limits).is_err());
    assert!(constant.decode(b"{}{}", limits).is_ok());
}

#[test]
fn an_array_is_a_row_only_where_columns_are_selected() {
    let by_name = decoder("a int, b int", Selection::default());
    for text in ["[[1,2]]", "[[\"a\",\"b\"],[1,2]]"] {
        assert!(
            refusal(&by_name, text).contains("an object with the columns of a row is expected"),
            "{text}"
        );
    }
    let by_place = Selection::default()
        .with_value("a", "/2")
        .and_then(|rows| rows.with_value("b", "/0"));
    let rows = decoder("a int, b int", by_place.unwrap())
        .decode(b"[[1,2,3,4],[5]]", LIMITS)
        .unwrap();
    let column = |index: usize| rows.column(index).as_primitive::<arrow_array::types::Int32Type>();
    assert_eq!(column(0).iter().collect::<Vec<_>>(), [Some(3), None]);
    assert_eq!(column(1).iter().collect::<Vec<_>>(), [Some(1), Some(5)]);
}

#[test]
fn little_text_makes_no_more_work_than_it_may() {
    // A constant that is long, or becomes much.
    let long = Selection::default().with_constant("id", format!("{}1", " ".repeat(600_000)));
    let rows = "{}".repeat(10);
    assert!(
        decoder("id bigint", long)
            .decode(rows.as_bytes(), LIMITS)
            .is_err()
    );
    let fields: Vec<_> = (0..1_000).map(|n| format!("c{n}: decimal(38, 0)")).collect();
    let schema = parse_schema(&format!("a array<struct<{}>>", fields.join(", "))).unwrap();
    let much = Selection::default().with_constant("a", format!("[{}{{}}]", "{},".repeat(10_000)));
    assert!(Decoder::new(schema, much).is_err());
    // One value that many columns are fed from.
    let names: Vec<_> = (0..100).map(|n| format!("c{n} struct<x: int>")).collect();
    let fed = (0..100).fold(Selection::default(), |rows, n| {
        rows.with_value(format!("c{n}"), "").unwrap()
    });
    let row = format!("[{{\"y\": \"{}\"}}]", "z".repeat(100_000));
    let error = decoder(&names.join(", "), fed)
        .decode(row.as_bytes(), LIMITS)
        .unwrap_err();
    assert_eq!(error, RowsError::TooLarge { max: LIMITS.bytes });
}

#[test]
fn a_selection_that_does_not_fit_is_refused_at_once() {
    let schema = parse_schema("id bigint not null, name string").unwrap();
    let refused = |selection: Selection| Decoder::new(schema.clone(), selection).unwrap_err().to_string();
    let all = Selection::default;
    assert!(refused(all().with_value("nobody", "/x").unwrap()).contains("is not in the schema"));
    assert!(
        refused(all().with_value("id", "/x").unwrap().with_constant("id", "1")).contains("selected twice")
    );
    assert!(refused(all().with_json("id", "/x").unwrap()).contains("is not of text"));
    for constant in ["\"x\"", "1 2", "{", "", "null"] {
        assert!(
            refused(all().with_constant("id", constant)).contains("does not fit its column"),
            "{constant}"
        );
    }
    for pointer in ["x", "/a~", "/a~2b"] {
        assert!(all().with_value("id", pointer).is_err(), "{pointer}");
    }
    let types = parse_schema("id bigint").unwrap();
    let odd = arrow_schema::Field::new(
        "t",
        arrow_schema::DataType::Time32(arrow_schema::TimeUnit::Second),
        true,
    );
    let odd = std::sync::Arc::new(arrow_schema::Schema::new(vec![types.field(0).clone(), odd]));
    let error = Decoder::new(odd, Selection::default()).unwrap_err().to_string();
    assert!(
        error.contains("the column \"t\" has the type Time32(s)"),
        "{error}"
    );
}

#[test]
fn single_values_are_looked_up_without_reading_the_rest() {
    let text = br#"{"a": [1, {"b/c": "x", "~": null}], "d": {"": [ ]}, "e": 5} rest"#;
    let document = Document::new(text).unwrap();
    for (pointer, value) in [
        ("/a/1/b~1c", Some("\"x\"")),
        ("/a/1/~0", Some("null")),
        ("/a/0", Some("1")),
        ("/a/00", None),
        ("/a/2", None),
        ("/a/-", None),
        ("/a/b", None),
        ("/d/", Some("[ ]")),
        ("/e/x", None),
        ("/f", None),
    ] {
        assert_eq!(document.value(pointer).unwrap(), value, "{pointer}");
    }
    assert_eq!(document.count("/a").unwrap(), Some(2));
    assert_eq!(document.count("/d/").unwrap(), Some(0));
    assert_eq!(document.count("/x").unwrap(), None);
    assert!(document.count("/d").is_err());
    assert!(document.value("a").is_err());
    assert!(document.value("").is_err(), "more than one value");
    assert_eq!(Document::new(b" [1] ").unwrap().value(""), Ok(Some("[1]")));
    assert_eq!(Document::new(b" ").unwrap().value("/a"), Ok(None));
    assert_eq!(Document::new(b"").unwrap().count(""), Ok(Some(0)));
    assert!(Document::new(b"[1,").unwrap().value("/1").is_err());
}
