//! The tables `[source.grants]` and `[[source.credentials]]`.

use std::path::Path;

use toml::de::{DeTable, DeValue};
use url::Url;

use sandbar_policy::{DEFAULT_METHODS, Grants, HttpGrant, METHODS, PolicyError};

use super::reference::names_of;
use super::section::Section;
use super::value::{self, Refusal};
use super::{CredentialConfig, CredentialKind, OAuth2Config, SecretRef};
use crate::nearest::nearest;

const KINDS: &str = "header with value, query with value, bearer, basic or oauth2";

pub(super) fn grants(mut section: Section<'_>) -> Grants {
    let http = section.list("http", http_grant);
    let private_network = section
        .read("private_network", value::boolean)
        .unwrap_or_default();
    section.finish();
    Grants::new(http, private_network)
}

/// An origin, or a table with an origin and methods.
fn http_grant(value: &DeValue<'_>) -> Result<HttpGrant, Refusal> {
    const SHAPE: &str = "write { origin = \"https://api.example.com\", methods = [\"GET\", \"POST\"] }";
    let refused = |e: PolicyError| Refusal::new(e.to_string(), SHAPE);
    let DeValue::Table(table) = value else {
        return HttpGrant::parse(&value::origin(value)?).map_err(refused);
    };
    known_keys(table, &names_of("source.grants.http"), SHAPE)?;
    let origin = match table.get("origin") {
        Some(origin) => value::origin(origin.get_ref())?,
        None => return Err(Refusal::new("has a grant without `origin`", SHAPE)),
    };
    let grant = HttpGrant::parse(&origin).map_err(refused)?;
    let Some(methods) = table.get("methods") else {
        return Ok(grant);
    };
    let methods = value::array(methods.get_ref())?
        .iter()
        .map(|method| self::method(method.get_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    if methods.is_empty() {
        return Err(Refusal::new(format!("grants no method to {origin:?}"), SHAPE));
    }
    grant.with_methods(&methods).map_err(refused)
}

fn method(value: &DeValue<'_>) -> Result<String, Refusal> {
    let text = value::text(value)?;
    if METHODS.contains(&text) {
        return Ok(text.to_owned());
    }
    let all = METHODS.join(", ");
    Err(Refusal::new(
        format!("can't grant the method {text:?}"),
        format!("write one of {all}"),
    ))
}

pub(super) fn credential(
    mut section: Section<'_>,
    folder: &Path,
    grants: &Grants,
) -> Option<CredentialConfig> {
    let origin = section.required(
        "origin",
        "origin = \"https://api.example.com\"",
        value::exact_origin,
    );
    if let Some(origin) = &origin
        && !grants.http().iter().any(|granted| covers(granted, origin))
    {
        let mut refusal = Refusal::new(
            format!("is {origin:?}, which is not granted"),
            "grant it, or leave this out",
        );
        refusal.help = Some(grant_line(grants.http(), origin));
        section.refuse_value("origin", refusal);
    }
    let kind = kind(&mut section, folder);
    section.finish();
    Some(CredentialConfig {
        origin: origin?,
        kind: kind?,
    })
}

/// The one kind that the table names.
fn kind(section: &mut Section<'_>, folder: &Path) -> Option<CredentialKind> {
    let has = |section: &Section<'_>, key: &str| section.table().is_some_and(|table| table.contains_key(key));
    let named: Vec<_> = ["header", "query", "bearer", "basic", "oauth2"]
        .into_iter()
        .filter(|key| has(section, key))
        .collect();
    if let [_, second, ..] = named.as_slice() {
        let fault = format!("stands beside `{}`; one credential is of one kind", named[0]);
        section.refuse_value(second, Refusal::new(fault, format!("write one of: {KINDS}")));
    }
    let header = section.read("header", value::header);
    let query = section.read("query", value::string);
    let bearer = section.read("bearer", |value| secret(value, folder));
    let basic = section.read("basic", |value| basic(value, folder));
    let oauth2 = section.read("oauth2", |value| oauth2(value, folder));
    let example = "value = \"Bearer ${env:NAME}\"";
    let of_value = |value: &_| secret(value, folder);
    match named.first().copied() {
        Some("bearer") => bearer.map(CredentialKind::Bearer),
        Some("basic") => basic,
        Some("oauth2") => oauth2.map(|oauth2| CredentialKind::OAuth2(Box::new(oauth2))),
        Some("query") => {
            let value = section.required("value", "value = \"${env:NAME}\"", of_value);
            Some(CredentialKind::Query {
                name: query?,
                value: value?,
            })
        }
        Some(_) => {
            let value = section.required("value", example, of_value);
            Some(CredentialKind::Header {
                name: header?,
                value: value?,
            })
        }
        None => {
            section.required("header", &format!("one of: {KINDS}"), value::header);
            section.required("value", example, of_value);
            None
        }
    }
}

fn basic(value: &DeValue<'_>, folder: &Path) -> Result<CredentialKind, Refusal> {
    const SHAPE: &str = "write { username = \"me\", password = \"${env:NAME}\" }";
    let table = table(value, SHAPE)?;
    known_keys(table, &names_of("source.credentials.basic"), SHAPE)?;
    let password = entry(table, "password", |value| secret(value, folder))?;
    let username = match password {
        Some(_) => entry(table, "username", |value| open(value, folder))?,
        // A key in the place of the name, and no password: then the name is the secret.
        None => entry(table, "username", |value| secret(value, folder))?,
    };
    let username = username.ok_or_else(|| Refusal::new("has no `username`", SHAPE))?;
    Ok(CredentialKind::Basic { username, password })
}

fn oauth2(value: &DeValue<'_>, folder: &Path) -> Result<OAuth2Config, Refusal> {
    const SHAPE: &str =
        "write { token_url = \"https://...\", client_id = \"...\", client_secret = \"${env:NAME}\" }";
    let table = table(value, SHAPE)?;
    known_keys(table, &names_of("source.credentials.oauth2"), SHAPE)?;
    let missing = |key: &str| Refusal::new(format!("has no `{key}`"), SHAPE);
    let token_url = entry(table, "token_url", value::string)?.ok_or_else(|| missing("token_url"))?;
    let client_id = entry(table, "client_id", |value| open(value, folder))?;
    let client_secret = entry(table, "client_secret", |value| secret(value, folder))?;
    Ok(OAuth2Config {
        token_url,
        client_id: client_id.ok_or_else(|| missing("client_id"))?,
        client_secret: client_secret.ok_or_else(|| missing("client_secret"))?,
        scope: entry(table, "scope", value::string)?,
        refresh_token: entry(table, "refresh_token", |value| secret(value, folder))?,
    })
}

fn table<'a>(value: &'a DeValue<'a>, shape: &str) -> Result<&'a DeTable<'a>, Refusal> {
    value::table(value).map_err(|refusal| Refusal {
        remedy: shape.to_owned(),
        ..refusal
    })
}

/// One entry of an inline table, and its name in what is said of it.
fn entry<'a, T>(
    table: &'a DeTable<'a>,
    key: &str,
    parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    parse(value.get_ref()).map(Some).map_err(|refusal| Refusal {
        fault: format!("has a `{key}` that {}", refusal.fault),
        ..refusal
    })
}

fn known_keys(table: &DeTable<'_>, known: &[&str], shape: &str) -> Result<(), Refusal> {
    let unknown = table.keys().find(|key| !known.contains(&key.get_ref().as_ref()));
    let Some(unknown) = unknown else { return Ok(()) };
    let unknown = unknown.get_ref();
    let remedy = match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => shape.to_owned(),
    };
    Err(Refusal::new(format!("has an unknown key `{unknown}`"), remedy))
}

pub(super) fn secret(value: &DeValue<'_>, folder: &Path) -> Result<SecretRef, Refusal> {
    SecretRef::parse(value::text(value)?, folder).map_err(|error| Refusal {
        fault: error.to_string(),
        remedy: "refer to it with ${env:NAME} or ${file:path}".to_owned(),
        help: Some("for example: \"Bearer ${env:EXAMPLE_TOKEN}\"".to_owned()),
    })
}

/// A value that may be written out, as names may.
pub(super) fn open(value: &DeValue<'_>, folder: &Path) -> Result<SecretRef, Refusal> {
    let parsed = SecretRef::parse_open(value::text(value)?, folder);
    parsed.map_err(|error| Refusal::new(error.to_string(), "write a name, or ${env:NAME}"))
}

/// Whether a grant covers an origin. Paths are not compared.
fn covers(granted: &HttpGrant, origin: &str) -> bool {
    Url::parse(origin).is_ok_and(|origin| granted.covers_origin(&origin))
}

/// The line that grants one origin more.
fn grant_line(granted: &[HttpGrant], origin: &str) -> String {
    let spelled = granted.iter().map(|granted| {
        let text = granted.to_string();
        if granted.methods() == DEFAULT_METHODS {
            return format!("{text:?}");
        }
        let methods: Vec<_> = granted.methods().iter().map(|method| method.as_str()).collect();
        format!("{{ origin = {text:?}, methods = {methods:?} }}")
    });
    let all: Vec<_> = spelled.chain([format!("{origin:?}")]).collect();
    format!("write under [source.grants]: http = [{}]", all.join(", "))
}
