use serde_json::json;

use super::*;

#[test]
fn schemas_of_honest_sources_are_taken() {
    for schema in [
        json!({}),
        json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "properties": {"url": {"type": "string", "pattern": "^https?://", "description": "two\nlines"}}}),
        json!({"$schema": "http://json-schema.org/draft/2020-12/schema#", "$defs": {"A": {"type": "string"}},
            "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}}),
        // A filter in a filter: it goes down into the options with each step.
        json!({"$defs": {"F": {"properties": {"not": {"$ref": "#/$defs/F"}, "any": {"items": {"$ref": "#/$defs/F"}}}}},
            "properties": {"filter": {"$ref": "#/$defs/F"}, "$ref": {"type": "string"}}}),
        json!({"$defs": {"F": {"anyOf": [{"properties": {"not": {"$ref": "#/$defs/F"}}},
            {"properties": {"all": {"items": {"$ref": "#/$defs/F"}}}}, {"required": ["is"]}]}}, "$ref": "#/$defs/F"}),
        json!({"properties": {"x": {"$ref": "#"}, "a/b~c": {"type": "string"}, "y": {"$ref": "#/properties/a~1b~0c"}}}),
        json!({"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}),
    ] {
        assert_eq!(parse(&schema.to_string()), Ok(schema));
    }
    let named = json!({"$id": "https://example.com/me", "type": "object"});
    assert_eq!(parse(&named.to_string()), Ok(json!({"type": "object"})));
}

#[test]
fn what_would_take_the_checker_forever_is_refused() {
    let doubling = |levels: usize| {
        let defs: serde_json::Map<_, _> = (0..levels)
            .map(|i| {
                let next = json!({"$ref": format!("#/$defs/a{}", i + 1)});
                (format!("a{i}"), json!({"allOf": [next, next]}))
            })
            .chain([(format!("a{levels}"), json!({"type": "object"}))])
            .collect();
        json!({"$ref": "#/$defs/a0", "$defs": defs})
    };
    assert!(parse(&doubling(5).to_string()).is_ok());
    let chain = |next: fn(usize) -> Value| {
        let defs = (0..20_000).map(|i| (format!("a{i}"), next(i + 1)));
        let defs: serde_json::Map<_, _> = defs.chain([("a20000".to_owned(), json!({}))]).collect();
        json!({"$ref": "#/$defs/a0", "$defs": defs}).to_string()
    };
    let patterns: Vec<_> = (0..101)
        .map(|i| json!({"pattern": format!("a{{{i}}}")}))
        .collect();
    let long = format!("{{\"title\":\"{}\"}}", "x".repeat(1 << 20));
    let cases = [
        (doubling(40).to_string(), "written out"),
        (json!({"$ref": "#"}).to_string(), "in a circle"),
        (
            json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}).to_string(),
            "in a circle",
        ),
        (
            json!({"$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}})
                .to_string(),
            "in a circle",
        ),
        (
            json!({"$defs": {"a": {"dependentSchemas": {"x": {"$ref": "#/$defs/a"}}}}}).to_string(),
            "in a circle",
        ),
        (chain(|i| json!({"$ref": format!("#/$defs/a{i}")})), "levels deep"),
        (
            chain(|i| json!({"items": {"$ref": format!("#/$defs/a{i}")}})),
            "written out",
        ),
        (json!({"allOf": patterns}).to_string(), "101 patterns"),
        (
            json!({"$ref": "http://169.254.169.254/latest"}).to_string(),
            "which is not in it",
        ),
        (
            json!({"$ref": "file:///etc/passwd"}).to_string(),
            "which is not in it",
        ),
        (json!({"$dynamicRef": "#x"}).to_string(), "uses $dynamicRef"),
        (json!({"items": {"$id": "http://x/"}}).to_string(), "uses $id"),
        (
            json!({"description": "\u{1b}]0;owned\u{7}"}).to_string(),
            "control characters",
        ),
        (
            json!({"properties": {"\u{9b}31m": {}}}).to_string(),
            "control characters",
        ),
        (format!("{}{}", "[".repeat(500), "]".repeat(500)), "is not JSON"),
        ("[]".to_owned(), "no JSON object"),
        (long, "1048576 are allowed"),
    ];
    for (schema, reason) in cases {
        let error = parse(&schema).unwrap_err();
        assert!(
            error.contains(reason),
            "{}: {error}",
            &schema[..schema.len().min(200)]
        );
    }
}

/// `levels` definitions, each made of a reference to the next, and the last of `{}`.
fn definitions(levels: usize, next: impl Fn(Value) -> Value) -> serde_json::Map<String, Value> {
    let refer = |i: usize| json!({"$ref": format!("#/%24defs/a{i}")});
    let defs = (0..levels).map(|i| (format!("a{i}"), next(refer(i + 1))));
    defs.chain([(format!("a{levels}"), json!({}))]).collect()
}

#[test]
fn a_reference_that_the_checker_reads_in_another_way_is_refused() {
    // What is looked at: a definition without a reference in it. What the checker would follow: the others.
    let decoys: serde_json::Map<_, _> = (0..=10_000).map(|i| (format!("a{i}"), json!(1))).collect();
    let decoyed = |defs: serde_json::Map<String, Value>| {
        json!({"$ref": "#/%24defs/a0", "%24defs": decoys, "$defs": defs}).to_string()
    };
    for schema in [
        decoyed(definitions(40, |next| json!({"allOf": [next, next]}))),
        decoyed(definitions(10_000, |next| next)),
    ] {
        let error = parse(&schema).unwrap_err();
        assert!(error.starts_with("refers to \"#/%24defs/a"), "{error}");
        assert!(error.contains("without \"%\""), "{error}");
    }
    // The checker takes `~~1` for itself, other readers for `~/`.
    for name in ["#/$defs/~~1", "#/$defs/~", "#/$defs/~2"] {
        let error =
            parse(&json!({"$ref": name, "$defs": {"~/": {}, "~": {}, "~2": {}}}).to_string()).unwrap_err();
        assert!(error.contains("\"~0\" for \"~\""), "{error}");
    }
    for name in [
        "",
        "a",
        "#a",
        "##/$defs/a",
        "?#/$defs/a",
        "https://example.com/#/$defs/a",
    ] {
        let error = parse(&json!({"items": {"$ref": name}, "$defs": {"a": {}}}).to_string()).unwrap_err();
        assert!(
            error.contains(&format!("{name:?}, which is not in it")),
            "{error}"
        );
    }
    let long = format!("#/{}", "x".repeat(100_000));
    let error = parse(&json!({"$ref": long}).to_string()).unwrap_err();
    assert!(error.len() < 300, "{} bytes", error.len());
}

#[test]
fn another_draft_is_refused_wherever_it_is_named() {
    for draft in [
        "http://json-schema.org/draft-04/schema#",
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2019-09/schema",
        "https://example.com/my-own",
        "",
    ] {
        // In draft 4, `id` says what the references below it are resolved against.
        let below = json!({"$schema": draft, "id": "http://x/", "$ref": "#/$defs/a", "$defs": {"a": {}}});
        for schema in [
            json!({"$schema": draft}),
            json!({"$defs": {"a": {}}, "items": below}),
        ] {
            let error = parse(&schema.to_string()).unwrap_err();
            assert!(
                error.starts_with(&format!("names the draft {draft:?}")),
                "{error}"
            );
            assert!(error.contains("draft/2020-12/schema"), "{error}");
        }
    }
}

#[test]
fn what_would_take_much_memory_or_stack_is_refused() {
    let many = vec![json!({"$ref": "#/$defs/e"}); 10_000];
    let text = "x".repeat(500_000);
    let nested = |levels| {
        (0..levels).fold(
            json!({}),
            |inner, _| json!({"allOf": [inner], "unevaluatedItems": false}),
        )
    };
    let cases = [
        (
            json!({"allOf": many, "$defs": {"e": {"enum": [text]}}}),
            "written out",
        ),
        (
            json!({"allOf": many, "$defs": {"e": {"properties": {text: true}}}}),
            "written out",
        ),
        (nested(20), "written out"),
        (
            json!({"properties": {"a": {"$ref": "#"}}, "unevaluatedProperties": false}),
            "refers back to itself and uses unevaluatedProperties",
        ),
        (
            (0..33).fold(json!({}), |inner, _| json!({"properties": {"a": inner}})),
            "more than 64 levels deep",
        ),
        (json!({"dependencies": {"a": {"$ref": "#"}}}), "in a circle"),
        (json!({"oneOf": vec![json!({}); 513]}), "513 schemas in one oneOf"),
    ];
    for (schema, reason) in cases {
        let error = parse(&schema.to_string()).unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert!(parse(&nested(5).to_string()).is_ok());
}
