//! What a pipeline file says, typed. Each `Default` is what holds when a key is left out.

use std::path::PathBuf;
use std::time::Duration;

use sandbar_delta::OffsetStorage;
use sandbar_pipeline::{Probation, RetryPolicy};
use sandbar_policy::{Grants, Limits};
use serde_json::{Map, Value};

use super::SecretRef;
use crate::schedule::CronSchedule;

/// One pipeline.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// The pipeline's name: `[a-z0-9][a-z0-9_-]{0,63}`.
    pub name: String,
    /// Where rows come from.
    pub source: SourceConfig,
    /// Where rows go.
    pub sink: SinkConfig,
    /// Where notes are kept.
    pub checkpoint: CheckpointConfig,
    /// When a micro-batch starts and how large it may be.
    pub trigger: TriggerConfig,
    /// The table `[swap]`: how another version of the component takes over.
    pub swap: SwapConfig,
    /// The table `[retry]`: what happens when the remote is unavailable. Its pauses do not vary until a run begins.
    pub retry: RetryPolicy,
}

/// The table `[source]`.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// A built-in's name, a path to a `.wasm` file, a version in the folder of components, or a reference to a registry.
    pub component: String,
    /// The stream, where the component has more than one.
    pub stream: Option<String>,
    /// The digest that the component must have: `sha256:` and 64 hexadecimal digits.
    pub digest: Option<String>,
    /// Public keys of minisign, by one of which the component must be signed. None by default, so that nothing needs a
    /// signature.
    pub trust: Vec<String>,
    /// Whether another version takes over when the component's file or tag leads to one.
    pub watch: bool,
    /// The table `[source.registry]`: how the component's registry is reached.
    pub registry: RegistryConfig,
    /// The component's own options, checked with [`PipelineFile::check_options`](super::PipelineFile::check_options).
    pub options: Map<String, Value>,
    /// Columns that tell rows apart, so that none may come twice in a micro-batch; nothing means what the component says,
    /// and an empty list that nothing tells them apart.
    pub key: Option<Vec<String>>,
    /// The table `[source.grants]`: what the component may reach. Nothing by default.
    pub grants: Grants,
    /// What the host adds to requests on their way out.
    pub credentials: Vec<CredentialConfig>,
    /// How much the component may use.
    pub limits: Limits,
    /// Whom the host trusts besides.
    pub tls: TlsConfig,
}

/// The table `[source.registry]`.
#[derive(Debug, Clone, Default)]
pub struct RegistryConfig {
    /// The user name and the password. Nothing means what Docker's configuration holds for that registry.
    pub login: Option<(SecretRef, SecretRef)>,
    /// A file of PEM certificates of authorities that are trusted beside those of this machine.
    pub ca_file: Option<PathBuf>,
}

/// The table `[swap]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapConfig {
    /// How long a version that took over has to prove itself.
    pub probation: Probation,
    /// The time from one look at the component's file or tag to the next, where it is watched.
    pub watch_interval: Duration,
}

impl Default for SwapConfig {
    fn default() -> Self {
        Self {
            probation: Probation::default(),
            watch_interval: Duration::from_secs(30),
        }
    }
}

/// The table `[source.tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// A file of PEM certificates of authorities that are trusted beside those of this machine.
    pub ca_file: Option<PathBuf>,
}

/// One table `[[source.credentials]]`.
#[derive(Debug, Clone)]
pub struct CredentialConfig {
    /// The origin that the credential is for. It is one of the granted ones.
    pub origin: String,
    /// What is added to requests.
    pub kind: CredentialKind,
}

/// What a credential adds to requests, and where its secret lies.
#[derive(Debug, Clone)]
pub enum CredentialKind {
    /// Any header.
    Header {
        /// Its name in lower case.
        name: String,
        /// Its value.
        value: SecretRef,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: SecretRef,
    },
    /// A bearer token.
    Bearer(SecretRef),
    /// A user name and a password, which may be missing where the name is the secret.
    Basic {
        /// The user name.
        username: SecretRef,
        /// The password.
        password: Option<SecretRef>,
    },
    /// A bearer token from a token endpoint.
    OAuth2(Box<OAuth2Config>),
}

/// The table `oauth2` of a credential.
#[derive(Debug, Clone)]
pub struct OAuth2Config {
    /// The token endpoint.
    pub token_url: String,
    /// The client's name there.
    pub client_id: SecretRef,
    /// The client's secret.
    pub client_secret: SecretRef,
    /// What the token shall be good for.
    pub scope: Option<String>,
    /// A refresh token; without one the client's own credentials are the grant.
    pub refresh_token: Option<SecretRef>,
}

/// The table `[sink]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkConfig {
    /// The table's location as the file gives it; see [`PipelineFile::table_location`](super::PipelineFile::table_location).
    pub table: String,
    /// Columns to partition a new table by.
    pub partition_by: Vec<String>,
    /// The column that takes the time of the batch.
    pub ingested_at: Option<String>,
    /// Where the end offset of a batch is kept.
    pub progress: OffsetStorage,
    /// Whether columns that the table lacks are added to it.
    pub evolve: bool,
    /// Whether nobody else ever writes the table. Only stores without a conditional put need to know.
    pub single_writer: bool,
}

/// The table `[checkpoint]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointConfig {
    /// The location as the file gives it; see
    /// [`PipelineFile::checkpoint_location`](super::PipelineFile::checkpoint_location).
    pub location: String,
}

/// The table `[trigger]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerConfig {
    /// The time from one look for new rows to the next; nothing means ten seconds, unless there is a schedule.
    pub interval: Option<Duration>,
    /// The keys `cron` and `time_zone`: when to look for new rows, instead of at an interval.
    pub schedule: Option<CronSchedule>,
    /// Rows that one micro-batch may take.
    pub max_rows_per_batch: u64,
    /// Bytes of Arrow rows that one micro-batch may take.
    pub max_bytes_per_batch: u64,
}

impl Default for TriggerConfig {
    fn default() -> Self {
        Self {
            interval: None,
            schedule: None,
            max_rows_per_batch: 100_000,
            max_bytes_per_batch: 4 << 30,
        }
    }
}
