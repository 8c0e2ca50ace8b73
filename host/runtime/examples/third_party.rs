//! Loads a component that somebody else wrote, grants it one origin, and writes its checked rows as JSON lines.
//!
//! `cargo run --release --example third_party -- theirs.wasm https://api.example.com options.json > rows.jsonl`

use std::error::Error;
use std::sync::Arc;

use arrow_json::LineDelimitedWriter;
use sandbar_runtime::*;

type Outcome = Result<(), Box<dyn Error>>;

async fn read(component: Vec<u8>, origin: &str, options: &str, out: impl std::io::Write) -> Outcome {
    let connector = Runtime::new()?.load_bytes("theirs", component).await?;
    let options = OpenOptions::new("theirs", serde_json::from_str(options)?)
        .with_grants(Grants::parse(&[origin], false)?);
    let source = Arc::new(SandboxSource::open(connector, CheckpointLocation::memory(), options).await?);
    let (mut out, mut position) = (LineDelimitedWriter::new(out), source.initial_offset().await?);
    loop {
        let mut reader = Reader::open(source.clone(), &position, None, ReaderOptions::default()).await?;
        while let Some(batch) = reader.next().await? {
            batch.rows.iter().try_for_each(|rows| out.write(rows))?;
        }
        if *reader.position() == position {
            return Ok(out.finish()?);
        }
        position = reader.position().clone();
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("name a component, an origin and a file of options")
    };
    let (component, origin, options) = (argument()?, argument()?, argument()?);
    let (component, options) = (std::fs::read(component)?, std::fs::read_to_string(options)?);
    read(component, &origin, &options, std::io::stdout()).await
}

#[cfg(test)]
mod tests {
    use sandbar_components::COMMENTS;
    use sandbar_harness::ScriptedApi;

    use super::*;

    #[tokio::test]
    async fn every_row_of_a_granted_origin_is_written_once_and_nothing_of_another() {
        let (api, other) = (ScriptedApi::start(250), ScriptedApi::start(1));
        let options = format!("{{\"api_url\": \"{}/comments\"}}", api.origin());
        let mut out = vec![];
        read(COMMENTS.into(), &api.origin(), &options, &mut out)
            .await
            .unwrap();
        let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let ids: Vec<_> = std::str::from_utf8(&out)
            .unwrap()
            .lines()
            .map(|line| row(line)["id"].as_u64())
            .collect();
        assert_eq!(ids, (1..=250).map(Some).collect::<Vec<_>>());

        let refused = read(COMMENTS.into(), &other.origin(), &options, vec![])
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("was refused GET"), "{refused}");
        assert!(other.requests().is_empty());
    }
}
