use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sandbar_runtime::{Access, OciReference, Reference, Registry};

use super::common::median;
use super::{other_comments, times};

/// What it costs to look at a tag, and to fetch a component.
pub(crate) fn registry() {
    let Some(server) = Server::start() else {
        println!("registry: docker-registry is not installed: run tests/registry/install");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let component: std::sync::Arc<[u8]> = std::fs::read(other_comments()).unwrap().into();
    let reference: OciReference = format!("oci://{}/bench/comments:1", server.address)
        .parse()
        .unwrap();
    let cache = tempfile::tempdir().unwrap();
    let client = || Registry::default().with_docker_config(None);
    let (plain, caching) = (client(), client().with_cache_folder(cache.path()));
    let access = Access::default();
    let (looks, pulls) = (times(300), times(300) / 6);
    println!(
        "registry: a component of {} kB in a docker-registry on this machine",
        component.len() / 1000
    );
    runtime.block_on(async {
        plain
            .push(component.clone(), None, &reference, None)
            .await
            .unwrap();
        let tag = Reference::Oci(reference);
        let mut walls = vec![];
        for _ in 0..looks {
            let began = Instant::now();
            plain.resolve(&tag, None).await.unwrap();
            walls.push(began.elapsed().as_secs_f64() * 1e3);
        }
        show("look at the tag", walls);
        let mut walls = vec![];
        for _ in 0..pulls {
            let began = Instant::now();
            assert_eq!(plain.fetch(&tag, &access).await.unwrap().bytes, component);
            walls.push(began.elapsed().as_secs_f64() * 1e3);
        }
        show("pull", walls);
        caching.fetch(&tag, &access).await.unwrap();
        let mut walls = vec![];
        for _ in 0..pulls {
            let began = Instant::now();
            assert_eq!(caching.fetch(&tag, &access).await.unwrap().bytes, component);
            walls.push(began.elapsed().as_secs_f64() * 1e3);
        }
        show("pull what the cache has", walls);
    });
}

fn show(what: &str, walls: Vec<f64>) {
    let worst = walls.iter().copied().fold(0.0, f64::max);
    println!("  {what:23} median {:.2} ms, worst {worst:.2} ms", median(walls));
}

/// docker-registry, as `tests/registry/install` brings it.
struct Server {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let program = target.join("registry/bin/docker-registry");
        if !program.exists() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}/data\nhttp:\n  addr: 127.0.0.1:0\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut process = Command::new(program)
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = log.by_ref().find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split('"').next().unwrap().to_owned())
        });
        // It must not wait for somebody to read what else it says.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self {
            process,
            address: address.expect("it says where it listens"),
            _folder: folder,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
