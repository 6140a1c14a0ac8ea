//! Runs of scheduled tasks, with work that does what a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fabrik_core::store::MemoryStore;
use futures_util::future::BoxFuture;
use sea_query::{Alias, Expr, ExprTrait, Order, Query};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::execution::Failure;
use super::runner::Job;
use super::task::{TASK, Task};
use super::work::{Done, Work};
use super::{EXECUTION, cancel_pending, recover, run_due};
use crate::server::model::Values;
use crate::server::moment::Moment;
use crate::server::notifications::recent;
use crate::server::settings::{Layers, Origin};
use crate::server::state::AppState;
use crate::server::users::{self, NewUser};
use crate::server::{Clock, Settings};

const START: &str = "2026-03-02T12:00:00Z";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Said = dyn Fn(&Job) -> Result<Done, Failure> + Send + Sync;

/// Work that does what a test says, and notes that it was asked.
struct Fake {
    says: Box<Said>,
    asked: Mutex<Vec<(Option<i64>, i64)>>,
    /// Each execution waits for one of these.
    may_go: Semaphore,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.asked.fmt(f)
    }
}

impl Fake {
    fn new(says: impl Fn(&Job) -> Result<Done, Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { says: Box::new(says), asked: Mutex::default(), may_go: Semaphore::new(1000) })
    }

    /// Work that never ends before it may go.
    fn held() -> Arc<Self> {
        let fake = Self { says: Box::new(|_| Ok(found(1))), asked: Mutex::default(), may_go: Semaphore::new(0) };
        Arc::new(fake)
    }

    fn asked(&self) -> Vec<(Option<i64>, i64)> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort_unstable();
        asked
    }
}

impl Work for Fake {
    fn run<'a>(&'a self, _: &'a AppState, job: &'a Job) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push((job.connection, job.attempt));
            self.may_go.acquire().await.unwrap().forget();
            (self.says)(job)
        })
    }
}

fn found(rows: i64) -> Done {
    Done { rows: Some(rows), result: json!({ "row_count": rows }), ..Done::default() }
}

fn unreachable_controller() -> Failure {
    Failure::passing("unreachable", "the controller does not answer")
}

/// Returns a database that several servers share.
async fn database(folder: &tempfile::TempDir) -> String {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let Ok(address) = std::env::var("FABRIK_TEST_POSTGRES") else {
        return format!("sqlite:{}", folder.path().join("server.db").display());
    };
    let name = format!("fabrik_{}", Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(&format!("{address}/postgres")).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    format!("{address}/{name}")
}

/// One server and its database.
struct Lab {
    state: AppState,
    clock: Clock,
    owner: i64,
    database: String,
    _folder: tempfile::TempDir,
}

async fn open(database: &str, clock: &Clock, work: Arc<Fake>) -> AppState {
    let mut layers = Layers::defaults();
    layers.set("database", database, Origin::Default).unwrap();
    let settings = Settings::from_layers(&layers).unwrap();
    let state = AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap();
    state.runner().set_work(work);
    state
}

impl Lab {
    async fn start(work: Arc<Fake>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database(&folder).await;
        let clock = Clock::manual(START.parse().unwrap());
        let state = open(&database, &clock, work).await;
        let user = NewUser {
            username: "mara",
            email: "mara@lab.example",
            password_hash: "",
            is_superuser: false,
            expires_at: None,
        };
        let mut transaction = state.db().begin().await.unwrap();
        let owner = users::add(&mut transaction, &user, state.clock().now()).await.unwrap();
        transaction.commit().await.unwrap();
        Self { state, clock, owner, database, _folder: folder }
    }

    /// Starts another server on the same database.
    async fn another(&self, work: Arc<Fake>) -> AppState {
        open(&self.database, &self.clock, work).await
    }

    /// Adds a task that runs every hour at minute 30, unless told.
    async fn task(&self, told: Value) -> i64 {
        let mut record = Task::blank().0;
        let now = Moment(self.state.clock().now()).to_string();
        let Value::Object(defaults) = json!({
            "owner_id": self.owner, "name": "Nightly", "saved_query": 1, "frequency": "hourly", "minute_of_hour": 30,
            "apic_connection_ids": [4], "retry_count": 2, "retry_interval_minutes": 5, "log_retention_days": 30,
            "created_at": now, "updated_at": now,
        }) else {
            unreachable!()
        };
        record.extend(defaults);
        record.extend(told.as_object().unwrap().clone());
        let next = Task(record.clone()).next_after(self.state.clock().now()).unwrap();
        record.insert("next_run_at".into(), Moment(next).to_string().into());
        let columns = Values::of(record, TASK.columns()).columns(&TASK);
        let (names, values): (Vec<_>, Vec<Expr>) =
            columns.into_iter().map(|(name, value)| (Alias::new(name), Expr::from(value))).unzip();
        let insert = Query::insert()
            .into_table(Alias::new(TASK.table))
            .columns(names)
            .values_panic(values)
            .returning_col(Alias::new("id"))
            .take();
        self.state.db().number(&insert).await.unwrap()
    }

    async fn read(&self, id: i64) -> Task {
        let rows = self.state.db().rows(&Task::query(id)).await.unwrap();
        Task(TASK.record(&rows[0]).unwrap())
    }

    /// Returns the executions of all tasks: where, which try, how it ended.
    async fn log(&self) -> Vec<(Option<i64>, i64, String)> {
        let query = Query::select()
            .columns(["apic_connection_id", "retry_attempt", "status"].map(Alias::new))
            .from(Alias::new(EXECUTION.table))
            .order_by(Alias::new("id"), Order::Asc)
            .take();
        self.state.db().all(&query).await.unwrap()
    }

    /// Lets time pass and does what is due then.
    async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        run_due(&self.state).await.unwrap();
        self.state.runner().settled().await;
    }

    async fn told(&self) -> Vec<(String, String)> {
        let inbox = recent(&self.state, self.owner, 200).await.unwrap();
        let text = |one: &serde_json::Map<String, Value>, name: &str| one[name].as_str().unwrap().to_owned();
        inbox.iter().map(|one| (text(one, "type"), text(one, "title"))).collect()
    }

    async fn mails(&self) -> Vec<(String, String)> {
        let query = Query::select()
            .columns(["recipient", "subject"].map(Alias::new))
            .from(Alias::new("mail_outbox"))
            .order_by(Alias::new("id"), Order::Asc)
            .take();
        self.state.db().all(&query).await.unwrap()
    }
}

fn entry(connection: i64, attempt: i64, status: &str) -> (Option<i64>, i64, String) {
    (Some(connection), attempt, status.to_owned())
}

fn notice(kind: &str, title: &str) -> (String, String) {
    (kind.to_owned(), title.to_owned())
}

#[tokio::test]
async fn a_task_runs_when_it_is_due_and_tells_so() {
    let work = Fake::new(|_| Ok(found(142)));
    let lab = Lab::start(Arc::clone(&work)).await;
    let id = lab.task(json!({ "email_on_success": true, "email_recipients": ["ops@lab.example"] })).await;

    lab.pass(29 * MINUTE).await;
    assert_eq!(work.asked(), []);
    lab.pass(MINUTE).await;
    lab.pass(MINUTE).await;

    assert_eq!(work.asked(), [(Some(4), 0)]);
    assert_eq!(lab.log().await, [entry(4, 0, "success")]);
    let task = lab.read(id).await;
    assert_eq!(task.text("next_run_at"), "2026-03-02T13:30:00+00:00");
    assert_eq!(["execution_count", "success_count", "failure_count"].map(|name| task.number(name)), [1, 1, 0]);
    assert_eq!(lab.told().await, [notice("success", "Scheduled task Nightly succeeded")]);
    assert_eq!(lab.mails().await, [notice("ops@lab.example", "Scheduled task Nightly succeeded")]);
}

#[tokio::test]
async fn what_was_missed_is_caught_up_once_and_by_one_of_two_servers() {
    let (one, two) = (Fake::new(|_| Ok(found(1))), Fake::new(|_| Ok(found(1))));
    let lab = Lab::start(Arc::clone(&one)).await;
    let other = lab.another(Arc::clone(&two)).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(lab.task(json!({ "apic_connection_ids": [4, 5] })).await);
    }

    lab.clock.advance(10 * DAY);
    let (first, second) = tokio::join!(run_due(&lab.state), run_due(&other));
    first.unwrap();
    second.unwrap();
    lab.state.runner().settled().await;
    other.runner().settled().await;

    let asked = [one.asked(), two.asked()].concat();
    // The task of the server was due, too.
    assert_eq!(asked.iter().filter(|(connection, _)| connection.is_some()).count(), 10, "each once on each connection");
    assert_eq!(asked.len(), 11);
    for id in ids {
        let task = lab.read(id).await;
        assert_eq!(task.text("next_run_at"), "2026-03-12T12:30:00+00:00");
        assert_eq!((task.number("execution_count"), task.number("success_count")), (1, 1));
    }
    assert_eq!(lab.told().await.len(), 5);
}

#[tokio::test]
async fn what_is_urgent_is_taken_up_first() {
    let work = Fake::held();
    let lab = Lab::start(Arc::clone(&work)).await;
    for (priority, first) in [("low", 10), ("high", 20), ("medium", 30)] {
        let connections: Vec<i64> = (first..first + 5).collect();
        lab.task(json!({ "priority": priority, "apic_connection_ids": connections })).await;
    }
    lab.clock.advance(30 * MINUTE);

    run_due(&lab.state).await.unwrap();
    while work.asked().len() < 4 {
        tokio::task::yield_now().await;
    }

    let first: Vec<_> = work.asked().iter().map(|(connection, _)| connection.unwrap() / 10).collect();
    assert_eq!(first, [2, 2, 2, 2], "as many as are worked on at the same time");
    work.may_go.add_permits(100);
    lab.state.runner().settled().await;
    assert_eq!(work.asked().len(), 15);
}

#[tokio::test]
async fn what_failed_is_tried_again_after_its_rest() {
    let work = Fake::new(|job| if job.attempt < 2 { Err(unreachable_controller()) } else { Ok(found(1)) });
    let lab = Lab::start(work).await;
    let id = lab.task(json!({})).await;

    lab.pass(30 * MINUTE).await;
    lab.pass(4 * MINUTE).await;
    assert_eq!(lab.log().await, [entry(4, 0, "failed"), entry(4, 1, "pending")]);
    assert_eq!(lab.told().await, [], "the run is not over");
    lab.pass(MINUTE).await;
    lab.pass(5 * MINUTE).await;

    assert_eq!(lab.log().await, [entry(4, 0, "failed"), entry(4, 1, "failed"), entry(4, 2, "success")]);
    let task = lab.read(id).await;
    assert_eq!(["execution_count", "success_count", "failure_count"].map(|name| task.number(name)), [1, 1, 0]);
    assert_eq!(lab.told().await, [notice("success", "Scheduled task Nightly succeeded")]);
}

#[tokio::test]
async fn tries_end_where_told_and_failures_are_told() {
    let work = Fake::new(|job| match job.connection {
        Some(5) => Ok(found(3)),
        Some(6) => Err(Failure::lasting("not_found", "gone")),
        _ => Err(unreachable_controller()),
    });
    let lab = Lab::start(Arc::clone(&work)).await;
    let partly = lab.task(json!({ "apic_connection_ids": [4, 5], "retry_count": 1, "name": "Partly" })).await;
    let lasting = lab.task(json!({ "apic_connection_ids": [6], "name": "Lasting", "email_on_failure": true })).await;
    let never = lab.task(json!({ "retry_enabled": false, "name": "Never" })).await;

    lab.pass(30 * MINUTE).await;
    lab.pass(5 * MINUTE).await;
    lab.pass(5 * MINUTE).await;

    assert_eq!(work.asked(), [(Some(4), 0), (Some(4), 0), (Some(4), 1), (Some(5), 0), (Some(6), 0)]);
    let mut told = lab.told().await;
    told.sort_unstable();
    assert_eq!(
        told,
        [
            notice("error", "Scheduled task Lasting failed"),
            notice("error", "Scheduled task Never failed"),
            notice("warning", "Scheduled task Partly succeeded in part"),
        ]
    );
    assert_eq!(lab.mails().await, [notice("mara@lab.example", "Scheduled task Lasting failed")]);
    for (id, status) in [(partly, "partial"), (lasting, "failed"), (never, "failed")] {
        let task = lab.read(id).await;
        assert_eq!((task.text("last_run_status"), task.number("failure_count")), (status, 1));
    }
}

#[tokio::test]
async fn no_mail_is_sent_where_the_settings_say_so() {
    let lab = Lab::start(Fake::new(|job| if job.connection == Some(5) { Err(lasting()) } else { Ok(found(1)) })).await;
    let wanted = json!({ "email_on_success": true, "email_on_failure": true });
    let other = json!({ "email_on_success": true, "email_on_failure": true, "apic_connection_ids": [5] });
    for told in [wanted, other] {
        lab.task(told).await;
    }
    let switch = async |on: bool| {
        let update = Query::update()
            .table(Alias::new(super::SETTINGS))
            .value(Alias::new("email_enabled"), on)
            .and_where(Expr::col(Alias::new("id")).eq(super::ONLY))
            .take();
        lab.state.db().run(&update).await.unwrap();
    };

    switch(false).await;
    lab.pass(30 * MINUTE).await;
    assert_eq!((lab.told().await.len(), lab.mails().await), (2, vec![]), "what is told otherwise stays");
    switch(true).await;
    lab.pass(60 * MINUTE).await;

    let mut mails = lab.mails().await;
    mails.sort_unstable();
    let expected = ["failed", "succeeded"];
    assert_eq!(mails, expected.map(|end| notice("mara@lab.example", &format!("Scheduled task Nightly {end}"))));
}

fn lasting() -> Failure {
    Failure::lasting("not_found", "gone")
}

#[tokio::test]
async fn what_a_dead_server_left_is_tried_again_and_its_late_answer_counts_for_nothing() {
    let (dead, alive) = (Fake::held(), Fake::new(|_| Ok(found(7))));
    let lab = Lab::start(Arc::clone(&dead)).await;
    let other = lab.another(Arc::clone(&alive)).await;
    lab.task(json!({ "retry_enabled": false })).await;
    lab.clock.advance(30 * MINUTE);
    run_due(&lab.state).await.unwrap();
    while dead.asked().is_empty() {
        tokio::task::yield_now().await;
    }

    recover(&other).await.unwrap();
    assert_eq!(lab.log().await, [entry(4, 0, "running")], "its lease holds");
    lab.clock.advance(3 * MINUTE);
    recover(&other).await.unwrap();
    recover(&other).await.unwrap();
    run_due(&other).await.unwrap();
    other.runner().settled().await;
    dead.may_go.add_permits(1);
    lab.state.runner().settled().await;

    assert_eq!(alive.asked(), [(Some(4), 1)]);
    assert_eq!(lab.log().await, [entry(4, 0, "failed"), entry(4, 1, "success")]);
    assert_eq!(lab.told().await, [notice("success", "Scheduled task Nightly succeeded")]);
}

#[tokio::test]
async fn a_server_that_stops_leaves_what_it_cannot_finish_to_others() {
    let work = Fake::held();
    let lab = Lab::start(Arc::clone(&work)).await;
    lab.task(json!({})).await;
    lab.clock.advance(30 * MINUTE);
    run_due(&lab.state).await.unwrap();
    while work.asked().is_empty() {
        tokio::task::yield_now().await;
    }

    lab.state.stop();
    lab.state.runner().finish(&lab.state, Duration::ZERO).await.unwrap();

    assert_eq!(lab.log().await, [entry(4, 0, "failed"), entry(4, 1, "pending")]);
    run_due(&lab.state).await.unwrap();
    assert_eq!(work.asked().len(), 1, "a server that stops takes up nothing");
}

#[tokio::test]
async fn a_run_that_is_slower_than_its_schedule_is_not_overtaken() {
    let work = Fake::held();
    let lab = Lab::start(Arc::clone(&work)).await;
    let id = lab.task(json!({})).await;
    lab.clock.advance(30 * MINUTE);
    run_due(&lab.state).await.unwrap();
    while work.asked().is_empty() {
        tokio::task::yield_now().await;
    }

    lab.clock.advance(60 * MINUTE);
    run_due(&lab.state).await.unwrap();
    work.may_go.add_permits(10);
    lab.state.runner().settled().await;

    assert_eq!(lab.log().await, [entry(4, 0, "success")]);
    assert_eq!(lab.read(id).await.text("next_run_at"), "2026-03-02T14:30:00+00:00");
}

#[tokio::test]
async fn a_task_that_runs_once_rests_then() {
    let lab = Lab::start(Fake::new(|_| Ok(found(1)))).await;
    let id = lab.task(json!({ "frequency": "once", "scheduled_datetime": "2026-03-02T13:00:00+00:00" })).await;

    lab.pass(60 * MINUTE).await;
    lab.pass(60 * MINUTE).await;

    assert_eq!(lab.log().await, [entry(4, 0, "success")]);
    let task = lab.read(id).await;
    assert_eq!((task.text("status"), &task.0["next_run_at"]), ("paused", &Value::Null));
}

#[tokio::test]
async fn what_is_cancelled_before_it_is_tried_again_has_failed() {
    let lab = Lab::start(Fake::new(|_| Err(unreachable_controller()))).await;
    let id = lab.task(json!({})).await;
    lab.pass(30 * MINUTE).await;

    let mut transaction = lab.state.db().begin().await.unwrap();
    let task = Task::lock(&mut transaction, id).await.unwrap().unwrap();
    let told = cancel_pending(&lab.state, &mut transaction, &task).await.unwrap();
    transaction.commit().await.unwrap();
    told.publish(&lab.state).await.unwrap();

    assert_eq!(lab.log().await, [entry(4, 0, "failed"), entry(4, 1, "cancelled")]);
    assert_eq!(lab.told().await, [notice("error", "Scheduled task Nightly failed")]);
}

#[tokio::test]
async fn a_task_of_the_server_is_there_from_the_start_once() {
    let lab = Lab::start(Fake::new(|_| Ok(found(1)))).await;
    lab.another(Fake::new(|_| Ok(found(1)))).await;

    let query = Query::select()
        .columns(["name", "time_of_day", "next_run_at"].map(Alias::new))
        .from(Alias::new(TASK.table))
        .and_where(Expr::col(Alias::new("is_system_task")).eq(true))
        .take();
    let tasks: Vec<(String, String, DateTime<Utc>)> = lab.state.db().all(&query).await.unwrap();

    let at = "2026-03-03T03:30:00Z".parse().unwrap();
    assert_eq!(tasks, [("Time Machine cleanup".to_owned(), "03:30:00".to_owned(), at)]);
}

#[tokio::test]
async fn executions_are_forgotten_when_their_task_says() {
    let lab = Lab::start(Fake::new(|_| Ok(found(1)))).await;
    let brief = lab
        .task(
            json!({ "log_retention_days": 1, "frequency": "once", "scheduled_datetime": "2026-03-02T13:00:00+00:00" }),
        )
        .await;
    lab.task(json!({ "log_retention_days": 3, "frequency": "once", "scheduled_datetime": "2026-03-02T13:00:00+00:00", "apic_connection_ids": [5] })).await;
    lab.pass(60 * MINUTE).await;

    lab.clock.advance(DAY + MINUTE);
    super::purge(&lab.state).await.unwrap();

    assert_eq!(lab.log().await, [entry(5, 0, "success")]);
    assert_eq!(lab.read(brief).await.number("execution_count"), 1);
}
