//! The simulator as a client on the network meets it.

mod fault;
mod login;
mod signature;
mod subscription;
mod transport;

use reqwest::header::{COOKIE, HeaderMap};
use serde_json::{Value, json};

use super::{Scheme, Simulator, SimulatorOptions};
use crate::demo::Churn;

/// Starts a small fabric behind plain http.
fn start() -> Simulator {
    start_with(SimulatorOptions::default())
}

fn start_with(options: SimulatorOptions) -> Simulator {
    Simulator::start(options.with_scheme(Scheme::Http).with_objects(600)).unwrap()
}

/// A client with no habits of its own: no cookie jar, no retries, no proxy.
struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    fn total_count(&self) -> usize {
        self.json()["totalCount"].as_str().unwrap().parse().unwrap()
    }

    fn error_text(&self) -> String {
        self.json()["imdata"][0]["error"]["attributes"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the DNs of the objects at the top.
    fn dns(&self) -> Vec<String> {
        let objects = self.json()["imdata"].as_array().unwrap().clone();
        let dn = |object: &Value| object.as_object().unwrap().values().next().unwrap()["attributes"]["dn"].clone();
        objects.iter().map(|object| dn(object).as_str().unwrap().to_owned()).collect()
    }
}

impl Client {
    fn new(simulator: &Simulator) -> Self {
        Self::with(simulator, reqwest::Client::builder())
    }

    fn with(simulator: &Simulator, builder: reqwest::ClientBuilder) -> Self {
        Self { http: builder.no_proxy().no_gzip().build().unwrap(), url: simulator.url(), token: None }
    }

    async fn logged_in(simulator: &Simulator) -> Self {
        let mut client = Self::new(simulator);
        client.log_in().await;
        client
    }

    async fn log_in(&mut self) -> Got {
        let got = self.try_log_in("admin", "simulator").await;
        assert_eq!(got.status, 200, "{got:?}");
        self.token = Some(token_of(&got));
        got
    }

    async fn try_log_in(&self, name: &str, password: &str) -> Got {
        let body = json!({"aaaUser": {"attributes": {"name": name, "pwd": password}}});
        self.post("/api/aaaLogin.json", &body.to_string()).await
    }

    async fn get(&self, target: &str) -> Got {
        self.send(self.http.get(format!("{}{target}", self.url))).await.unwrap()
    }

    async fn post(&self, target: &str, body: &str) -> Got {
        self.send(self.http.post(format!("{}{target}", self.url)).body(body.to_owned())).await.unwrap()
    }

    async fn delete(&self, target: &str) -> Got {
        self.send(self.http.delete(format!("{}{target}", self.url))).await.unwrap()
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> reqwest::Result<Got> {
        if let Some(token) = &self.token {
            request = request.header(COOKIE, format!("APIC-cookie={token}"));
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Got { status, headers, text: response.text().await? })
    }
}

fn token_of(login: &Got) -> String {
    login.json()["imdata"][0]["aaaLogin"]["attributes"]["token"].as_str().unwrap().to_owned()
}

/// What a test creates to see a change.
fn tenant(name: &str) -> String {
    json!({"fvTenant": {"attributes": {"name": name, "descr": "made by a test"}}}).to_string()
}

#[test]
fn simulator_ends_with_its_value_even_inside_another_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();

    let address = runtime.block_on(async {
        let simulator = start();
        simulator.address()
    });

    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn same_options_give_the_same_fabric() {
    let at = "2026-03-02T02:00:00Z".parse().unwrap();
    let options = || SimulatorOptions::default().with_seed(7).with_start(at);
    let (first, second) = (start_with(options()), start_with(options()));
    let other = start_with(options().with_seed(8));

    let target = "/api/class/fvBD.json?order-by=fvBD.dn";
    assert_eq!(first.answer(target).unwrap(), second.answer(target).unwrap());
    assert_ne!(first.answer(target).unwrap(), other.answer(target).unwrap());
}

#[test]
fn advancing_changes_the_fabric_by_as_much_as_was_asked() {
    let simulator = start();
    let before = simulator.len();

    let events = simulator.advance(std::time::Duration::from_secs(60), &Churn { added: 5, ..Churn::default() });

    assert!(events >= 5, "{events}");
    assert!(simulator.len() >= before + 5);
}

#[test]
fn pace_hands_out_as_many_changes_as_the_rate_says() {
    let mut pace = super::Pace::default();

    let mut sum = Churn::default();
    for _ in 0..400 {
        let churn = pace.next(0.25);
        sum.changed += churn.changed;
        sum.added += churn.added;
        sum.removed += churn.removed;
        sum.touched += churn.touched;
    }

    assert_eq!(sum, Churn { changed: 50, added: 20, removed: 20, touched: 10 });
}
