//! What changes users, groups or the own account is told in the audit log, whoever it is done to.

use axum::http::Method;

use super::*;

const NEW: &str = "Another horse, battery";

/// Returns the actions in the log, with the kind and the id of what each was done to.
async fn told(state: &AppState) -> Vec<(String, String, String)> {
    let query = sea_query::Query::select()
        .columns(["action", "resource_type", "resource_id"].map(Alias::new))
        .from(Alias::new("audit_log"))
        .order_by(Alias::new("sequence"), sea_query::Order::Asc)
        .take();
    state.db().all(&query).await.unwrap()
}

#[tokio::test]
async fn every_action_is_told_once_and_what_failed_is_not_told_as_done() {
    let server = Server::whole().await;
    let root = server.user("root", &[], true).await;
    server.user("mara", &[], false).await;
    let mara = users::by_name(server.state.db(), "mara").await.unwrap().unwrap().id;
    let now = server.state.clock().now();
    let second_step = sea_query::Query::insert()
        .into_table(Alias::new("auth_mfa"))
        .columns(["user_id", "sealed_secret", "backup_salt", "created_at", "enabled_at"].map(Alias::new))
        .values_panic([mara.into(), vec![1_u8].into(), vec![1_u8].into(), now.into(), now.into()])
        .take();
    server.state.db().run(&second_step).await.unwrap();
    let password = json!({ "new_password": NEW, "new_password_confirm": NEW });
    let own_password = json!({
        "old_password": "Correct horse, battery", "new_password": NEW, "new_password_confirm": NEW,
    });
    let none = || json!({ "permission_ids": [] });
    let users = |action: &str| format!("/api/auth/management/{mara}/{action}");
    // The group Users is the second that every server has.
    let groups = |action: &str| format!("/api/auth/groups/2/{action}");
    assert_eq!(server.get(&users(""), &root).await.body["mfa_enabled"], true);
    let calls = [
        (Method::POST, users("deactivate/"), json!({}), "user_deactivated", "user"),
        (Method::POST, users("activate/"), json!({}), "user_activated", "user"),
        (Method::POST, users("reset_password/"), password, "user_password_reset", "user"),
        (Method::POST, users("disable_mfa/"), json!({}), "user_mfa_disabled", "user"),
        (Method::POST, users("generate_reset_code/"), json!({}), "user_reset_code_generated", "user"),
        (Method::PATCH, users(""), json!({ "email": "m@lab.example" }), "user_updated", "user"),
        (Method::POST, users("verify_email/"), json!({}), "user_email_verified", "user"),
        (Method::POST, users("add_permissions/"), none(), "user_permissions_added", "user"),
        (Method::POST, users("remove_permissions/"), none(), "user_permissions_removed", "user"),
        (Method::POST, groups("add_permissions/"), none(), "group_permissions_added", "group"),
        (Method::POST, groups("remove_permissions/"), none(), "group_permissions_removed", "group"),
        (Method::PUT, groups("quota/"), json!({}), "group_quota_updated", "group"),
        (Method::POST, groups("clone/"), json!({ "name": "Copy" }), "group_cloned", "group"),
        (Method::PATCH, "/api/auth/profile/".into(), json!({ "first_name": "R" }), "profile_updated", "profile"),
        (
            Method::PATCH,
            "/api/auth/preferences/".into(),
            json!({ "time_format": "12h" }),
            "preferences_updated",
            "preferences",
        ),
        (
            Method::PATCH,
            "/api/auth/session-timeout/".into(),
            json!({ "session_timeout_minutes": 5 }),
            "session_timeout_updated",
            "session_timeout",
        ),
        (Method::PUT, "/api/auth/password/change/".into(), own_password, "password_changed", "user"),
        (Method::DELETE, users(""), json!({}), "user_deleted", "user"),
    ];

    for (method, path, body, action, kind) in calls {
        let before = told(&server.state).await.len();
        let reply = server.call(method, &path, Some(&root), body).await;
        assert!(reply.status < 300, "{action}: {} {}", reply.status, reply.body);
        let told = told(&server.state).await.split_off(before);
        assert_eq!(told.len(), 1, "{action}: {told:?}");
        assert_eq!((&*told[0].0, &*told[0].1), (action, kind));
    }

    let before = told(&server.state).await;
    // The user is gone by now, and the name of the copy is taken.
    for (path, body) in [(users("deactivate/"), json!({})), (groups("clone/"), json!({ "name": "Copy" }))] {
        assert!(server.call(Method::POST, &path, Some(&root), body).await.status >= 400, "{path}");
    }
    assert_eq!(told(&server.state).await, before);
}

#[tokio::test]
async fn codes_for_a_new_password_are_good_once_for_half_an_hour_and_few_guesses() {
    let server = Server::whole().await;
    server.user("mara", &[], false).await;
    let state = &server.state;
    let id = users::by_name(state.db(), "mara").await.unwrap().unwrap().id;
    let issue = async || {
        let mut transaction = state.db().begin().await.unwrap();
        let (code, _) = reset_codes::issue(&mut transaction, state, id).await.unwrap();
        transaction.commit().await.unwrap();
        code
    };
    let redeem = async |name: &str, code: &str| reset_codes::redeem(state, name, code).await.unwrap();

    let code = issue().await;
    assert_eq!(redeem("nobody", &code).await, None);
    assert_eq!(redeem("MARA", &format!(" {} ", code.to_lowercase())).await, Some(id));
    assert_eq!(redeem("mara", &code).await, None);
    let (older, newer) = (issue().await, issue().await);
    assert_eq!(redeem("mara", &older).await, None);
    assert_eq!(redeem("mara", &newer).await, Some(id));
    let guessed = issue().await;
    for _ in 0..5 {
        assert_eq!(redeem("mara", "AAAAAAAA").await, None);
    }
    assert_eq!(redeem("mara", &guessed).await, None);
    let late = issue().await;
    server.state.clock().advance(std::time::Duration::from_secs(30 * 60));
    assert_eq!(redeem("mara", &late).await, None);
}
