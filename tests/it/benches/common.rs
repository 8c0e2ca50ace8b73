//! What the benchmarks have in common.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The program that is measured: this build's, or an older one to compare with.
pub(crate) fn sandbar() -> String {
    let said = std::env::var("SANDBAR_PROGRAM");
    said.unwrap_or_else(|_| env!("CARGO_BIN_EXE_sandbar").to_owned())
}

/// `sandbar demo-api` in a process of its own.
pub(crate) struct Api {
    process: Child,
    /// Of the comments.
    pub(crate) url: String,
}

impl Api {
    pub(crate) fn start(rows: u64) -> Self {
        Self::growing(rows, 0.0)
    }

    /// One that has so many more comments each second.
    pub(crate) fn growing(rows: u64, grow: f64) -> Self {
        let mut process = Command::new(sandbar())
            .args(["demo-api", "--port", "0", "--rows", &rows.to_string()])
            .args(["--grow", &grow.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut url)
            .unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a process has used, in seconds.
pub(crate) fn processor_time(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap());
    // Linux counts them in hundredths, whatever its own clock does.
    ticks.sum::<f64>() / 100.0
}

pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
