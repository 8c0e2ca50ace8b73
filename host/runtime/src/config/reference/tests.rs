//! The tables behind the options reference and the JSON Schema, against the reader of the file.

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use toml::Table as Toml;

use super::*;
use crate::config::{ConfigError, PipelineFile};
use crate::open::DEFAULT_INTERVAL;

const MINIMAL: &str = "name = 'a'\nsource.component = 'c'\nsink.table = 't'\ncheckpoint.location = 'l'\n\
    source.grants.http = ['https://api.example.com']\n";

fn all_keys() -> impl Iterator<Item = Key> {
    TABLES.iter().flat_map(|table| keys_of(table.path))
}

fn validator() -> Validator {
    jsonschema::draft7::new(&pipeline_file_schema()).unwrap()
}

/// A file that is right, with `value` at a key; and with what the key needs beside it.
fn file_with(key: &Key, value: &str) -> Toml {
    let mut file: Toml = MINIMAL.parse().unwrap();
    let value: Toml = format!("v = {value}").parse().unwrap();
    let credential = |kind: &str| -> Toml {
        let kind = match kind {
            "header" | "origin" | "value" => "header = 'x-key'\nvalue = '${env:X}'",
            "query" => "query = 'key'\nvalue = '${env:X}'",
            "bearer" => "bearer = '${env:X}'",
            "basic" => "[basic]\nusername = 'me'\npassword = '${env:X}'",
            _ => "[oauth2]\ntoken_url = 'https://a.b'\nclient_id = 'me'\nclient_secret = '${env:X}'",
        };
        format!("origin = 'https://api.example.com'\n{kind}")
            .parse()
            .unwrap()
    };
    let mut path: Vec<&str> = key.table.split('.').filter(|part| !part.is_empty()).collect();
    if key.table == "source.grants.http" {
        let grant: Toml = "origin = 'https://b.example.com'".parse().unwrap();
        file["source"]["grants"]["http"] = vec![toml::Value::from(grant)].into();
    }
    if key.table.starts_with("source.credentials") {
        let kind = path.get(2).copied().unwrap_or(key.name);
        file["source"].as_table_mut().unwrap().insert(
            "credentials".into(),
            vec![toml::Value::from(credential(kind))].into(),
        );
    }
    if key.table == "source.registry" {
        let login = "username = 'me'\npassword = '${env:X}'".parse::<Toml>().unwrap();
        file["source"]
            .as_table_mut()
            .unwrap()
            .insert("registry".into(), login.into());
    }
    if key.name == "time_zone" {
        file.insert("trigger".into(), Toml::new().into());
        file["trigger"]
            .as_table_mut()
            .unwrap()
            .insert("cron".into(), "@daily".into());
    }
    let mut table = &mut file;
    for name in path.drain(..) {
        let entry = table.entry(name).or_insert_with(|| Toml::new().into());
        table = match entry {
            toml::Value::Array(entries) => entries.last_mut().unwrap(),
            table => table,
        }
        .as_table_mut()
        .unwrap();
    }
    table.insert(key.name.into(), value["v"].clone());
    file
}

fn parse(text: &str) -> Result<PipelineFile, ConfigError> {
    PipelineFile::parse(text, Path::new("/lakes/pipeline.toml"))
}

fn read(file: &Toml) -> Result<PipelineFile, ConfigError> {
    parse(&file.to_string())
}

fn as_json(file: &Toml) -> Value {
    serde_json::to_value(file).unwrap()
}

/// Values that fit and values that do not.
fn examples(kind: Kind) -> (Vec<&'static str>, Vec<&'static str>) {
    match kind {
        Kind::Text | Kind::Location => (vec!["'x'", "'a b'"], vec!["''", "' '", "1", "['x']"]),
        Kind::OpenSecret => (vec!["'x'", "'${env:X}'"], vec!["''", "1"]),
        Kind::PipelineName => (vec!["'a'", "'0_-z'"], vec!["'-a'", "'A'", "''", "1"]),
        Kind::Digest => (
            vec!["'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'"],
            vec!["'sha256:12'", "1"],
        ),
        Kind::PublicKeys => (
            vec!["['RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3']"],
            vec!["[]", "['RWQf']", "['x']", "'RWQf'"],
        ),
        Kind::Origin { .. } => (
            vec!["'https://api.example.com'", "'HTTPS://api.example.com/v1'"],
            vec!["'ftp://a.b'", "'https://'", "'a.b'", "1"],
        ),
        Kind::HeaderName => (vec!["'authorization'", "'X-Key'"], vec!["'a b'", "''", "1"]),
        Kind::Secret => (
            vec!["'${env:X}'", "'Bearer ${file:a/b}'", "'${env:A}${env:B}'"],
            vec!["'x'", "'${vault:x}'", "'${env:1}'", "1"],
        ),
        Kind::Size { .. } => (
            vec![
                "'256KiB'", "'64 kb'", "'1.5MiB'", "'70000'", "'100K'", "'80ki'", "'70000B'",
            ],
            vec!["'many'", "256", "'1 apple'", "''"],
        ),
        Kind::Duration => (
            vec!["'10s'", "'1m 30s'", "'1h30m'", "'1.5s'", "'70 sec'", "'200000µs'"],
            vec!["'10'", "10", "'soon'", "''"],
        ),
        Kind::Count { max } => (
            vec!["1", "1_000", "0x10"],
            match max {
                u64::MAX => vec!["0", "-1", "1.5", "'1'"],
                _ => vec!["0", "-1", "1.5", "'1'", "4294967296"],
            },
        ),
        Kind::Rate => (vec!["1", "0.5"], vec!["0", "-0.5", "'1'"]),
        Kind::Boolean => (vec!["true", "false"], vec!["1", "'true'"]),
        Kind::Choice(_) => (vec!["'table'", "'checkpoint'"], vec!["'tabel'", "1"]),
        Kind::Cron => (
            vec!["'0 */2 * * *'", "' 30  6 * * MON-FRI '", "'@daily'"],
            vec!["'0 2 * *'", "'0 0 0 2 * * *'", "'daily'", "''", "5"],
        ),
        Kind::TimeZone => (
            vec![
                "'UTC'",
                "'Europe/Berlin'",
                "'America/Port-au-Prince'",
                "'Etc/GMT+2'",
            ],
            vec!["'Europe Berlin'", "'+01:00'", "''", "1"],
        ),
        Kind::Texts => (vec!["[]", "['a', 'b']"], vec!["'a'", "[1]", "['']"]),
        Kind::Methods => (vec!["['GET']", "['POST', 'PUT']"], vec!["[]", "['GTE']", "'GET'"]),
        Kind::Grants(_) => (
            vec![
                "[]",
                "['https://a.b', 'https://*.example.com']",
                "[{ origin = 'https://a.b', methods = ['POST'] }]",
            ],
            vec![
                "'https://a.b'",
                "[{ methods = ['GET'] }]",
                "[{ origin = 'https://a.b', zzz = 1 }]",
                "['ftp://a.b']",
            ],
        ),
        Kind::Inline(table) if table.ends_with("basic") => (
            vec!["{ username = 'me', password = '${env:X}' }"],
            vec!["{ password = '${env:X}' }", "{ username = 'me', zzz = 1 }", "'x'"],
        ),
        Kind::Inline(_) => (
            vec!["{ token_url = 'https://a.b', client_id = 'me', client_secret = '${env:X}' }"],
            vec!["{ token_url = 'https://a.b' }", "'x'"],
        ),
    }
}

#[test]
fn the_tables_name_every_key_that_the_reader_asks_for_and_no_other() {
    for table in TABLES
        .iter()
        .filter(|table| matches!(table.form, Form::Table | Form::ArrayOfTables))
    {
        // An unknown key is answered with the known ones.
        let mut file: Toml = MINIMAL.parse().unwrap();
        let mut place = &mut file;
        for name in table.path.split('.').filter(|name| !name.is_empty()) {
            place = place
                .entry(name)
                .or_insert_with(|| Toml::new().into())
                .as_table_mut()
                .unwrap();
        }
        if table.form == Form::ArrayOfTables {
            let entry: Toml = "zzz = 1\norigin = 'https://api.example.com'\nheader = 'x'\nvalue = '${env:X}'"
                .parse()
                .unwrap();
            file["source"]["credentials"] = vec![toml::Value::from(entry)].into();
        } else {
            place.insert("zzz".into(), 1.into());
        }
        let error = read(&file).unwrap_err();
        let asked: BTreeSet<String> = error
            .problems()
            .iter()
            .filter_map(|problem| {
                problem
                    .remedy()?
                    .split_once(": ")
                    .map(|(_, keys)| keys.to_owned())
            })
            .flat_map(|keys| keys.split(", ").map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let below = TABLES.iter().filter(|below| below.form != Form::Inline);
        let below = below.filter_map(|below| below.name_in(table.path));
        let named: BTreeSet<String> = names_of(table.path)
            .into_iter()
            .chain(below)
            .map(str::to_owned)
            .collect();
        assert_eq!(asked, named, "[{}]: {error}", table.path);
    }
}

#[test]
fn the_reader_and_the_schema_agree_on_what_each_key_takes() {
    let schema = validator();
    for key in all_keys() {
        let (good, bad) = examples(key.kind);
        for value in good {
            let file = file_with(&key, value);
            let case = format!("{}.{} = {value}", key.table, key.name);
            if let Err(error) = read(&file) {
                // A value of the right form may still not belong to the others of the file.
                let other = error.to_string();
                let known = ["which is not granted", "can't be ", "is shorter than"];
                assert!(known.iter().any(|text| other.contains(text)), "{case}: {error}");
            }
            assert!(
                schema.is_valid(&as_json(&file)),
                "{case}: {:?}",
                schema.validate(&as_json(&file))
            );
        }
        for value in bad {
            let file = file_with(&key, value);
            let case = format!("{}.{} = {value}", key.table, key.name);
            let error = read(&file).expect_err(&case);
            // What is wrong in an entry of `http` is told of `http`.
            let named = [key.name, key.table.rsplit('.').next().unwrap()];
            let message = error.to_string();
            assert!(
                named.iter().any(|name| message.contains(&format!("`{name}`"))),
                "{case}: {error}"
            );
            assert!(!schema.is_valid(&as_json(&file)), "{case}");
        }
    }
}

#[test]
fn the_reader_and_the_schema_agree_on_what_is_missing_and_unknown() {
    let schema = validator();
    let minimal: Toml = MINIMAL.parse().unwrap();
    assert!(read(&minimal).is_ok() && schema.is_valid(&as_json(&minimal)));
    for path in [
        "name",
        "source",
        "source.component",
        "sink",
        "sink.table",
        "checkpoint",
        "checkpoint.location",
    ] {
        let mut file = minimal.clone();
        match path.split_once('.') {
            Some((table, key)) => file[table].as_table_mut().unwrap().remove(key),
            None => file.remove(path),
        };
        assert!(
            read(&file).is_err() && !schema.is_valid(&as_json(&file)),
            "{path}"
        );
    }
    for key in all_keys() {
        let value = examples(key.kind).0[0];
        let mut file = file_with(&key, value).to_string();
        file = file.replacen(&format!("{} =", key.name), &format!("zzz_{} =", key.name), 1);
        if !file.contains("zzz_") {
            continue;
        }
        let json = as_json(&file.parse().unwrap());
        let case = format!("{}.zzz_{}", key.table, key.name);
        assert!(
            parse(&file).is_err() && !schema.is_valid(&json),
            "{case}:\n{file}"
        );
    }
    let two = format!(
        "{MINIMAL}[[source.credentials]]\norigin = 'https://api.example.com'\nbearer = '${{env:X}}'\n"
    );
    let two: Toml = (two + "header = 'x'\nvalue = '${env:X}'").parse().unwrap();
    assert!(read(&two).is_err() && !schema.is_valid(&as_json(&two)));
}

#[test]
fn a_default_is_what_holds_when_the_key_is_left_out() {
    let read = |file: &Toml| {
        let mut config = read(file).unwrap().config().clone();
        config.trigger.interval.get_or_insert(DEFAULT_INTERVAL);
        format!("{config:?}")
    };
    for key in all_keys() {
        let Presence::Default(value) = &key.presence else {
            continue;
        };
        let with = file_with(&key, value);
        let mut without = with.clone();
        let mut table = &mut without;
        for name in key.table.split('.') {
            table = match table.get_mut(name).unwrap() {
                toml::Value::Array(entries) => entries.last_mut().unwrap(),
                table => table,
            }
            .as_table_mut()
            .unwrap();
        }
        table.remove(key.name).unwrap();
        assert_eq!(
            read(&with),
            read(&without),
            "{}.{} = {value}",
            key.table,
            key.name
        );
    }
}

#[test]
fn the_schema_is_a_schema_and_has_every_default() {
    let schema = pipeline_file_schema();
    assert!(jsonschema::draft7::meta::is_valid(&schema));
    let text = schema.to_string();
    let defaults = all_keys()
        .filter(|key| matches!(key.presence, Presence::Default(_)))
        .count();
    assert_eq!(text.matches("\"default\":").count(), defaults);
}

#[test]
fn the_reference_names_every_table_and_key() {
    let text = pipeline_file_reference();
    for table in TABLES {
        assert!(text.contains(table.doc), "{}", table.path);
    }
    for key in all_keys() {
        assert!(text.contains(&format!("\n| `{}` | ", key.name)), "{}", key.name);
        assert!(
            !key.doc.contains('|'),
            "{}: a cell of a Markdown table ends there",
            key.name
        );
    }
}
