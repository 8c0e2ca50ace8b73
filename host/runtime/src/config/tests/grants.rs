//! Grants and credentials.

use http::Method;

use super::super::CredentialKind;
use super::mistakes::{Case, check};
use super::{GOOD, parse, rendered};

const MISTAKES: &[Case] = &[
    (
        "http://localhost:8080/v1",
        "ftp://localhost",
        12,
        &["which is not an http or https origin"],
    ),
    ("http://localhost:8080/v1", "https://", 12, &["names no host"]),
    (
        "http://localhost:8080/v1",
        "https://u:p@host",
        12,
        &["names a user or password", "[[source.credentials]]"],
    ),
    (
        "http://localhost:8080/v1",
        "https://host/a?b=c",
        12,
        &["query or fragment"],
    ),
    (
        "http://localhost:8080/v1",
        "https://host:99999",
        12,
        &["which is not a URL: invalid port number"],
    ),
    (
        "http://localhost:8080/v1",
        "https://*.com",
        12,
        &["a wildcard stands in front of two labels or more"],
    ),
    (
        "http://localhost:8080/v1",
        "https://api.*.example.com",
        12,
        &["a wildcard stands in front of two labels or more"],
    ),
    (
        "\"http://localhost:8080/v1\"",
        "{ origin = \"https://a.b\", methods = [\"GTE\"] }",
        12,
        &["can't grant the method \"GTE\"", "GET, HEAD, POST"],
    ),
    (
        "\"http://localhost:8080/v1\"",
        "{ origin = \"https://a.b\", methods = [] }",
        12,
        &["grants no method to \"https://a.b\""],
    ),
    (
        "\"http://localhost:8080/v1\"",
        "{ origin = \"https://a.b\", method = [\"GET\"] }",
        12,
        &["unknown key `method`", "did you mean `methods`?"],
    ),
    (
        "\"http://localhost:8080/v1\"",
        "{ methods = [\"GET\"] }",
        12,
        &["a grant without `origin`"],
    ),
    (
        "origin = \"https://jsonplaceholder.typicode.com\"",
        "origin = \"https://*.typicode.com\"",
        15,
        &["a secret is for one host"],
    ),
    (
        "header = \"Authorization\"",
        "",
        14,
        &[
            "[[source.credentials]] has no `header`",
            "bearer, basic or oauth2",
        ],
    ),
    (
        "header = \"Authorization\"",
        "query = \"key\"\nheader = \"x-key\"",
        16,
        &["`query` in [[source.credentials]] stands beside `header`"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "bearer = \"hunter2\"",
        16,
        &["`bearer` in [[source.credentials]] holds no reference to a secret"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "basic = { username = \"me\", password = \"hunter2\" }",
        16,
        &["has a `password` that holds no reference to a secret"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "basic = { username = \"hunter2\" }",
        16,
        &["has a `username` that holds no reference to a secret"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "oauth2 = { token_url = \"https://a.b\", client_id = \"me\", client_secret = \"hunter2\" }",
        16,
        &["has a `client_secret` that holds no reference to a secret"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "oauth2 = { token_url = \"https://a.b\", client_secret = \"${env:X}\" }",
        16,
        &["`oauth2` in [[source.credentials]] has no `client_id`"],
    ),
    (
        "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"",
        "oauth2 = { token_ulr = \"https://a.b\" }",
        16,
        &["unknown key `token_ulr`", "did you mean `token_url`?"],
    ),
    (
        "http = [",
        "private_network = \"no\"\nhttp = [",
        12,
        &["must be true or false, not a string"],
    ),
    (
        "http = [",
        "private_networks = true\nhttp = [",
        12,
        &["did you mean `private_network`?"],
    ),
    (
        "origin = \"https://jsonplaceholder.typicode.com\"",
        "origin = \"https://api.example.com\"",
        15,
        &[
            "which is not granted",
            "http = [\"https://jsonplaceholder.typicode.com\", \"http://localhost:8080/v1\", \"https://api.example.com\"]",
        ],
    ),
    (
        "\"Authorization\"",
        "\"host\"",
        16,
        &["`header` in [[source.credentials]] can't be `host`"],
    ),
    (
        "\"Authorization\"",
        "\"a b\"",
        16,
        &["is not a header name: \"a b\""],
    ),
    (
        "${env:SANDBAR_TEST_TOKEN}",
        "hunter2",
        17,
        &["holds no reference to a secret", "${env:NAME} or ${file:path}"],
    ),
    (
        "${env:SANDBAR_TEST_TOKEN}",
        "${vault:x}",
        17,
        &["unknown form: `${vault:x}`", "${env:NAME} or ${file:path}"],
    ),
    (
        "${env:SANDBAR_TEST_TOKEN}",
        "${env:X",
        17,
        &["has a `${` without its `}`"],
    ),
    (
        "[[source.credentials]]",
        "[source.credentials]",
        14,
        &["must be an array, not a table", "[[source.credentials]]"],
    ),
];

#[test]
fn mistakes_in_grants_and_credentials_are_shown_where_they_are() {
    check(MISTAKES);
}

const BEARER: &str = "header = \"Authorization\"\nvalue = \"Bearer ${env:SANDBAR_TEST_TOKEN}\"";

#[test]
fn a_grant_is_an_origin_or_a_table_and_a_wildcard_covers_a_credential() {
    let table = "{ origin = \"https://*.typicode.com\", methods = [\"GET\", \"POST\"] }";
    let file = parse(&GOOD.replacen("\"https://jsonplaceholder.typicode.com\"", table, 1)).unwrap();
    let grants = file.config().source.grants.http();
    assert_eq!(grants[0].to_string(), "https://*.typicode.com");
    assert_eq!(grants[0].methods(), [Method::GET, Method::POST]);
    assert_eq!(grants[1].methods(), [Method::GET, Method::HEAD]);
}

#[test]
fn every_kind_of_credential_is_typed() {
    let kind = |text: &str| {
        assert!(GOOD.contains(BEARER));
        let file = parse(&GOOD.replace(BEARER, text)).unwrap();
        file.config().source.credentials[0].kind.clone()
    };
    let query = kind("query = \"key\"\nvalue = \"${env:X}\"");
    assert!(matches!(query, CredentialKind::Query { name, .. } if name == "key"));
    assert!(matches!(kind("bearer = \"${env:X}\""), CredentialKind::Bearer(_)));
    let basic = kind("basic = { username = \"me\", password = \"${env:X}\" }");
    let CredentialKind::Basic { username, password } = basic else {
        panic!("{basic:?}")
    };
    assert_eq!(username.resolve().unwrap().expose(), "me");
    assert!(password.is_some());
    let key_alone = kind("basic = { username = \"${env:X}\" }");
    assert!(matches!(key_alone, CredentialKind::Basic { password: None, .. }));
    let oauth2 = kind(
        "[source.credentials.oauth2]\ntoken_url = \"https://a.b\"\nclient_id = \"me\"\nclient_secret = \"${env:X}\"\nrefresh_token = \"${file:y}\"",
    );
    let CredentialKind::OAuth2(oauth2) = oauth2 else {
        panic!("{oauth2:?}")
    };
    assert_eq!((oauth2.token_url.as_str(), &oauth2.scope), ("https://a.b", &None));
    assert!(oauth2.refresh_token.is_some());
}

#[test]
fn a_secret_is_hidden_from_the_lines_around_a_mistake() {
    let near = GOOD
        .replace("${env:SANDBAR_TEST_TOKEN}", "hunter2")
        .replace("\"Authorization\"", "5");
    let misspelt = near.replace("value =", "valeu =");
    let one_table = near.replace("[[source.credentials]]", "[source.credentials]");
    let broken = near.replace("header = 5", "header = \"");
    let value = "header = 5\nvalue = \"Bearer hunter2\"";
    let with = |kind: &str| {
        assert!(near.contains(value));
        near.replace(value, kind)
    };
    let mixed = with("basic = { username = \"${env:USER}\", password = \"hunter2\" }");
    let mixed_and_broken = with("basic = { username = \"${env:USER}\", password = \"hunter2\"");
    let nested = with("[source.credentials.oauth2]\nclient_id = 5\nclient_secret = \"hunter2\"");
    let bare = with("bearer = \"${env:X\"\nrefresh_token = \"hunter2\"");
    let texts = [
        near.clone(),
        misspelt,
        one_table,
        broken,
        mixed,
        mixed_and_broken,
        nested,
        bare,
    ];
    for text in texts {
        let error = parse(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(!rendered(error).contains("hunter2"));
    }
}
