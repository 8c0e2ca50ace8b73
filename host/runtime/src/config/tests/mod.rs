mod file;
mod grants;
mod limits;
mod mistakes;
mod options;

use std::path::Path;

use super::{ConfigError, PipelineFile};

const GOOD: &str = r#"name = "comments"

[source]
component = "comments"
stream = "comments"

[source.options]
api_url = "https://jsonplaceholder.typicode.com/comments"
page_size = 10

[source.grants]
http = ["https://jsonplaceholder.typicode.com", "http://localhost:8080/v1"]

[[source.credentials]]
origin = "https://jsonplaceholder.typicode.com"
header = "Authorization"
value = "Bearer ${env:SANDBAR_TEST_TOKEN}"

[source.limits]
memory = "512MiB"
requests_per_second = 0.5

[sink]
table = "lake/comments"
progress = "checkpoint"

[checkpoint]
location = "s3://bucket/checkpoints"

[trigger]
interval = "1m 30s"

[retry]
attempts = 3
"#;

fn parse(text: &str) -> Result<PipelineFile, ConfigError> {
    PipelineFile::parse(text, Path::new("/lakes/pipeline.toml"))
}

/// The report as a terminal shows it, on long lines and without colours.
fn rendered(error: ConfigError) -> String {
    let report = error.into_report();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    let mut out = String::new();
    let diagnostic: &dyn miette::Diagnostic = report.as_ref();
    handler
        .with_width(400)
        .render_report(&mut out, diagnostic)
        .unwrap();
    out
}
