use sandbar_pipeline::SourceIdentity;
use serde_json::Value;

/// The keyword of an options' schema by which a component says that an option does not decide which rows are read:
/// `"x-sandbar-identity": false` on a property. JSON Schema leaves keywords that it does not know alone.
const KEYWORD: &str = "x-sandbar-identity";

/// What these options read, by the schema that the component gives for them. Options that are not in the schema count
/// like any other.
pub(crate) fn identity(stream: &str, options: &Value, schema: &Value) -> SourceIdentity {
    let none = serde_json::Map::new();
    let given = options.as_object().unwrap_or(&none);
    let described = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let fingerprint = |name: &String| {
        let value = given.get(name)?;
        let default = described.get(name).and_then(|option| option.get("default"));
        (Some(value) != default).then(|| SourceIdentity::fingerprint(value))
    };
    let counts = |name: &&String| {
        described.get(*name).and_then(|option| option.get(KEYWORD)) != Some(&Value::Bool(false))
    };
    SourceIdentity {
        stream: stream.to_owned(),
        options: described
            .keys()
            .chain(given.keys())
            .filter(counts)
            .map(|name| (name.clone(), fingerprint(name)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_counts_unless_the_schema_says_otherwise_and_a_default_is_no_value() {
        let schema = json!({"properties": {
            "url": {"type": "string"},
            "order": {"type": "string", "default": "asc"},
            "page_size": {"type": "integer", "x-sandbar-identity": false},
        }});
        let of = |options: Value| identity("s", &options, &schema);
        let plain = of(json!({"url": "https://a.example", "page_size": 10}));
        assert_eq!(plain, of(json!({"url": "https://a.example", "order": "asc"})));
        assert_eq!(plain.options.keys().collect::<Vec<_>>(), ["order", "url"]);
        assert_eq!(plain.options["order"], None);
        assert_ne!(plain, of(json!({"url": "https://b.example"})));
        assert_ne!(plain, of(json!({"url": "https://a.example", "order": "desc"})));
        assert_ne!(plain, of(json!({"url": "https://a.example", "unknown": 1})));
        assert!(!format!("{plain:?}").contains("a.example"), "values are not kept");
    }
}
