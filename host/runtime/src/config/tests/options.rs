use serde_json::json;

use super::{GOOD, parse, rendered};

fn schema() -> serde_json::Value {
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
