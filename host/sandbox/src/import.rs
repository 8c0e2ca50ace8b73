/// One thing that a component imports, in the component's words and in plain ones.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Import {
    /// The full name, for example `wasi:http/types@0.2.12`.
    pub name: String,
    /// What it allows.
    pub plain: &'static str,
}
