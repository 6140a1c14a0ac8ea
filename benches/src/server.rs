//! Servers in processes of their own.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;

/// The administrator of a server that is measured.
pub const USER: &str = "root";
/// The administrator's password.
pub const PASSWORD: &str = "Correct horse, battery";
/// What both kinds of servers have.
pub const PATH: &str = "/api/auth/preferences/";
/// How long a server may take to answer at all.
const START: Duration = Duration::from_secs(30);

/// A server in processes of its own, which end with this value.
#[derive(Debug)]
pub struct Server {
    process: Child,
    address: SocketAddr,
    start: Duration,
    token: String,
}

impl Server {
    /// Starts `fabrik serve` in a new folder below `scratch`, on a store of its own unless one is named.
    ///
    /// # Errors
    ///
    /// When it does not answer or lets nobody in.
    pub fn fabrik(program: &Path, scratch: &Path, store: Option<&Path>) -> Result<Self> {
        let folder = tempfile::tempdir_in(scratch)?;
        let address = free_address()?;
        let mut command = Command::new(program);
        command.current_dir(folder.keep()).args(["serve", "--listen", &address.to_string()]);
        if let Some(store) = store {
            command.args(["--store", &format!("sqlite:{}", store.display())]);
        }
        // Who is measured asks more often than anybody may.
        for rate in ["zone_api", "user"] {
            command.args(["--set", &format!("rate_limit.{rate}=off")]);
        }
        command.args(["--set", "log.filter=warn"]);
        command.env("FABRIK_ADMIN_USERNAME", USER).env("FABRIK_ADMIN_PASSWORD", PASSWORD);
        Self::start(&mut command, address)
    }

    /// Starts a server that will listen on `address`, and logs in.
    ///
    /// # Errors
    ///
    /// When it does not answer or lets nobody in.
    pub fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let started = Instant::now();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut server = Self { process, address, start: Duration::ZERO, token: String::new() };
        while server.ask("GET", PATH, "").is_err() {
            if started.elapsed() > START {
                return Err("the server does not answer".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        server.start = started.elapsed();
        let login = json!({ "username": USER, "password": PASSWORD }).to_string();
        let answer: Value = serde_json::from_str(&server.ask("POST", "/api/auth/login/", &login)?)?;
        server.token = answer["access"].as_str().ok_or("no token for the login")?.to_owned();
        Ok(server)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the time from the start of the process to its first answer.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start
    }

    /// Returns the access token of the administrator.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Sends one request, reads the answer to its last byte, and returns its body.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no success once there is a token.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut answer = String::new();
        let (status, mut stream) = self.send(method, path, body)?;
        stream.read_to_string(&mut answer)?;
        if status >= 400 && !self.token.is_empty() {
            return Err(format!("{method} {path}: {status} {answer}").into());
        }
        Ok(answer)
    }

    /// Reads the answer to a GET to its last byte without keeping it, and returns how many bytes its body has.
    ///
    /// # Errors
    ///
    /// No answer, or one that is no success.
    pub fn count(&self, path: &str) -> Result<u64> {
        let (status, mut stream) = self.send("GET", path, "")?;
        let count = io::copy(&mut stream, &mut io::sink())?;
        if status >= 400 { Err(format!("GET {path}: {status}").into()) } else { Ok(count) }
    }

    /// Sends one request; returns the status of the answer and what its body is read from.
    fn send(&self, method: &str, path: &str, body: &str) -> Result<(u16, BufReader<TcpStream>)> {
        let mut stream = BufReader::with_capacity(64 << 10, TcpStream::connect(self.address)?);
        let (length, token) = (body.len(), &self.token);
        let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
        // Of HTTP/1.0, so that the body comes as it is and ends with the connection.
        write!(
            stream.get_mut(),
            "{method} {path} HTTP/1.0\r\nhost: {}\r\n{authorization}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            self.address
        )?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status: u16 = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no answer")?;
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line)?;
        }
        Ok((status, stream))
    }

    /// Returns what the process and its children hold, in bytes.
    ///
    /// # Errors
    ///
    /// Where there is no `/proc`.
    pub fn memory(&self) -> Result<u64> {
        let own = self.process.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let mut all = 0;
        for id in children.split_whitespace().map(str::to_owned).chain([own.to_string()]) {
            let status = fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            all += line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024;
        }
        Ok(all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is asked to stop takes its workers along.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// Returns an address of this machine that nobody listens on.
///
/// # Errors
///
/// When the system gives none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
