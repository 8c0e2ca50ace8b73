use std::sync::{Arc, Mutex, PoisonError};

use crate::{HttpGrant, LimitKey};

/// What an operator can change so that a refused request or a stopped call is allowed the next time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Raise a limit.
    Raise(LimitKey),
    /// Grant exactly these origins and methods: those that are granted already, and the one that is missing.
    Grant(Vec<HttpGrant>),
    /// Allow private addresses behind granted names.
    AllowPrivateNetwork,
}

impl Remedy {
    /// The line of a pipeline file that allows it: of the table `[source.grants]`, or the key of `[source.limits]`.
    pub fn to_toml(&self) -> String {
        match self {
            Self::Raise(key) => key.as_str().to_owned(),
            Self::Grant(grants) => {
                let all: Vec<_> = grants.iter().map(HttpGrant::to_toml).collect();
                format!("http = [{}]", all.join(", "))
            }
            Self::AllowPrivateNetwork => "private_network = true".to_owned(),
        }
    }
}

/// A breach of policy or of the contract, for which the host fails the call that is under way, whatever the component
/// makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A limit was reached.
    Limit {
        /// What happened, with the limit's value.
        limit: String,
        /// The limit.
        key: LimitKey,
    },
    /// A request that a further grant would allow.
    NotGranted {
        /// The request; its URL without the query.
        what: String,
        /// The grant that is missing.
        remedy: Remedy,
    },
    /// A request that no grant allows.
    Forbidden {
        /// The request; its URL without the query.
        what: String,
        /// Why it is never allowed.
        why: String,
    },
    /// A credential can't be had. The text holds no secret.
    Credential(String),
    /// A remote harms this host instead of answering.
    Remote(String),
    /// A remote can't be reached from here, however often it is tried.
    Unreachable {
        /// The request; its URL without the query.
        what: String,
        /// Why, and what helps.
        why: String,
    },
    /// The component broke a promise of the contract.
    Contract(String),
}

/// Where every capability of one instance records a violation. The first one counts.
#[derive(Clone, Debug, Default)]
pub struct Violations(Arc<Mutex<Option<Violation>>>);

impl Violations {
    /// Records a violation, unless there is one already.
    pub fn record(&self, violation: Violation) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(violation);
    }

    /// Takes the recorded violation, if there is one.
    pub fn take(&self) -> Option<Violation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
