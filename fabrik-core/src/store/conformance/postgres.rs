//! A PostgreSQL server for tests, from the programs of the system.
//!
//! ```no_run
//! # fn main() {}
//! mod postgres {
//!     use fabrik_core::store::conformance::postgres::server;
//!     use fabrik_core::store::{OpenMode, PostgresStore};
//!     use pollster::block_on;
//!
//!     fabrik_core::store_conformance!(
//!         block_on,
//!         Box::new(block_on(PostgresStore::open(&server().new_address(), OpenMode::Create)).unwrap())
//!     );
//! }
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::PostgresAddress;

/// What a test fails with when there is nothing to start.
const NOT_INSTALLED: &str = "these tests need a PostgreSQL server to start, version 14 or later: initdb and pg_ctl are \
                             neither in PATH nor in /usr/lib/postgresql; on Debian, `apt-get install postgresql`";

/// Makes a cluster in the folder `$1`, starts it, says so, and ends it with the input: that is, when the process that
/// holds the other end closes it or dies, however it dies.
const GUARD: &str = r#"
cleanup() { pg_ctl -D "$1/data" -m immediate stop >/dev/null 2>&1; rm -rf "$1"; }
if initdb -D "$1/data" -U fabrik --pwfile="$1/password" -A scram-sha-256 -E UTF8 --locale=C -N >"$1/initdb" 2>&1 &&
   pg_ctl -w -D "$1/data" -l "$1/log" -o "-c listen_addresses= -c unix_socket_directories=$1 -c max_connections=400" \
     start >"$1/start" 2>&1
then echo started; cat >/dev/null
else tail -n 5 "$1/initdb" "$1/start" "$1/log" 2>/dev/null
fi
cleanup "$1"
"#;

/// A server of its own, reached by a socket in its own folder, with everything at its default but the limit of
/// connections. It ends with the process that started it.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    /// Ends the server when its input is closed.
    guard: Child,
}

/// Returns the server that all tests of this process share.
///
/// # Panics
///
/// When there is none to start.
pub fn server() -> &'static PostgresServer {
    static SHARED: OnceLock<PostgresServer> = OnceLock::new();
    SHARED.get_or_init(PostgresServer::start)
}

impl PostgresServer {
    /// The user that may do everything.
    pub const USER: &str = "fabrik";
    /// The password of that user.
    pub const PASSWORD: &str = "not-a-secret";

    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When that does not work.
    #[must_use]
    pub fn start() -> Self {
        let programs = programs().expect(NOT_INSTALLED);
        let folder = tempfile::Builder::new().prefix("fabrik-postgres-").tempdir().unwrap().keep();
        fs::write(folder.join("password"), Self::PASSWORD).unwrap();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&folder).current_dir("/").env_clear();
        guard.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display())).env("LC_ALL", "C");
        // A server refuses to be run by root.
        if let Some((user, group)) = other_user(&folder) {
            chown(folder.join("password"), Some(user), Some(group)).unwrap();
            chown(&folder, Some(user), Some(group)).unwrap();
            guard.uid(user).gid(group);
        }
        // Interrupting the tests from a terminal must end the guard by its input, so that it cleans up.
        guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = guard.spawn().expect("a shell starts");
        let mut output = BufReader::new(guard.stdout.take().expect("it was asked for"));
        let mut first = String::new();
        output.read_line(&mut first).unwrap();
        if first.trim_end() != "started" {
            output.read_to_string(&mut first).unwrap();
            panic!("the PostgreSQL server for tests did not start: {first}");
        }
        Self { folder, guard }
    }

    /// Returns the folder of its socket.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the address of a schema that nobody else uses.
    #[must_use]
    pub fn new_address(&self) -> PostgresAddress {
        static USED: AtomicU32 = AtomicU32::new(0);
        self.url(&format!("test_{}", USED.fetch_add(1, Ordering::Relaxed))).parse().unwrap()
    }

    /// Writes the address of a schema as a URL, with the password.
    #[must_use]
    pub fn url(&self, schema: &str) -> String {
        let (user, password, folder) = (Self::USER, Self::PASSWORD, self.folder.display());
        format!("postgres://{user}:{password}@/postgres?host={folder}&schema={schema}")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It ends by itself; waiting only sees to it that it has when this returns.
        let _ = self.guard.wait();
    }
}

/// Finds the folder of the server's programs: in `PATH`, or else the newest where Debian has them.
fn programs() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "this starts programs for tests, as a shell would find them")]
    let path = std::env::var("PATH").unwrap_or_default();
    let has_all = |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    if let Some(found) = path.split(':').map(PathBuf::from).find(has_all) {
        return Some(found);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let version = version.ok()?;
            Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin")))
        })
        .filter(|(_, folder)| has_all(folder))
        .collect();
    found.sort();
    found.pop().map(|(_, folder)| folder)
}

/// Returns whom to run the server as when this process is root's, by the owner of what it makes.
fn other_user(made: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;

    if fs::metadata(made).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    // A line: "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash".
    let of_name = |wanted: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_wanted = fields.next() == Some(wanted);
            let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            is_wanted.then_some((user, group))
        })
    };
    Some(of_name("postgres").or_else(|| of_name("nobody")).expect("root runs the tests and there is no other user"))
}
