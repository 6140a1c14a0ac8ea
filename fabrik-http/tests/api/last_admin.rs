//! An active administrator stays, whatever administrators do to each other: against a model.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

const USERS: &str = "/api/auth/management/";
const NAMES: [&str; 4] = ["root", "mara", "ben", "eve"];

/// A user as the model knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    id: i64,
    is_there: bool,
    is_active: bool,
    is_superuser: bool,
    is_in_admin: bool,
}

impl Known {
    fn is_admin(self) -> bool {
        self.is_there && self.is_active && (self.is_superuser || self.is_in_admin)
    }
}

/// What one user does to another.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Delete,
    SetActive(bool),
    Activate,
    Deactivate,
    SetSuperuser(bool),
    SetInAdmin(bool),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        1 => Just(Deed::Delete),
        4 => any::<bool>().prop_map(Deed::SetActive),
        3 => Just(Deed::Activate),
        3 => Just(Deed::Deactivate),
        6 => any::<bool>().prop_map(Deed::SetSuperuser),
        6 => any::<bool>().prop_map(Deed::SetInAdmin),
    ]
}

/// Returns the status that the rules give, and does the deed to the model where it is allowed.
fn expected(users: &mut [Known], caller: usize, target: usize, deed: Deed) -> u16 {
    let (by, to) = (users[caller], users[target]);
    if !by.is_admin() {
        return 403;
    }
    if !to.is_there {
        return 404;
    }
    let is_self = caller == target;
    let mut after = to;
    match deed {
        Deed::Delete => after.is_there = false,
        Deed::SetActive(is_active) => after.is_active = is_active,
        Deed::Activate => after.is_active = true,
        Deed::Deactivate => after.is_active = false,
        Deed::SetSuperuser(is_superuser) => after.is_superuser = is_superuser,
        Deed::SetInAdmin(is_in_admin) => after.is_in_admin = is_in_admin,
    }
    let needs_superuser =
        to.is_superuser || matches!(deed, Deed::SetSuperuser(true)) || after.is_in_admin != to.is_in_admin;
    if needs_superuser && !by.is_superuser {
        return 403;
    }
    if is_self && (!after.is_there || matches!(deed, Deed::SetActive(false) | Deed::Deactivate)) {
        return 400;
    }
    users[target] = after;
    if users.iter().any(|user| user.is_admin()) {
        return if matches!(deed, Deed::Delete) { 204 } else { 200 };
    }
    users[target] = to;
    400
}

async fn call(server: &Server, token: &str, id: i64, deed: Deed, admin_group: &Value) -> Reply {
    let one = format!("{USERS}{id}/");
    let patch = async |body: Value| server.call("PATCH", &one).token(token).json(&body).send().await;
    match deed {
        Deed::Delete => server.call("DELETE", &one).token(token).send().await,
        Deed::SetActive(is_active) => patch(json!({ "is_active": is_active })).await,
        Deed::SetSuperuser(is_superuser) => patch(json!({ "is_superuser": is_superuser })).await,
        Deed::SetInAdmin(true) => patch(json!({ "group_ids": [admin_group] })).await,
        Deed::SetInAdmin(false) => patch(json!({ "group_ids": [] })).await,
        Deed::Activate => server.post(&format!("{one}activate/")).token(token).send().await,
        Deed::Deactivate => server.post(&format!("{one}deactivate/")).token(token).send().await,
    }
}

/// Does random deeds and compares with the model.
async fn live(deeds: &[(prop::sample::Index, usize, Deed)]) {
    let server = Server::start().await;
    let mut users = Vec::new();
    for name in NAMES {
        let is_superuser = name == "root";
        let id = server.user(name, is_superuser).await;
        users.push(Known { id, is_there: true, is_active: true, is_superuser, is_in_admin: is_superuser });
    }
    let mut tokens = vec![None; NAMES.len()];
    let (root, _) = server.login("root").await;
    let found = server.get("/api/auth/groups/?name=Admin").token(&root).send().await;
    let admin_group = found.body["results"][0]["id"].clone();

    for (who, target, deed) in deeds {
        let callers: Vec<_> = (0..users.len()).filter(|one| users[*one].is_there && users[*one].is_active).collect();
        let caller = *who.get(&callers);
        if tokens[caller].is_none() {
            tokens[caller] = Some(server.login(NAMES[caller]).await.0);
        }
        let token = tokens[caller].clone().unwrap();
        let before = users.clone();

        let status = expected(&mut users, caller, *target, *deed);
        let reply = call(&server, &token, users[*target].id, *deed, &admin_group).await;

        let what = format!("{} does {deed:?} to {}: {before:?}", NAMES[caller], NAMES[*target]);
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        if !users[*target].is_active || !users[*target].is_there {
            tokens[*target] = None;
        }
        assert!(users.iter().any(|user| user.is_admin()), "{what}");
    }

    let admin = users.iter().position(|user| user.is_admin()).unwrap();
    let (token, _) = server.login(NAMES[admin]).await;
    for user in users {
        let shown = server.get(&format!("{USERS}{}/", user.id)).token(&token).send().await;
        assert_eq!(shown.status, if user.is_there { 200 } else { 404 });
        if user.is_there {
            let is_admin = user.is_superuser || user.is_in_admin;
            let fields = ["is_active", "is_superuser", "is_admin"].map(|name| shown.body[name].as_bool().unwrap());
            assert_eq!(fields, [user.is_active, user.is_superuser, is_admin], "{user:?}");
        }
    }
}

#[test]
fn random_deeds_of_random_callers_end_as_in_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let deeds = prop::collection::vec((any::<prop::sample::Index>(), 0..NAMES.len(), any_deed()), 60..120);
    let config = Config { cases: 6, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };

    let outcome = TestRunner::new(config).run(&deeds, |deeds| {
        runtime.block_on(live(&deeds));
        Ok(())
    });

    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_deactivate_each_other_at_once_one_stays() {
    // Often enough that the two meet.
    for _ in 0..5 {
        let server = Server::start().await;
        let root = server.user("root", true).await;
        let (root_token, _) = server.login("root").await;
        let other = server.user("other", true).await;
        let (other_token, _) = server.login("other").await;

        let (one, two) = tokio::join!(
            call(&server, &root_token, other, Deed::SetActive(false), &Value::Null),
            call(&server, &other_token, root, Deed::Deactivate, &Value::Null),
        );

        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{} {}", one.text, two.text);
        assert!([400, 401].contains(&statuses[1]), "{} {}", one.text, two.text);
    }
}
