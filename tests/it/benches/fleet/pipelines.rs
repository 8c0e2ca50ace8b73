use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::common::Api;
use super::program::Program;
use super::write_pipeline;

/// What pipelines cost that find nothing new, each second.
pub(crate) fn pipelines() {
    const ROWS: u64 = 10;
    const IDLE: Duration = Duration::from_secs(20);
    println!("pipelines: in one process, each polls every second and finds nothing new");
    let mut one = None;
    for count in [1, 10, 100, 200, 1_000] {
        let api = Api::start(ROWS);
        let folder = tempfile::tempdir().unwrap();
        for number in 0..count {
            write_pipeline(
                folder.path(),
                &format!("p{number:04}"),
                &api,
                "",
                "[trigger]\ninterval = \"1s\"",
            );
        }
        let address = free_address();
        let began = Instant::now();
        let mut program = Program::start(folder.path(), &["--listen", &address.to_string()]);
        while !are_ready(address, count) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (started, starting) = (began.elapsed(), program.processor_time());
        program.wait_for(|reports| reports.iter().all(|report| report["rows"] == ROWS));
        // What the first micro-batch needed is given back.
        std::thread::sleep(Duration::from_secs(12));
        let before = program.processor_time();
        std::thread::sleep(IDLE);
        let busy = program.processor_time() - before;
        let taken = program.footprint();
        let asked = Instant::now();
        assert!(program.stop().success());
        let stopped = asked.elapsed();
        let resident = taken.resident_kb as f64 / 1024.0;
        let first = *one.get_or_insert(resident);
        let each = match count {
            1 => String::new(),
            _ => format!(
                ", {:.2} MB for each more",
                (resident - first) / (count - 1) as f64
            ),
        };
        println!(
            "  {count:5}  {resident:.0} MB{each}; {:.1} % of one core; started in {:.2} s ({starting:.2} s of \
             processors), stopped in {:.2} s; {} threads, {} files open",
            100.0 * busy / IDLE.as_secs_f64(),
            started.as_secs_f64(),
            stopped.as_secs_f64(),
            taken.threads,
            taken.files
        );
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Whether so many pipelines have started.
fn are_ready(address: SocketAddr, count: usize) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let Ok(answer) = asked else { return false };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let report: Value = serde_json::from_str(body).unwrap();
    head.starts_with("HTTP/1.1 200") && report["pipelines"].as_array().unwrap().len() == count
}
