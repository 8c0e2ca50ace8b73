use http::StatusCode;

const STORE: &str = "Databricks volume";

/// Why a request to the Files API came to nothing. No message holds the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    /// It answered, and the answer is no.
    #[error("{request}: {origin} answered {status}{said}{}", remedy(*.status))]
    Refused {
        request: String,
        origin: String,
        status: StatusCode,
        /// What it says to it, with what separates it from the status.
        said: String,
    },
    /// No answer came, as often as it was tried.
    #[error("{request}: no answer from {origin} in {attempts} attempts: {reason}")]
    Unreachable {
        request: String,
        origin: String,
        attempts: u32,
        reason: String,
    },
    /// What it answered is not what the API promises, or what is asked for can't be.
    #[error("{request}: {origin} and the Files API do not go together: {reason}")]
    Malformed {
        request: String,
        origin: String,
        reason: String,
    },
    /// Somebody else holds the name.
    #[error("the file is there already")]
    Taken,
}

impl VolumeError {
    /// As the store's users know errors.
    pub(super) fn at(self, path: &str) -> object_store::Error {
        use object_store::Error as E;
        let path = path.to_owned();
        match &self {
            Self::Taken => E::AlreadyExists {
                path,
                source: self.into(),
            },
            Self::Refused { status, .. } => match *status {
                StatusCode::UNAUTHORIZED => E::Unauthenticated {
                    path,
                    source: self.into(),
                },
                StatusCode::FORBIDDEN => E::PermissionDenied {
                    path,
                    source: self.into(),
                },
                StatusCode::NOT_FOUND => E::NotFound {
                    path,
                    source: self.into(),
                },
                _ => generic(self),
            },
            Self::Unreachable { .. } | Self::Malformed { .. } => generic(self),
        }
    }

    /// Whether what was asked for is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// What the store does not do, since no checkpoint location needs it.
pub(super) fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: STORE.to_owned(),
    }
}

fn generic(error: VolumeError) -> object_store::Error {
    object_store::Error::Generic {
        store: STORE,
        source: error.into(),
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "; is DATABRICKS_TOKEN a valid token of this workspace?",
        StatusCode::FORBIDDEN => "; the token's owner needs READ VOLUME and WRITE VOLUME there",
        _ => "",
    }
}
