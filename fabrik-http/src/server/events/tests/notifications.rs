//! The socket of a user's notifications.

use sea_query::{Alias, Query};

use super::*;

/// Puts a notification into the inbox of a user.
async fn insert(server: &Live, user: &User, title: &str) -> i64 {
    let insert = Query::insert()
        .into_table(Alias::new("notification"))
        .columns(["user", "type", "title", "message", "metadata", "created_at"].map(Alias::new))
        .values_panic([
            user.id.into(),
            "info".into(),
            title.into(),
            "".into(),
            json!({}).into(),
            server.clock.now().into(),
        ])
        .returning_col(Alias::new("id"))
        .take();
    server.state.db().number(&insert).await.unwrap()
}

async fn open(server: &Live, user: &User) -> Client {
    let ticket = server.ticket(user).await;
    server.open(&format!("/ws/notifications/?ticket={ticket}"), None).await.unwrap()
}

#[tokio::test]
async fn a_user_follows_their_own_notifications_and_no_others() {
    let server = Live::start(&[]).await;
    let (mara, ben) = (server.user("mara", false).await, server.user("ben", false).await);
    insert(&server, &mara, "first").await;
    let second = insert(&server, &mara, "second").await;
    let of_ben = insert(&server, &ben, "not hers").await;

    let mut client = open(&server, &mara).await;
    let count = client.frame().await;
    assert_eq!((&count["type"], &count["data"]), (&json!("notification_count"), &json!({ "count": 2 })));
    client.say("{\"type\":\"get_recent\",\"data\":{\"limit\":1}}").await;
    let recent = client.frame().await;
    let listed = recent["data"]["notifications"].as_array().unwrap();
    assert_eq!(recent["type"], "recent_notifications");
    assert_eq!((listed.len(), &listed[0]["title"]), (1, &json!("second")));
    // Fields may also stand beside the type.
    client.say(&json!({ "type": "mark_read", "notification_id": second }).to_string()).await;
    let read = client.frame().await;
    assert_eq!((&read["type"], &read["data"]), (&json!("notification_read"), &json!({ "notification_id": second })));
    assert_eq!(client.frame().await["data"], json!({ "count": 1 }));
    client.say(&json!({ "type": "mark_read", "notification_id": of_ben }).to_string()).await;
    assert_eq!(client.kind().await, "error");
    for user in [&ben, &mara] {
        let channel = Channel::Notifications(user.id);
        server.state.events().publish(&server.state, &channel, "notification_new", json!({ "of": user.id })).await;
    }
    assert_eq!(client.frame().await["data"], json!({ "of": mara.id }));
}
