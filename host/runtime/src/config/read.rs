//! The walk from the parsed text to the typed configuration.

use std::path::Path;

use chrono_tz::Tz;
use sandbar_delta::OffsetStorage;
use sandbar_pipeline::{Probation, RetryPolicy};
use sandbar_policy::{LimitKey, Limits};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Mistake;
use super::grant;
use super::redact_snippet;
use super::section::{Mistakes, Section};
use super::value::{self, Refusal};
use super::{
    CheckpointConfig, PipelineConfig, RegistryConfig, SinkConfig, SourceConfig, Spans, SwapConfig, TlsConfig,
    TriggerConfig,
};
use crate::schedule::CronSchedule;

/// What came of a text.
pub(super) struct Read {
    /// The text as it may be shown to people.
    pub(super) shown: String,
    /// The configuration and where its parts stand, or what is wrong.
    pub(super) outcome: Result<(PipelineConfig, Spans), Vec<Mistake>>,
}

pub(super) fn read(text: &str, folder: &Path) -> Read {
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let mistake = Mistake::new(
                error.span().unwrap_or(0..0),
                format!("not TOML: {}", error.message()),
            );
            return Read {
                shown: redact_snippet::lines(text),
                outcome: Err(vec![mistake]),
            };
        }
    };
    let mistakes = Mistakes::default();
    let config = pipeline(Section::root(document.get_ref(), &mistakes), folder, &mistakes);
    let mistakes = mistakes.into_inner();
    let outcome = match config {
        Some(config) if mistakes.is_empty() => Ok((config, Spans::of(document.get_ref()))),
        _ => Err(mistakes),
    };
    Read {
        shown: redact_snippet::credentials(text, document.get_ref()),
        outcome,
    }
}

fn pipeline(mut root: Section<'_>, folder: &Path, mistakes: &Mistakes) -> Option<PipelineConfig> {
    let name = root.required("name", "name = \"my-pipeline\"", value::name);
    let source = source(
        root.required_section("source", "[source] with component = \"comments\""),
        folder,
        mistakes,
    );
    let sink = sink(root.required_section("sink", "[sink] with table = \"lake/my-table\""));
    let mut checkpoint = root.required_section(
        "checkpoint",
        "[checkpoint] with location = \"lake/_checkpoints/my-pipeline\"",
    );
    let location = checkpoint.required(
        "location",
        "location = \"lake/_checkpoints/my-pipeline\"",
        value::location,
    );
    if location.is_some() && location.as_deref() == sink.as_ref().map(|sink| sink.table.as_str()) {
        let remedy = "write a location of its own, such as \"lake/_checkpoints/my-pipeline\"";
        checkpoint.refuse_value("location", Refusal::new("is the table's own folder", remedy));
    }
    checkpoint.finish();
    let trigger = trigger(root.section("trigger"));
    let swap = swap(root.section("swap"));
    let retry = retry(root.section("retry"));
    root.finish();
    Some(PipelineConfig {
        name: name?,
        source: source?,
        sink: sink?,
        checkpoint: CheckpointConfig { location: location? },
        trigger,
        swap,
        retry,
    })
}

fn source(mut section: Section<'_>, folder: &Path, mistakes: &Mistakes) -> Option<SourceConfig> {
    let component = section.required("component", "component = \"comments\"", value::string);
    let stream = section.read("stream", value::string);
    let digest = section.read("digest", value::digest);
    let trust = trust(&mut section);
    let watch = section.read("watch", value::boolean).unwrap_or_default();
    let key = section.read("key", value::array).is_some();
    let key = key.then(|| section.list("key", value::string));
    let options = section
        .section("options")
        .table()
        .map(|table| json_table(table, mistakes))
        .unwrap_or_default();
    let grants = grant::grants(section.section("grants"));
    let credentials = section.sections("credentials");
    let credentials = credentials
        .into_iter()
        .filter_map(|entry| grant::credential(entry, folder, &grants))
        .collect();
    let limits = limits(section.section("limits"));
    let registry = registry(section.section("registry"), folder);
    let mut tls = section.section("tls");
    let ca_file = tls.read("ca_file", value::string);
    tls.finish();
    section.finish();
    Some(SourceConfig {
        component: component?,
        stream,
        digest,
        trust,
        watch,
        registry,
        options,
        key,
        grants,
        credentials,
        limits,
        tls: TlsConfig {
            ca_file: ca_file.map(|path| folder.join(path)),
        },
    })
}

/// Without a key everything would be trusted, so that an empty list says something that nobody means.
fn trust(section: &mut Section<'_>) -> Vec<String> {
    let given = section.read("trust", value::array);
    if given.is_some_and(|keys| keys.is_empty()) {
        let remedy = "write a public key of minisign, or leave the key out if no signature is needed";
        section.refuse_value("trust", Refusal::new("is empty", remedy));
    }
    section.list("trust", value::public_key)
}

fn registry(mut section: Section<'_>, folder: &Path) -> RegistryConfig {
    let username = section.read("username", |value| grant::open(value, folder));
    let password = section.read("password", |value| grant::secret(value, folder));
    let ca_file = section.read("ca_file", value::string);
    let login = match (username, password) {
        (Some(username), Some(password)) => Some((username, password)),
        (Some(_), None) => {
            let remedy = "write a `password` beside it";
            section.refuse_value("username", Refusal::new("stands alone", remedy));
            None
        }
        (None, Some(_)) => {
            let remedy = "write a `username` beside it";
            section.refuse_value("password", Refusal::new("stands alone", remedy));
            None
        }
        (None, None) => None,
    };
    section.finish();
    RegistryConfig {
        login,
        ca_file: ca_file.map(|path| folder.join(path)),
    }
}

fn limits(mut section: Section<'_>) -> Limits {
    let mut limits = Limits::default();
    for key in LimitKey::ALL {
        if let Some(value) = section.read(key.as_str(), |value| value::limit(value, *key))
            && let Err(e) = limits.set(*key, value)
        {
            section.refuse_value(key.as_str(), Refusal::new(e.to_string(), "write another value"));
        }
    }
    section.finish();
    limits
}

fn sink(mut section: Section<'_>) -> Option<SinkConfig> {
    let table = section.required("table", "table = \"lake/my-table\"", value::location);
    let partition_by = section.list("partition_by", value::string);
    let ingested_at = section.read("ingested_at", value::string);
    let progress = section.read("progress", progress).unwrap_or_default();
    let evolve = section.read("evolve", value::boolean).unwrap_or_default();
    let single_writer = section.read("single_writer", value::boolean).unwrap_or_default();
    section.finish();
    Some(SinkConfig {
        table: table?,
        partition_by,
        ingested_at,
        progress,
        evolve,
        single_writer,
    })
}

fn progress(value: &DeValue<'_>) -> Result<OffsetStorage, Refusal> {
    match value::text(value)? {
        "table" => Ok(OffsetStorage::Table),
        "checkpoint" => Ok(OffsetStorage::Checkpoint),
        other => Err(Refusal::new(
            format!("can't be {other:?}"),
            "write \"table\" or \"checkpoint\"",
        )),
    }
}

fn trigger(mut section: Section<'_>) -> TriggerConfig {
    let default = TriggerConfig::default();
    let interval = section.read("interval", value::duration);
    let schedule = schedule(&mut section);
    if interval.is_some() && schedule.is_some() {
        let remedy = "leave out this key, or `interval`";
        section.refuse_value("cron", Refusal::new("can't stand beside `interval`", remedy));
    }
    let max_rows_per_batch = section
        .read("max_rows_per_batch", value::count)
        .unwrap_or(default.max_rows_per_batch);
    let max_bytes_per_batch = section
        .read("max_bytes_per_batch", value::size)
        .unwrap_or(default.max_bytes_per_batch);
    section.finish();
    TriggerConfig {
        interval,
        schedule,
        max_rows_per_batch,
        max_bytes_per_batch,
    }
}

fn schedule(section: &mut Section<'_>) -> Option<CronSchedule> {
    let has_cron = section.has("cron");
    let zone = section.read("time_zone", value::time_zone);
    if section.has("time_zone") && !has_cron {
        let refusal = Refusal::new(
            "is for `cron`, which is missing",
            "add `cron`, or leave this key out",
        );
        section.refuse_value("time_zone", refusal);
    }
    section.read("cron", |value| value::cron(value, zone.unwrap_or(Tz::UTC)))
}

fn swap(mut section: Section<'_>) -> SwapConfig {
    let default = SwapConfig::default();
    let batches = section.read("probation_batches", value::count);
    let time = section.read("probation_time", value::duration);
    let watch_interval = section.read("watch_interval", value::duration);
    section.finish();
    SwapConfig {
        probation: Probation {
            batches: batches.unwrap_or(default.probation.batches),
            time: time.unwrap_or(default.probation.time),
        },
        watch_interval: watch_interval.unwrap_or(default.watch_interval),
    }
}

fn retry(mut section: Section<'_>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let attempts = section.read("attempts", value::count).unwrap_or(default.attempts);
    let base = section.read("base", value::duration).unwrap_or(default.base);
    let max = section.read("max", value::duration);
    if let Some(max) = max.filter(|max| *max < base) {
        let fault = format!("is shorter than `base`: {}", humantime::format_duration(max));
        let remedy = format!("write {} or more", humantime::format_duration(base));
        section.refuse_value("max", Refusal::new(fault, remedy));
    }
    section.finish();
    RetryPolicy::new(attempts).with_pauses(base, max.unwrap_or(default.max.max(base)))
}

fn json_table(table: &DeTable<'_>, mistakes: &Mistakes) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, value) in table {
        let key = key.get_ref();
        object.insert(key.to_string(), json(key, value, mistakes));
    }
    object
}

fn json(key: &str, value: &Spanned<DeValue<'_>>, mistakes: &Mistakes) -> Value {
    let refuse = |fault: &str, remedy: &str| {
        mistakes.add(Mistake::new(value.span(), format!("option `{key}` {fault}")).label(remedy));
        Value::Null
    };
    match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(boolean) => Value::from(*boolean),
        DeValue::Table(table) => Value::Object(json_table(table, mistakes)),
        DeValue::Array(elements) => elements
            .iter()
            .map(|element| json(key, element, mistakes))
            .collect(),
        DeValue::Integer(integer) => {
            let (digits, radix) = (integer.as_str(), integer.radix());
            let signed = i64::from_str_radix(digits, radix).map(Value::from);
            match signed.or_else(|_| u64::from_str_radix(digits, radix).map(Value::from)) {
                Ok(number) => number,
                Err(_) => refuse(
                    "does not fit into 64 bits",
                    "write a smaller number, or write it in quotes",
                ),
            }
        }
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            _ => refuse("is a number that JSON does not have", "write a finite number"),
        },
        DeValue::Datetime(_) => refuse("is a date, which JSON does not have", "write it in quotes"),
    }
}
