//! Every key of the pipeline file, once. The options reference of the book and the JSON Schema for editors are made
//! from these tables; tests hold the tables to what the reader of the file takes.

use std::borrow::Cow;
use std::time::Duration;

use sandbar_policy::{LimitKey, LimitKind, LimitValue, Limits, METHODS};
use serde_json::{Map, Value, json};

use super::value::written_size;
use Presence::{Optional, Required};

/// A table of the file.
struct Table {
    /// Its dotted path, empty for the top level.
    path: &'static str,
    form: Form,
    presence: Presence,
    doc: &'static str,
}

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `[path]`
    Table,
    /// `[[path]]`, as often as needed.
    ArrayOfTables,
    /// `{ ... }`, a value of the key at the end of the path.
    Inline,
    /// `[path]`, with keys that the component defines.
    Open,
}

/// A key of a table.
#[derive(Clone)]
struct Key {
    table: &'static str,
    name: &'static str,
    kind: Kind,
    presence: Presence,
    doc: &'static str,
}

/// What holds when a table or a key is left out.
#[derive(Clone, PartialEq, Eq)]
enum Presence {
    /// The file is refused.
    Required,
    /// Nothing, or what the documentation says.
    Optional,
    /// The same as with this value, written as in the file.
    Default(Cow<'static, str>),
}

/// What a value may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    PipelineName,
    Location,
    Digest,
    /// Public keys of minisign, at least one.
    PublicKeys,
    /// `scheme://host[:port][/path-prefix]`.
    Origin {
        wildcard: bool,
    },
    HeaderName,
    /// A text that refers to a secret.
    Secret,
    /// A text that may refer to a secret.
    OpenSecret,
    Size {
        min: u64,
        max: u64,
    },
    Duration,
    /// A whole number from 1 to `max`.
    Count {
        max: u64,
    },
    /// A number above 0.
    Rate,
    Boolean,
    Choice(&'static [&'static str]),
    /// Five fields, or a name that stands for them.
    Cron,
    /// A name of the IANA database.
    TimeZone,
    Texts,
    Methods,
    /// Origins, and inline tables of this path.
    Grants(&'static str),
    /// An inline table of this path.
    Inline(&'static str),
}

/// All tables, in the order of the reference.
static TABLES: &[Table] = &[
    Table {
        path: "",
        form: Form::Table,
        presence: Required,
        doc: "Keys above the first table.",
    },
    Table {
        path: "source",
        form: Form::Table,
        presence: Required,
        doc: "Where rows come from.",
    },
    Table {
        path: "source.options",
        form: Form::Open,
        presence: Optional,
        doc: "The component's own options. `sandbar inspect COMPONENT` lists them. They are checked against the JSON \
            Schema that the component declares.",
    },
    Table {
        path: "source.grants",
        form: Form::Table,
        presence: Optional,
        doc: "What the component may reach. Without grants it reaches nothing.",
    },
    Table {
        path: "source.grants.http",
        form: Form::Inline,
        presence: Optional,
        doc: "One entry of the array `http`, where methods other than GET and HEAD are granted.",
    },
    Table {
        path: "source.credentials",
        form: Form::ArrayOfTables,
        presence: Optional,
        doc: "A credential that the host adds to requests to one origin. The component never sees it. Each entry has \
            an `origin` and exactly one of: `header` with `value`, `query` with `value`, `bearer`, `basic`, `oauth2`.",
    },
    Table {
        path: "source.credentials.basic",
        form: Form::Inline,
        presence: Optional,
        doc: "A user name and a password.",
    },
    Table {
        path: "source.credentials.oauth2",
        form: Form::Inline,
        presence: Optional,
        doc: "A bearer token from a token endpoint. The host fetches the token and renews it. A refresh token that \
            the endpoint replaces is kept readable by its owner alone: in `secrets/` of a checkpoint location on this \
            machine, or in the user's state folder when the location is elsewhere.",
    },
    Table {
        path: "source.limits",
        form: Form::Table,
        presence: Optional,
        doc: "How much the component may use. `parallelism`, `requests_per_second` and `requests_in_flight` make work \
            wait, and `log` drops messages. A pipeline that meets another limit ends with an error that names the key; \
            other pipelines of the process go on.",
    },
    Table {
        path: "source.registry",
        form: Form::Table,
        presence: Optional,
        doc: "How the registry of the component is reached.",
    },
    Table {
        path: "source.tls",
        form: Form::Table,
        presence: Optional,
        doc: "Certificates.",
    },
    Table {
        path: "sink",
        form: Form::Table,
        presence: Required,
        doc: "Where rows go.",
    },
    Table {
        path: "checkpoint",
        form: Form::Table,
        presence: Required,
        doc: "Where the pipeline keeps what does not go into the table.",
    },
    Table {
        path: "trigger",
        form: Form::Table,
        presence: Optional,
        doc: "When micro-batches start, and how large they may be.",
    },
    Table {
        path: "swap",
        form: Form::Table,
        presence: Optional,
        doc: "How another version of the component takes over while the pipeline runs. It is on probation until it has \
            committed some micro-batches, or has worked for some time; if it fails before that, the version before it \
            takes over again.",
    },
    Table {
        path: "retry",
        form: Form::Table,
        presence: Optional,
        doc: "How often a micro-batch is tried again. Only errors that may pass are retried: 429, 5xx, a dropped \
            connection, a key that comes twice.",
    },
];

/// All keys but the limits.
static KEYS: &[Key] = &[
    key(
        "",
        "name",
        Kind::PipelineName,
        Required,
        "The pipeline's name: 1 to 64 of `a-z`, `0-9`, `_` and `-`, \
        beginning with a letter or a digit. Its transactions in the table carry `sandbar/<name>`, so a pipeline with \
        another name is a new pipeline.",
    ),
    key(
        "source",
        "component",
        Kind::Text,
        Required,
        "A built-in component, such as `comments`; the path of a \
        `.wasm` file; `name@version` or `sha256:...` in the folder `components/` beside the file; or \
        `oci://host/repository:tag`, or with `@sha256:...` in place of the tag. A value with a slash, or with `.wasm` at its end, is a path \
        unless it begins with `oci://`.",
    ),
    key(
        "source",
        "stream",
        Kind::Text,
        Optional,
        "The stream to read. It may be left out when the component has one \
        stream.",
    ),
    key(
        "source",
        "digest",
        Kind::Digest,
        Optional,
        "Pins the component. A component with another digest is refused \
        before it is compiled. `sandbar inspect COMPONENT` prints the digest.",
    ),
    key(
        "source",
        "trust",
        Kind::PublicKeys,
        Optional,
        "Public keys of minisign. A component that is not signed with one of them is refused before it is compiled. \
        Components that are built in need no signature.",
    ),
    key(
        "source",
        "watch",
        Kind::Boolean,
        default("false"),
        "Whether the component's file or tag is watched while the pipeline runs. When it leads to another version, that \
        one takes over, as with `sandbar swap`.",
    ),
    key(
        "source",
        "key",
        Kind::Texts,
        Optional,
        "Columns that identify a row. A micro-batch in which a key comes twice \
        is read again, and refused after `retry.attempts`. Left out, it is the key that the component declares, \
        compared for sources whose ranges are known before they are read. `[]` compares nothing.",
    ),
    key(
        "source.grants",
        "http",
        Kind::Grants("source.grants.http"),
        default("[]"),
        "Origins that requests may go \
        to. An origin alone grants GET and HEAD; a path in it grants that path and everything below it; \
        `https://*.example.com` grants every name below `example.com`. A table grants other methods.",
    ),
    key(
        "source.grants",
        "private_network",
        Kind::Boolean,
        default("false"),
        "Whether a granted name may lead to a \
        loopback, private or other special address. An address that is written out in `http` needs no such \
        permission.",
    ),
    key(
        "source.grants.http",
        "origin",
        Kind::Origin { wildcard: true },
        Required,
        "The origin.",
    ),
    key(
        "source.grants.http",
        "methods",
        Kind::Methods,
        default("[\"GET\", \"HEAD\"]"),
        "The methods that requests \
        may have.",
    ),
    key(
        "source.credentials",
        "origin",
        Kind::Origin { wildcard: false },
        Required,
        "The origin that the credential \
        is for. It must be granted in `source.grants.http`.",
    ),
    key(
        "source.credentials",
        "header",
        Kind::HeaderName,
        Optional,
        "The name of a header, such as \
        `authorization`. Its value is `value`.",
    ),
    key(
        "source.credentials",
        "query",
        Kind::Text,
        Optional,
        "The name of a query parameter. Its value is `value`.",
    ),
    key(
        "source.credentials",
        "value",
        Kind::Secret,
        Optional,
        "The value of the header or of the query parameter, \
        such as `Bearer ${env:API_TOKEN}`.",
    ),
    key(
        "source.credentials",
        "bearer",
        Kind::Secret,
        Optional,
        "A bearer token.",
    ),
    key(
        "source.credentials",
        "basic",
        Kind::Inline("source.credentials.basic"),
        Optional,
        "Basic authentication.",
    ),
    key(
        "source.credentials",
        "oauth2",
        Kind::Inline("source.credentials.oauth2"),
        Optional,
        "OAuth2: client \
        credentials, or a refresh token.",
    ),
    key(
        "source.credentials.basic",
        "username",
        Kind::OpenSecret,
        Required,
        "The user name. Without a password it is \
        the secret and must be a reference.",
    ),
    key(
        "source.credentials.basic",
        "password",
        Kind::Secret,
        Optional,
        "The password.",
    ),
    key(
        "source.credentials.oauth2",
        "token_url",
        Kind::Text,
        Required,
        "The URL of the token endpoint: HTTPS, or HTTP \
        on this machine. It needs no grant.",
    ),
    key(
        "source.credentials.oauth2",
        "client_id",
        Kind::OpenSecret,
        Required,
        "The client's name.",
    ),
    key(
        "source.credentials.oauth2",
        "client_secret",
        Kind::Secret,
        Required,
        "The client's secret.",
    ),
    key(
        "source.credentials.oauth2",
        "scope",
        Kind::Text,
        Optional,
        "The scope to ask for.",
    ),
    key(
        "source.credentials.oauth2",
        "refresh_token",
        Kind::Secret,
        Optional,
        "A refresh token. Without one, the \
        client's own credentials are the grant.",
    ),
    key(
        "source.tls",
        "ca_file",
        Kind::Text,
        Optional,
        "A file with PEM certificates of authorities that are trusted \
        beside those of this machine. The environment variable `SSL_CERT_FILE` replaces those of this machine.",
    ),
    key(
        "source.registry",
        "username",
        Kind::OpenSecret,
        Optional,
        "The user name at the registry. Left out, it is what `docker login` keeps for that registry.",
    ),
    key(
        "source.registry",
        "password",
        Kind::Secret,
        Optional,
        "The password or token. It goes with `username`.",
    ),
    key(
        "source.registry",
        "ca_file",
        Kind::Text,
        Optional,
        "A file of PEM certificates of authorities that are trusted for the registry, beside those of this machine.",
    ),
    key(
        "sink",
        "table",
        Kind::Location,
        Required,
        "The Delta table: a path, or an `s3://`, `az://` or `gs://` URL. \
        It is created when it is missing.",
    ),
    key(
        "sink",
        "partition_by",
        Kind::Texts,
        default("[]"),
        "Columns to partition a new table by. For a table that \
        exists, leave it out or write the table's own columns.",
    ),
    key(
        "sink",
        "ingested_at",
        Kind::Text,
        Optional,
        "A column that takes the time of the micro-batch, one value for \
        all of its rows.",
    ),
    key(
        "sink",
        "progress",
        Kind::Choice(&["table", "checkpoint"]),
        default("\"table\""),
        "Where the end offset of a \
        micro-batch is kept. `table`: in the commit that brings the rows. `checkpoint`: in the offset log of the \
        checkpoint location, for tables that delta-rs must be able to write. A table that lacks the writer feature \
        `domainMetadata` gets the offset log in either case.",
    ),
    key(
        "sink",
        "evolve",
        Kind::Boolean,
        default("false"),
        "Whether columns that the source has and the table lacks are \
        added to the table, each nullable, in the commit that brings the first rows with them. Otherwise such a source is \
        refused. Nothing is ever dropped, renamed or given another type.",
    ),
    key(
        "sink",
        "single_writer",
        Kind::Boolean,
        default("false"),
        "A promise that one program alone writes the \
        table. S3 stores without a conditional put are refused unless it is made.",
    ),
    key(
        "checkpoint",
        "location",
        Kind::Location,
        Required,
        "A folder of this pipeline's own: a path, an `s3://`, \
        `az://` or `gs://` URL, or `dbfs:/Volumes/<catalog>/<schema>/<volume>/...`.",
    ),
    key(
        "trigger",
        "interval",
        Kind::Duration,
        default("\"10s\""),
        "The time between two polls of the source. Each \
        poll reads everything that exists. With `--available-now` and `--once` it does not count.",
    ),
    key(
        "trigger",
        "cron",
        Kind::Cron,
        Optional,
        "Times at which the source is polled, instead of `interval`: minute, \
        hour, day of the month, month, day of the week, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. The first \
        poll waits for the first of them. Times that pass during a poll are left out.",
    ),
    key(
        "trigger",
        "time_zone",
        Kind::TimeZone,
        default("\"UTC\""),
        "The time zone of `cron`: a name of the IANA \
        database, such as `Europe/Berlin`.",
    ),
    key(
        "trigger",
        "max_rows_per_batch",
        COUNT,
        default("100000"),
        "Rows that one micro-batch \
        may take.",
    ),
    key(
        "trigger",
        "max_bytes_per_batch",
        SIZE,
        default("\"4GiB\""),
        "Bytes of Arrow rows that one micro-batch \
        may take. A sequential source is committed before it has more. A range that has more is refused.",
    ),
    key(
        "swap",
        "probation_batches",
        COUNT_32,
        default("3"),
        "Micro-batches after which a new version has proven itself.",
    ),
    key(
        "swap",
        "probation_time",
        Kind::Duration,
        default("\"60s\""),
        "The time after which a new version has proven itself without them, if its last poll went well.",
    ),
    key(
        "swap",
        "watch_interval",
        Kind::Duration,
        default("\"30s\""),
        "The time between two looks at the component's file or tag, where `source.watch` is set.",
    ),
    key(
        "retry",
        "attempts",
        COUNT_32,
        default("5"),
        "Tries of one micro-batch, the first one included.",
    ),
    key(
        "retry",
        "base",
        Kind::Duration,
        default("\"200ms\""),
        "The pause after the first failure. It doubles with \
        each further one. A longer pause that the remote asks for (`Retry-After`) is kept.",
    ),
    key(
        "retry",
        "max",
        Kind::Duration,
        default("\"30s\""),
        "The longest pause, also when the remote asks for more. \
        It may not be shorter than `base`; when it is left out and `base` is longer than 30 s, it is `base`.",
    ),
];

const SIZE: Kind = Kind::Size {
    min: 1,
    max: u64::MAX,
};
const COUNT: Kind = Kind::Count { max: u64::MAX };
const COUNT_32: Kind = Kind::Count { max: u32::MAX as u64 };

const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    presence: Presence,
    doc: &'static str,
) -> Key {
    Key {
        table,
        name,
        kind,
        presence,
        doc,
    }
}

const fn default(value: &'static str) -> Presence {
    Presence::Default(Cow::Borrowed(value))
}

/// The keys of one table, in the order of the reference.
fn keys_of(table: &str) -> Vec<Key> {
    match table {
        LIMITS => LimitKey::ALL.iter().map(|limit| key_of(*limit)).collect(),
        _ => KEYS.iter().filter(|key| key.table == table).cloned().collect(),
    }
}

const LIMITS: &str = "source.limits";

/// The key of a limit, from the one table of limits.
fn key_of(limit: LimitKey) -> Key {
    let (min, max) = limit.bounds().into_inner();
    let kind = match limit.kind() {
        LimitKind::Size => Kind::Size { min, max },
        LimitKind::Time => Kind::Duration,
        LimitKind::Count => Kind::Count { max },
        LimitKind::Rate => Kind::Rate,
    };
    let default = Limits::default().get(limit).map(|value| match value {
        LimitValue::Size(bytes) => format!("\"{}\"", written_size(bytes)),
        LimitValue::Time(time) => format!("\"{}\"", duration(time)),
        LimitValue::Count(count) => count.to_string(),
        LimitValue::Rate(rate) => rate.to_string(),
    });
    Key {
        table: LIMITS,
        name: limit.as_str(),
        kind,
        presence: default.map_or(Optional, |default| Presence::Default(default.into())),
        doc: limit.doc(),
    }
}

/// A time span as it is written in a file: `120s`, `200ms`.
fn duration(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        _ => humantime::format_duration(time).to_string(),
    }
}

/// The names of the keys of one table.
pub(super) fn names_of(table: &str) -> Vec<&'static str> {
    keys_of(table).iter().map(|key| key.name).collect()
}

/// The options reference of the book: every table and every key of a pipeline file, in Markdown.
#[must_use]
pub fn pipeline_file_reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for table in TABLES {
        let title = match (table.path, table.form) {
            ("", _) => "Top level".to_owned(),
            (path, Form::ArrayOfTables) => format!("`[[{path}]]`"),
            (path, Form::Inline) => format!("`{path}`"),
            (path, Form::Table | Form::Open) => format!("`[{path}]`"),
        };
        let required = match table.presence {
            Required if !table.path.is_empty() => " Required.",
            _ => "",
        };
        text.push_str(&format!("\n## {title}\n\n{}{required}\n", table.doc));
        if table.form == Form::Open {
            continue;
        }
        text.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in keys_of(table.path) {
            let default = match &key.presence {
                Required => "required".to_owned(),
                Optional => "-".to_owned(),
                Presence::Default(value) => format!("`{value}`"),
            };
            let (name, value) = (key.name, key.kind.in_words());
            text.push_str(&format!("| `{name}` | {value} | {default} | {} |\n", key.doc));
        }
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from host/runtime/src/config/reference.rs by the test docs::generated. Do not edit. -->

# Options reference

Every key of a pipeline file. [Pipeline files](pipeline-files.md) explains how they work together. A key that is not
listed here is an error; the message names the nearest known key.

| value | written as |
|---|---|
| text | `\"...\"`, not empty |
| size | a number and its unit in quotes: `\"256MiB\"`, `\"64kB\"`; units of 1024 end in `iB` |
| duration | numbers and their units in quotes: `\"200ms\"`, `\"1m 30s\"`; longer than zero |
| count | a whole number of at least 1 |
| secret | text with at least one reference: `${env:NAME}` for an environment variable, `${file:path}` for a file |
| origin | `\"scheme://host[:port][/path-prefix]\"`, with `https` or `http` |

Relative paths start from the folder of the pipeline file, also those in `${file:path}`.
";

/// The JSON Schema (draft 7) of pipeline files, for editors that complete and check them.
///
/// It accepts every file that the program accepts. The program refuses more: it knows what belongs together, and it
/// resolves what the file names.
#[must_use]
pub fn pipeline_file_schema() -> Value {
    let mut schema = table_schema("");
    let top = [
        ("$schema", "http://json-schema.org/draft-07/schema#"),
        ("title", "Sandbar pipeline file"),
        (
            "description",
            "One source, one Delta table, and what the source may do.",
        ),
    ];
    for (name, value) in top {
        schema.insert(name.to_owned(), value.into());
    }
    Value::Object(schema)
}

fn table_schema(path: &str) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    let Some(table) = TABLES.iter().find(|table| table.path == path) else {
        return schema;
    };
    schema.insert("description".into(), table.doc.into());
    if table.form == Form::Open {
        return schema;
    }
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for key in keys_of(path) {
        properties.insert(key.name.to_owned(), key.schema());
        if key.presence == Required {
            required.push(key.name);
        }
    }
    for (below, name) in TABLES
        .iter()
        .filter_map(|below| Some((below, below.name_in(path)?)))
    {
        let schema = Value::Object(table_schema(below.path));
        let schema = match below.form {
            Form::ArrayOfTables => json!({ "type": "array", "items": schema }),
            // It is the value of a key.
            Form::Inline => continue,
            Form::Table | Form::Open => schema,
        };
        properties.insert(name.to_owned(), schema);
        if below.presence == Required {
            required.push(name);
        }
    }
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("additionalProperties".into(), false.into());
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    if path == CREDENTIALS {
        let kinds = CREDENTIAL_KINDS.map(|keys| json!({ "required": keys }));
        schema.insert("oneOf".into(), kinds.to_vec().into());
    }
    schema
}

const CREDENTIALS: &str = "source.credentials";
const CREDENTIAL_KINDS: [&[&str]; 5] = [
    &["header", "value"],
    &["query", "value"],
    &["bearer"],
    &["basic"],
    &["oauth2"],
];

impl Table {
    /// The table's name, when it stands directly in the table `above`.
    fn name_in(&self, above: &str) -> Option<&'static str> {
        match self.path.rsplit_once('.') {
            Some((parent, name)) => (parent == above).then_some(name),
            None => (above.is_empty() && !self.path.is_empty()).then_some(self.path),
        }
    }
}

impl Key {
    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".into(), self.doc.into());
            // Strings, numbers, booleans and arrays of strings are written in TOML as in JSON.
            if let Presence::Default(value) = &self.presence
                && let Ok(value) = serde_json::from_str(value)
            {
                schema.insert("default".into(), value);
            }
        }
        schema
    }
}

impl Kind {
    /// What a value is, in the words of the reference.
    fn in_words(self) -> String {
        match self {
            Self::Text | Self::PipelineName | Self::HeaderName | Self::OpenSecret => "text".into(),
            Self::Location => "path or URL".into(),
            Self::Digest => "`\"sha256:...\"`".into(),
            Self::PublicKeys => "array of `\"RW...\"`".into(),
            Self::Origin { wildcard: true } => "origin".into(),
            Self::Origin { wildcard: false } => "origin without `*`".into(),
            Self::Secret => "secret".into(),
            Self::Size {
                min: 1,
                max: u64::MAX,
            } => "size".into(),
            Self::Size { min: 1, max } => format!("size, at most {}", written_size(max)),
            Self::Size { min, max } => format!("size, {} to {}", written_size(min), written_size(max)),
            Self::Duration => "duration".into(),
            Self::Count { .. } => "count".into(),
            Self::Rate => "number above 0".into(),
            Self::Boolean => "`true` or `false`".into(),
            Self::Choice(values) => {
                let values: Vec<_> = values.iter().map(|value| format!("`\"{value}\"`")).collect();
                values.join(" or ")
            }
            Self::Cron => "five fields, such as `\"0 */2 * * *\"`".into(),
            Self::TimeZone => "name of a time zone".into(),
            Self::Texts => "array of texts".into(),
            Self::Methods => {
                let methods: Vec<_> = METHODS.iter().map(|method| format!("`\"{method}\"`")).collect();
                format!("array of {}", methods.join(", "))
            }
            Self::Grants(table) => format!("array of origins, and of tables: see {}", link_to(table)),
            Self::Inline(table) => format!("table: see {}", link_to(table)),
        }
    }

    fn schema(self) -> Value {
        let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
        match self {
            Self::Text | Self::OpenSecret | Self::Location => text(r"\S"),
            Self::PipelineName => text("^[a-z0-9][a-z0-9_-]{0,63}$"),
            Self::Digest => text("^sha256:[0-9a-f]{64}$"),
            Self::PublicKeys => json!({
                "type": "array", "minItems": 1, "items": text("^RW[A-Za-z0-9+/]{54}$"),
            }),
            Self::Origin { wildcard: true } => text(r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]"),
            Self::Origin { wildcard: false } => text(r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s*]"),
            Self::HeaderName => text("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
            Self::Secret => text(r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*|file:[^}]+)\}"),
            Self::Size { .. } => text(r"^[0-9.]+\s*([kKmMgGtTpPeE][iI]?)?[bB]?$"),
            Self::Duration => text(r"^\s*([0-9][0-9.\s]*[A-Za-zµ]+\s*)+$"),
            Self::Count { max: u64::MAX } => json!({ "type": "integer", "minimum": 1 }),
            Self::Count { max } => json!({ "type": "integer", "minimum": 1, "maximum": max }),
            Self::Rate => json!({ "type": "number", "exclusiveMinimum": 0 }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Choice(values) => json!({ "type": "string", "enum": values }),
            Self::Cron => text(r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4})\s*$"),
            Self::TimeZone => text("^[A-Za-z][A-Za-z0-9_+/-]*$"),
            Self::Texts => json!({ "type": "array", "items": text(r"\S") }),
            Self::Methods => json!({
                "type": "array", "minItems": 1, "items": { "type": "string", "enum": METHODS },
            }),
            Self::Grants(table) => {
                let origin = Self::Origin { wildcard: true }.schema();
                json!({ "type": "array", "items": { "anyOf": [origin, table_schema(table)] } })
            }
            Self::Inline(table) => Value::Object(table_schema(table)),
        }
    }
}

/// A link to the heading of an inline table, by the anchor that Markdown renderers give it.
fn link_to(table: &str) -> String {
    format!("[below](#{})", table.replace('.', ""))
}

#[cfg(test)]
mod tests;
