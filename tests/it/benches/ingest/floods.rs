use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use sandbar_harness::{Authority, Certificate, Flood, FloodingApi, Frames};
use serde_json::Value;

use super::common::{Api, median, number, processor_time, sandbar};
use super::pipeline;

/// Whether a pipeline keeps its pace beside remotes that send without end, and what those cost.
pub(crate) fn floods() {
    const ROWS: u64 = 300_000;
    let api = Api::start(ROWS);
    let authority = Authority::new("bench");
    let tls = authority.vouch(Certificate::default());
    println!("floods: {ROWS} comments beside four remotes that flood");
    let pace = |floods: &[FloodingApi]| {
        let runs = (0..3).map(|_| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
            let mut files = vec![pipeline(folder.path(), &api, 100_000, 1_000)];
            for (number, flood) in floods.iter().enumerate() {
                let file = folder.path().join(format!("flood-{number}.toml"));
                let origin = flood.origin();
                let text = format!(
                    "name = \"flood-{number}\"\n[source]\ncomponent = \"comments\"\n[source.options]\n\
                     api_url = \"{origin}/comments\"\n[source.grants]\nhttp = [\"{origin}\"]\n\
                     [sink]\ntable = \"flood-{number}\"\n[checkpoint]\nlocation = \"flood-{number}-checkpoint\"\n"
                );
                std::fs::write(&file, text).unwrap();
                files.push(file);
            }
            let began = Instant::now();
            let mut process = Command::new(sandbar())
                .args(["run", "--available-now", "--progress", "json"])
                .args(files)
                .env("SSL_CERT_FILE", folder.path().join("authority.pem"))
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut rows = 0.0;
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            while rows < ROWS as f64 {
                let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                rows += number(&line["rows"]);
            }
            let (took, cpu) = (began.elapsed().as_secs_f64(), processor_time(process.id()));
            let _ = process.kill();
            let _ = process.wait();
            (took, cpu)
        });
        let (walls, cpu): (Vec<_>, Vec<_>) = runs.unzip();
        (median(walls), median(cpu))
    };
    let (alone, cpu) = pace(&[]);
    println!("  alone             {alone:.2} s, {cpu:.1} s of processors");
    for (name, flood, secure) in [
        ("100 Continue", Flood::Continue, false),
        ("103 over HTTP/2", Flood::EarlyHints, true),
        ("WINDOW_UPDATE", Flood::Frames(Frames::WindowUpdate), true),
        ("PRIORITY", Flood::Frames(Frames::Priority), true),
        ("PING", Flood::Frames(Frames::Ping), true),
    ] {
        let floods = [(); 4].map(|()| FloodingApi::start(flood, secure.then_some(&tls)));
        let (wall, cpu) = pace(&floods);
        let ratio = wall / alone;
        println!("  4 x {name:15} {wall:.2} s, ratio {ratio:.2}, {cpu:.1} s of processors");
    }
}
