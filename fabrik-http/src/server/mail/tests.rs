//! Mail against a mail server that is there, is down, or refuses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fabrik_core::store::MemoryStore;
use sea_query::Order;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::server::clock::Clock;
use crate::server::settings::{Layers, Origin};
use crate::server::state::AppState;

/// What a mail server got: recipients and the mail.
type Received = Arc<Mutex<Vec<(Vec<String>, String)>>>;

/// A mail server that refuses recipients called `nobody` for good and those called `later` for now.
async fn serve(listener: TcpListener, received: Received) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        // A client that hangs up early is no failure of the test.
        let _ = talk(socket, &received).await;
    }
}

async fn talk(socket: TcpStream, received: &Received) -> std::io::Result<()> {
    let mut stream = BufReader::new(socket);
    stream.write_all(b"220 mail.lab ready\r\n").await?;
    let mut recipients = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match line.split([' ', ':', '\r']).next().unwrap_or_default().to_uppercase().as_str() {
            "AUTH" => "535 5.7.8 wrong\r\n",
            "EHLO" => "250-mail.lab\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
            "RCPT" if line.contains("nobody@") => "550 5.1.1 no such user\r\n",
            "RCPT" if line.contains("later@") => "451 4.3.0 try again later\r\n",
            "RCPT" => {
                recipients.push(line.trim_end().to_owned());
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await?;
                }
                received.lock().unwrap().push((std::mem::take(&mut recipients), mail));
                "250 taken\r\n"
            }
            "QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => "250 ok\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn server(settings: &[(&str, &str)]) -> (AppState, Clock) {
    let mut layers = Layers::defaults();
    for (key, value) in [("database", "memory:"), ("email.security", "none")].iter().chain(settings) {
        layers.set(key, value, Origin::Default).unwrap();
    }
    let clock = Clock::manual("2026-03-02T12:00:00Z".parse().unwrap());
    let settings = Settings::from_layers(&layers).unwrap();
    (AppState::open(settings, Arc::new(MemoryStore::default()), clock.clone()).await.unwrap(), clock)
}

async fn queue(state: &AppState, to: &str) {
    let mut transaction = state.db().begin().await.unwrap();
    let mail = Mail { to: to.to_owned(), subject: "Grüße".to_owned(), text: "One\n.\nTwo".to_owned() };
    mail.queue(&mut transaction, state.clock().now()).await.unwrap();
    transaction.commit().await.unwrap();
}

#[derive(Debug, sqlx::FromRow)]
struct Kept {
    body: String,
    tries: i64,
    next_try_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    given_up_at: Option<DateTime<Utc>>,
    last_error: String,
}

async fn kept(state: &AppState) -> Vec<Kept> {
    let columns = ["body", "tries", "next_try_at", "sent_at", "given_up_at", "last_error"].map(Alias::new);
    let query = Query::select().columns(columns).from(Alias::new(TABLE)).order_by(Alias::new("id"), Order::Asc).take();
    state.db().all(&query).await.unwrap()
}

#[tokio::test]
async fn mail_is_sent_once_and_its_text_forgotten() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (state, clock) = server(&[("email.host", "127.0.0.1"), ("email.port", &port)]).await;
    let received = Received::default();
    let serving = tokio::spawn(serve(listener, Arc::clone(&received)));
    queue(&state, "mara@lab.example").await;

    send_due(&state).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    send_due(&state).await.unwrap();
    serving.abort();

    let received = received.lock().unwrap().clone();
    let [(recipients, mail)] = &received[..] else { panic!("one mail: {received:?}") };
    assert_eq!(recipients, &["RCPT TO:<mara@lab.example>"]);
    assert!(mail.contains("From: Fabrik <fabrik@localhost>\r\n"), "{mail}");
    assert!(mail.contains("One\r\n..\r\nTwo"), "{mail}");
    let kept = kept(&state).await;
    assert_eq!((kept[0].body.as_str(), kept[0].tries, kept[0].sent_at.is_some()), ("", 1, true));
}

#[tokio::test]
async fn mail_waits_for_a_server_that_is_down_and_is_given_up_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (state, clock) = server(&[("email.host", "127.0.0.1"), ("email.port", &port.to_string())]).await;
    queue(&state, "mara@lab.example").await;
    queue(&state, "ben@lab.example").await;
    let start = clock.now();

    send_due(&state).await.unwrap();
    let after = kept(&state).await;
    assert_eq!((after[0].tries, after[1].tries), (1, 0), "the second does not wait for a server that is down");
    assert!(after[0].last_error.contains("cannot be reached"), "{after:?}");
    let mut waits = vec![after[0].next_try_at - start];
    for _ in 0..5 {
        let next = kept(&state).await[0].next_try_at;
        clock.advance((next - clock.now()).to_std().unwrap());
        // The other one is tried, too, and ends the round where it comes first.
        for _ in 0..2 {
            send_due(&state).await.unwrap();
        }
        waits.push(kept(&state).await[0].next_try_at - clock.now());
    }
    let after = kept(&state).await;
    assert_eq!(waits[..5], [1, 5, 30, 120, 720].map(chrono::TimeDelta::minutes));
    assert_eq!((after[0].tries, after[0].given_up_at.is_some()), (6, true));

    // A server that is back gets what was not given up.
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let received = Received::default();
    let serving = tokio::spawn(serve(listener, Arc::clone(&received)));
    queue(&state, "eve@lab.example").await;
    send_due(&state).await.unwrap();
    serving.abort();
    assert!(received.lock().unwrap().iter().any(|(to, _)| to == &["RCPT TO:<eve@lab.example>"]));
}

#[tokio::test]
async fn refused_recipients_stop_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (state, _) = server(&[("email.host", "127.0.0.1"), ("email.port", &port)]).await;
    let received = Received::default();
    let serving = tokio::spawn(serve(listener, Arc::clone(&received)));
    for to in ["nobody@lab.example", "later@lab.example", "a\r\nRCPT TO:<eve@lab.example>", "mara@lab.example"] {
        queue(&state, to).await;
    }

    send_due(&state).await.unwrap();
    serving.abort();

    let kept = kept(&state).await;
    let ends: Vec<_> = kept.iter().map(|mail| (mail.sent_at.is_some(), mail.given_up_at.is_some())).collect();
    assert_eq!(ends, [(false, true), (false, false), (false, true), (true, false)]);
    assert!(kept[0].last_error.contains("no such user"), "{kept:?}");
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].0, ["RCPT TO:<mara@lab.example>"]);
}

#[tokio::test]
async fn mail_waits_where_logging_in_or_privacy_fails() {
    for settings in [
        [("email.username", "fabrik"), ("email.password", "geheim")],
        [("email.security", "starttls"), ("email.from", "fabrik@lab.example")],
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let settings = [&settings[..], &[("email.host", "127.0.0.1"), ("email.port", &port)]].concat();
        let (state, _) = server(&settings).await;
        let received = Received::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&received)));
        queue(&state, "mara@lab.example").await;

        send_due(&state).await.unwrap();
        serving.abort();

        assert!(received.lock().unwrap().is_empty());
        let kept = kept(&state).await;
        assert_eq!((kept[0].tries, kept[0].sent_at, kept[0].given_up_at), (1, None, None), "{kept:?}");
        assert!(!kept[0].last_error.is_empty() && !kept[0].last_error.contains("geheim"), "{kept:?}");
    }
}

#[tokio::test]
async fn two_servers_on_one_database_send_a_mail_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("server.db").display());
    let settings = [("database", database.as_str()), ("email.host", "127.0.0.1"), ("email.port", &port)];
    let ((one, _), (other, _)) = (server(&settings).await, server(&settings).await);
    let received = Received::default();
    let serving = tokio::spawn(serve(listener, Arc::clone(&received)));
    for number in 0..20 {
        queue(&one, &format!("user{number}@lab.example")).await;
    }

    let (first, second) = tokio::join!(send_due(&one), send_due(&other));
    serving.abort();

    first.unwrap();
    second.unwrap();
    let received = received.lock().unwrap();
    let recipients: std::collections::BTreeSet<_> = received.iter().map(|(to, _)| to.clone()).collect();
    assert_eq!((received.len(), recipients.len()), (20, 20));
}

#[tokio::test]
async fn without_a_server_mail_becomes_files_that_only_their_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("a/outbox");
    let (state, _) = server(&[("email.outbox", outbox.to_str().unwrap())]).await;
    queue(&state, "mara@lab.example").await;

    send_due(&state).await.unwrap();

    let files: Vec<_> = std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    assert_eq!(file.extension().unwrap(), "eml");
    assert!(std::fs::read_to_string(file).unwrap().contains("To: mara@lab.example\r\n"));
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions()) & 0o77, 0);
    assert!(kept(&state).await[0].sent_at.is_some());
}

#[tokio::test]
async fn with_neither_a_server_nor_a_folder_mail_waits() {
    let (state, clock) = server(&[]).await;
    queue(&state, "mara@lab.example").await;

    clock.advance(Duration::from_secs(100 * 24 * 60 * 60));
    send_due(&state).await.unwrap();
    purge(&state).await.unwrap();

    let kept = kept(&state).await;
    assert_eq!((kept[0].tries, kept[0].given_up_at), (0, None));
}
