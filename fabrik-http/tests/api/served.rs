//! The command as a server with a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A server in a folder of its own; it ends with the test.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) out: BufReader<ChildStdout>,
    pub(crate) address: String,
    pub(crate) folder: TempDir,
}

/// Returns a new folder that goes with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Returns the command, run in a folder and without anything of our environment.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fabrik"));
    command.current_dir(folder).args(arguments).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    pub(crate) fn start(folder: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--set", "log.filter=warn"];
        all.extend(arguments);
        let mut child =
            command(folder.path(), &all).envs(environment.iter().copied()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        let mut line = String::new();
        while address.is_empty() && out.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix("serving ") {
                address = rest.trim().trim_end_matches("/api/docs/").to_owned();
            }
            line.clear();
        }
        assert!(!address.is_empty(), "the server says where it serves");
        Self { child, out, address, folder }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.host()).unwrap()
    }

    /// Returns the address and the port.
    pub(crate) fn host(&self) -> &str {
        self.address.rsplit('/').next().unwrap()
    }

    /// Tells the server to stop, waits for it, and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal();
        self.child.wait().unwrap().code()
    }

    /// Tells the server to stop.
    pub(crate) fn signal(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request over a plain socket and returns the status and the body.
pub(crate) fn exchange(mut stream: TcpStream, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: fab.lab\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(text.rsplit("\r\n\r\n").next().unwrap()).unwrap_or(Value::Null))
}

/// Asks with a token over a plain socket and returns the status and the body; nothing where the server went away.
pub(crate) fn ask(host: &str, token: &str, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(host).ok()?;
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: fab.lab\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(text.split_once("\r\n\r\n")?.1).unwrap_or(Value::Null)))
}
