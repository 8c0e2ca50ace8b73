use serde_json::{Value, json};

use super::super::{ConfigError, Problem};
use super::{GOOD, parse, rendered};

fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["api_url"],
        "properties": {
            "api_url": {"type": "string", "minLength": 1, "description": "Where the comments are"},
            "page_size": {"type": "integer", "minimum": 1, "maximum": 1000},
            "mode": {"enum": ["fast", "slow"]},
            "retry": {
                "type": "object",
                "additionalProperties": false,
                "properties": {"codes": {"type": "array", "items": {"type": ["integer", "null"]}}}
            }
        }
    })
}

#[test]
fn options_are_checked_against_the_schema() {
    let cases: &[(&str, usize, &[&str])] = &[
        (
            "page_sise = 1",
            9,
            &[
                "unknown option `page_sise`",
                "did you mean `page_size`?",
                "known options: api_url, ",
            ],
        ),
        (
            "page_size = \"10\"",
            9,
            &["option `page_size` must be a whole number, not a string"],
        ),
        ("page_size = 0", 9, &["must be at least 1"]),
        ("page_size = 1001", 9, &["must be at most 1000"]),
        (
            "mode = \"fats\"",
            9,
            &["must be one of \"fast\", \"slow\"", "did you mean \"fast\"?"],
        ),
        (
            "retry = { codes = [\n429,\n\"x\"] }",
            11,
            &["option `retry.codes.1` must be a whole number, not a string"],
        ),
        (
            "retry.code = []",
            9,
            &["unknown option `code`", "did you mean `codes`?"],
        ),
    ];
    for (line_of_text, line, wanted) in cases {
        let file = parse(&GOOD.replace("page_size = 10", line_of_text)).unwrap();
        let error = file.check_options(&schema()).expect_err(line_of_text);
        assert_eq!(error.problems().len(), 1, "{error}");
        assert_eq!(error.problems()[0].line(), Some(*line), "{error}");
        let shown = rendered(error);
        for text in *wanted {
            assert!(shown.contains(text), "{text:?} is not in:\n{shown}");
        }
    }
}

#[test]
fn a_missing_option_is_shown_at_the_header_of_the_options() {
    let without_options = "name='a'\n[source]\ncomponent='c'\n[sink]\ntable='t'\n[checkpoint]\nlocation='l'";
    for (text, line) in [
        (GOOD.replace("api_url =", "mode = 'fast' #"), 7),
        (without_options.to_owned(), 2),
    ] {
        let shown = rendered(parse(&text).unwrap().check_options(&schema()).unwrap_err());
        assert!(shown.contains(&format!(".toml:{line}:")), "{shown}");
        assert!(shown.contains("option `api_url` is missing"), "{shown}");
        assert!(shown.contains("Where the comments are"), "{shown}");
    }
}

#[test]
fn what_a_component_refuses_points_at_the_option_it_names() {
    let file = parse(GOOD).unwrap();
    let line = |message: &str| file.option_error(message).problems()[0].line();
    assert_eq!(line("page_size must divide 7"), Some(9));
    assert_eq!(line("bad `api_url`: page_size is fine"), Some(8));
    assert_eq!(line("no_page_size here"), Some(7));
}

#[test]
fn a_broken_schema_is_the_components_fault() {
    let error = parse(GOOD)
        .unwrap()
        .check_options(&json!({"type": "nonsense"}))
        .unwrap_err();
    assert_eq!(error.problems()[0].line(), Some(4));
    let remote = json!({"$ref": "https://example.com/schema.json"});
    assert!(parse(GOOD).unwrap().check_options(&remote).is_err());
}

/// The text of all that a terminal would show.
fn length(error: &ConfigError) -> usize {
    let text = |problem: &Problem| problem.to_string().len() + problem.remedy().map_or(0, str::len);
    error.problems().iter().map(text).sum()
}

#[test]
fn a_schema_decides_neither_how_much_is_shown_nor_how_long_it_is() {
    let long = "x".repeat(300_000);
    let required = vec![json!({"required": ["x"]}); 30_000];
    let words: Vec<_> = (0..50_000).map(|i| format!("word{i}")).collect();
    let to_words = vec![json!({"$ref": "#/$defs/words"}); 30_000];
    let to_long = vec![json!({"$ref": "#/$defs/long"}); 1_000];
    let cases = [
        (
            json!({"properties": {"x": {"description": long}}, "allOf": required}),
            20,
        ),
        (json!({"properties": {"page_size": {"enum": words}}}), 1),
        (json!({"properties": {"page_size": {"const": long}}}), 1),
        (
            json!({"properties": {"page_size": {"not": {"enum": [10, long]}}}}),
            1,
        ),
        (
            json!({"properties": {"page_size": {"anyOf": [{"type": "string"}, {"const": long}]}}}),
            1,
        ),
        (
            json!({"properties": {"api_url": {"pattern": "^x+$", "description": long}}}),
            1,
        ),
        (json!({"properties": {"api_url": {"pattern": long}}}), 1),
        (json!({"required": [long]}), 1),
        (
            json!({"properties": {(long.clone()): true}, "additionalProperties": false}),
            2,
        ),
        (json!({"type": long}), 1),
        (
            json!({"$defs": {"words": {"enum": ["a", "b"]}}, "allOf": to_words}),
            1,
        ),
        (
            json!({"$defs": {"long": {"enum": [long, "b"]}}, "properties": {"page_size": {"anyOf": to_long}}}),
            1,
        ),
    ];
    for (schema, problems) in cases {
        let error = parse(GOOD).unwrap().check_options(&schema).unwrap_err();
        let start: String = schema.to_string().chars().take(100).collect();
        assert_eq!(error.problems().len(), problems, "{start}");
        assert!(length(&error) < problems * 2_000, "{start}: {}", length(&error));
        assert!(rendered(error).len() < problems * 8_000, "{start}");
    }
    let message = "y".repeat(300_000);
    assert!(length(&parse(GOOD).unwrap().option_error(&message)) < 1_000);
}

#[test]
fn a_check_that_would_take_forever_is_not_begun() {
    let with = |options: &str| parse(&GOOD.replace("page_size = 10", options)).unwrap();
    let too_much = |options: &str, schema: &Value| {
        let error = with(options).check_options(schema).unwrap_err();
        assert!(error.to_string().contains("too expensive"), "{error}");
        assert_eq!(error.problems()[0].line(), Some(7), "{error}");
    };
    let back = vec![json!({"$ref": "#"}); 300];
    let bomb = json!({"additionalProperties": {"allOf": back}});
    assert!(with("a = 1").check_options(&bomb).is_ok());
    too_much("a = { b = { c = { d = 1 } } }", &bomb);

    let defs = |levels: usize, next: fn(Value) -> Value| {
        let refer = |i: usize| json!({"$ref": format!("#/$defs/a{i}")});
        let defs = (0..levels).map(|i| (format!("a{i}"), next(refer(i + 1))));
        let defs: serde_json::Map<_, _> = defs.chain([(format!("a{levels}"), json!({}))]).collect();
        json!({"$ref": "#/$defs/a0", "$defs": defs})
    };
    too_much("a = 1", &defs(20_000, |next| next));
    too_much("a = 1", &defs(40, |next| json!({"allOf": [next, next]})));
    too_much(
        "a = 1",
        &defs(40, |next| json!({"allOf": [next], "unevaluatedProperties": true})),
    );
    assert!(
        with("a = 1")
            .check_options(&defs(3, |next| json!({"allOf": [next, next]})))
            .is_ok()
    );
}

#[test]
fn a_tree_of_filters_is_checked_as_deep_and_as_wide_as_it_is_written() {
    let filter = json!({"$ref": "#/$defs/filter"});
    let schema = json!({
        "properties": {"filter": filter},
        "$defs": {"filter": {
            "type": "object",
            "additionalProperties": false,
            "properties": {"not": filter, "any": {"items": filter}, "all": {"items": filter}, "is": {"type": "string"}}
        }}
    });
    let check = |filter: &str| {
        let text = GOOD.replace("page_size = 10", &format!("filter = {filter}"));
        parse(&text).unwrap().check_options(&schema)
    };
    let deep = |inner: &str| format!("{}{inner}{}", "{ not = ".repeat(20), " }".repeat(20));
    assert!(check(&deep("{ is = 'x' }")).is_ok());
    let wide = "{ all = [{ is = 'x' }, { any = [{ is = 'y' }] }] }, ".repeat(500);
    assert!(check(&format!("{{ any = [{wide}] }}")).is_ok());
    for (filter, message) in [
        (deep("{ is = 1 }"), "not.is` must be a string"),
        (deep("{ if = 1 }"), "unknown option `if`"),
        (
            format!("{{ any = [{wide} {{ is = 1 }}] }}"),
            "option `filter.any.500.is` must be a string",
        ),
    ] {
        let error = check(&filter).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}
