//! The API that the comments component is made for, as others wrote it: json-server with the 500 comments of
//! JSONPlaceholder.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Comment, Settings, Workspace, installed, not_installed, until};

/// A json-server with comments of its own. It is stopped when the test is through with it.
struct JsonServer {
    child: Child,
    address: String,
}

impl JsonServer {
    /// Serves the file, which it changes when something is posted.
    fn start(folder: &Path, file: &Path) -> Self {
        // It can't pick a port and tell which.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = folder.join("node_modules/json-server/lib/cli/bin.js");
        let child = Command::new("node")
            .arg(program)
            .args([
                "--quiet",
                "--host",
                "127.0.0.1",
                "--port",
                &free.port().to_string(),
            ])
            .arg(file)
            .current_dir(file.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self {
            child,
            address: free.to_string(),
        };
        until("json-server answers", || {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "json-server ended early"
            );
            TcpStream::connect(free).is_ok()
        });
        server
    }

    fn post(&self, comment: &Value) {
        let body = comment.to_string();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST /comments HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
}

impl Drop for JsonServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn json_server() -> Option<PathBuf> {
    let folder = installed("json-server").filter(|folder| folder.join("node_modules/json-server").is_dir());
    if folder.is_none() {
        not_installed("json-server is");
    }
    folder
}

fn comment(value: &Value) -> Comment {
    let text = |key: &str| value[key].as_str().unwrap().to_owned();
    Comment {
        id: i32::try_from(value["id"].as_i64().unwrap()).unwrap(),
        name: text("name"),
        email: text("email"),
        body: text("body"),
    }
}

#[test]
fn five_hundred_comments_come_once_and_seven_new_ones_after_them() {
    let Some(folder) = json_server() else { return };
    let data = std::fs::read_to_string(folder.join("node_modules/jsonplaceholder/data.json")).unwrap();
    let data: Value = serde_json::from_str(&data).unwrap();
    let comments = data["comments"].as_array().unwrap();
    let mut expected: BTreeMap<i32, Comment> = comments.iter().map(comment).map(|c| (c.id, c)).collect();
    assert_eq!(expected.len(), 500);

    let work = Workspace::new();
    work.write("db.json", &json!({"comments": comments}).to_string());
    let server = JsonServer::start(&folder, &work.path("db.json"));
    work.add(&Settings::at(&format!("http://{}", server.address)).set("source.options.page_size", "10"));

    assert_eq!(work.read_available().batches(), [10; 50]);
    work.read_available().saying(&["nothing new"]);
    let table = work.table();
    assert_eq!(table.version(), 49);
    assert!(table.rows().iter().eq(expected.values()), "{:?}", table.ids());

    for id in 501..=507 {
        let new = json!({
            "postId": 101, "name": format!("name {id}"), "email": format!("{id}@example.com"), "body": "ä \"b\"\n😀",
        });
        server.post(&new);
        let mut with_id = new;
        with_id["id"] = id.into();
        expected.insert(id, comment(&with_id));
    }
    assert_eq!(work.read_available().batches(), [7]);
    work.read_available().saying(&["nothing new"]);
    assert!(work.table().rows().iter().eq(expected.values()));
}
