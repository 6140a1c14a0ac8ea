//! How much the changes of each day matter.

use serde_json::{Value, json};

use super::{DAY, HOUR, Lab, connect};

impl Lab {
    pub(super) async fn newest(&self) -> Value {
        self.get(&format!("snapshots/?saved_query={}", self.query)).await.body["results"][0].clone()
    }

    async fn risk(&self, older: &Value, newer: &Value) -> Value {
        let body = json!({ "snapshot_a": older["id"], "snapshot_b": newer["id"], "severity": true });
        self.post("compare/?summary_only=true", &body).await.body["summary"]["risk_score"].clone()
    }
}

#[tokio::test]
async fn the_worst_risk_of_a_day_is_that_of_comparisons_in_every_zone() {
    let lab = Lab::new().await;
    let dn = lab.some_dn_of_controller();
    let first = lab.capture(json!({})).await;
    lab.set(&dn, &json!({ "descr": "a" }));
    let mild = lab.capture(json!({})).await;
    lab.set(&dn, &json!({ "unicastRoute": "no", "arpFlood": "yes" }));
    let severe = lab.capture(json!({})).await;
    lab.server.clock.advance(8 * HOUR + HOUR / 2);
    // Half past midnight in Berlin, and the day before in Greenwich.
    let same = lab.capture(json!({})).await;
    let other = connect(&lab.server, &lab.root, &lab.simulator, "Other").await;
    lab.server.clock.advance(DAY);
    lab.capture(json!({ "apic_connection": other })).await;

    let (small, large) = (lab.risk(&first, &mild).await, lab.risk(&mild, &severe).await);
    assert!(small.as_u64() > Some(0) && small.as_u64() < large.as_u64(), "{small} {large}");
    let scores = [&first, &mild, &severe, &same].map(|one| one["risk_score"].clone());
    assert_eq!(scores, [Value::Null, small.clone(), large.clone(), json!(0)]);
    let days = async |more: &str| {
        let path = format!("heatmap/?saved_query={}&window=3d{more}", lab.query);
        let days = lab.get(&path).await.body["days"].clone();
        days.as_array().unwrap().iter().map(|day| day["risk_max"].clone()).collect::<Vec<_>>()
    };
    let none = Value::Null;
    assert_eq!(days("").await, [large.clone(), none.clone(), none.clone()]);
    let here = format!("&apic_connection={}&timezone=Europe/Berlin", lab.connection);
    assert_eq!(days(&here).await, [large, json!(0), none.clone()]);
    assert_eq!(days(&format!("&apic_connection={other}")).await, [none.clone(), none.clone(), none]);
}
