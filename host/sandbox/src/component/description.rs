use sandbar_policy::sanitize;

use super::options_schema;

/// What a connector says of itself, checked.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// Kebab-case name.
    pub name: String,
    /// SemVer version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// JSON Schema of the options.
    pub options_schema: serde_json::Value,
}

/// One stream that a connector can read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StreamInfo {
    /// The name for the pipeline file.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Columns that tell rows apart.
    pub key: Vec<String>,
}

impl Description {
    pub(crate) fn check(
        name: String,
        version: String,
        summary: String,
        options_schema: &str,
    ) -> Result<Self, String> {
        let kebab = name.len() <= 64
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !kebab {
            return Err(format!("its name {:?} is not kebab-case", sanitize(&name, 80)));
        }
        if version.len() > 64 || semver::Version::parse(&version).is_err() {
            return Err(format!("its version {:?} is not SemVer", sanitize(&version, 80)));
        }
        let options_schema =
            options_schema::parse(options_schema).map_err(|reason| format!("its options-schema {reason}"))?;
        Ok(Self {
            name,
            version,
            summary: sanitize(&summary, 1 << 10),
            options_schema,
        })
    }
}
