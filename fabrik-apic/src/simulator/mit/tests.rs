//! The laws of queries, each against a fabric that is made for the purpose.

mod laws;
mod naive;
mod shapes;
mod time;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::*;

pub(in crate::simulator) const LIMIT: usize = 100_000;

pub(in crate::simulator) fn start() -> DateTime<Utc> {
    "2026-03-02T02:00:00Z".parse().unwrap()
}

pub(in crate::simulator) fn fabric(objects: usize) -> Mit {
    Mit::generate(&FabricOptions { seed: 7, objects, start: start() })
}

/// A small fabric for everybody who only reads.
pub(in crate::simulator) fn small() -> &'static Mit {
    static SMALL: LazyLock<Mit> = LazyLock::new(|| fabric(2500));
    &SMALL
}

fn request(url: &str) -> Result<Request, ApicError> {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    Request::parse(path, query)
}

pub(in crate::simulator) fn try_get(mit: &Mit, url: &str) -> Result<String, ApicError> {
    let answer = mit.query(&request(url)?, LIMIT)?;
    Ok(String::from_utf8(answer.into_bytes(None).to_vec()).unwrap())
}

/// Returns the count and the objects of an answer in JSON.
pub(in crate::simulator) fn get(mit: &Mit, url: &str) -> (usize, Vec<Value>) {
    let mut answer: Value = serde_json::from_str(&try_get(mit, url).unwrap()).unwrap();
    let count = answer["totalCount"].as_str().expect("a string").parse().unwrap();
    let Value::Array(objects) = answer["imdata"].take() else { panic!("imdata is a list") };
    (count, objects)
}

pub(in crate::simulator) fn refused(mit: &Mit, url: &str) -> ApicError {
    try_get(mit, url).expect_err(url)
}

/// Returns class and body of an object.
pub(in crate::simulator) fn parts(object: &Value) -> (&str, &Value) {
    let members = object.as_object().unwrap();
    assert_eq!(members.len(), 1, "one member, the class");
    let (class, body) = members.iter().next().unwrap();
    (class, body)
}

pub(in crate::simulator) fn attribute<'a>(object: &'a Value, name: &str) -> &'a str {
    parts(object).1["attributes"][name].as_str().unwrap_or_else(|| panic!("{name} in {object}"))
}

pub(in crate::simulator) fn dns(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| attribute(object, "dn")).collect()
}

/// Returns the DN of some object of a class.
fn some_dn(class: &str) -> String {
    let (_, objects) = get(small(), &format!("/api/class/{class}.json?page-size=1&order-by={class}.dn"));
    attribute(&objects[0], "dn").to_owned()
}
