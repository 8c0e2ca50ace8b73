//! Tables from before table features: their writer version stands for features, used or not.

use delta_kernel::schema::StructType;

/// Refuses a table whose writer version asks for what the kernel does not keep up, and says whether the table uses it.
/// The kernel refuses it too, in words that speak of a feature that the table may not have.
///
/// The versions are those of the Delta protocol's "Requirements for Writers".
pub(crate) fn check_writer_version<'a>(
    version: i32,
    properties: impl Iterator<Item = &'a String>,
    schema: &StructType,
) -> Result<(), String> {
    let has = |key: &str| schema.fields().any(|field| field.metadata.contains_key(key));
    let constraints = properties
        .into_iter()
        .any(|key| key.starts_with("delta.constraints."));
    let features = [
        (3, "CHECK constraints", constraints),
        (4, "generated columns", has("delta.generationExpression")),
        (6, "identity columns", has("delta.identity.start")),
    ];
    // From 7 on features have names.
    let asked = || {
        features
            .iter()
            .filter(|(since, ..)| *since <= version && version < 7)
    };
    if asked().next().is_none() {
        return Ok(());
    }
    let names = |names: Vec<&str>| names.join(" and ");
    let used: Vec<&str> = asked()
        .filter(|(.., used)| *used)
        .map(|(_, name, _)| *name)
        .collect();
    Err(match used.is_empty() {
        false => format!(
            "it has {}, which a writer must keep up and Sandbar can't; write to a table without them",
            names(used)
        ),
        true => format!(
            "it is of the legacy writer version {version}, which only writers that know {} may write to, though the table \
             has none; write to a new table, or to a copy of this one (CREATE TABLE ... AS SELECT)",
            names(asked().map(|(_, name, _)| *name).collect())
        ),
    })
}
