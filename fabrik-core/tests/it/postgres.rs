//! What is particular to a store in PostgreSQL: the server, other users of the database, and what gets lost on the way.

mod damage;
mod lost;
mod opening;
mod proxy;
mod writers;

use fabrik_core::store::conformance::postgres::{PostgresServer, server};
use fabrik_core::store::{OpenMode, PostgresAddress, PostgresStore};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, raw_sql};
use tokio::runtime::Runtime;

use crate::helpers::block_on;

/// A connection past the store, as an administrator has it.
struct Sql {
    runtime: Runtime,
    connection: PgConnection,
}

impl Sql {
    /// Connects and uses the schema of a store.
    fn new(address: &PostgresAddress) -> Self {
        let options = PgConnectOptions::new()
            .socket(server().folder())
            .username(PostgresServer::USER)
            .password(PostgresServer::PASSWORD)
            .database("postgres");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(options.connect()).unwrap();
        let mut sql = Self { runtime, connection };
        sql.run(&format!("SET search_path = {}", address.schema()));
        sql
    }

    /// Runs statements; returns the first column of what they answer.
    fn run(&mut self, statements: &str) -> Vec<String> {
        let statements = AssertSqlSafe(statements.to_owned());
        let rows = self.runtime.block_on(raw_sql(statements).fetch_all(&mut self.connection)).unwrap();
        rows.iter().map(|row| row.try_get::<Option<String>, _>(0).unwrap().unwrap_or_default()).collect()
    }

    /// Asks until the answer is this one, which it will be soon.
    fn wait_for(&mut self, question: &str, answer: &str) {
        let started = std::time::Instant::now();
        while self.run(question) != [answer] {
            assert!(started.elapsed().as_secs() < 60, "{question} never answers {answer:?}");
            std::thread::yield_now();
        }
    }
}

/// All that lies in the tables of a schema, and what they are.
fn contents(address: &PostgresAddress) -> Vec<String> {
    let mut sql = Sql::new(address);
    let of_schema = format!("table_schema = '{}'", address.schema());
    let tables = format!("SELECT table_name::text FROM information_schema.tables WHERE {of_schema} ORDER BY 1");
    let columns = format!(
        "SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns WHERE {of_schema}
         ORDER BY 1"
    );
    let mut found = sql.run(&columns);
    for table in sql.run(&tables) {
        found.extend(sql.run(&format!("SELECT t::text FROM \"{table}\" t ORDER BY 1")));
    }
    found
}

fn open(address: &PostgresAddress) -> PostgresStore {
    block_on(PostgresStore::open(address, OpenMode::Create)).unwrap()
}
