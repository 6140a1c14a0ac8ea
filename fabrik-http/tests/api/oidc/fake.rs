//! A provider that signs its own tokens, and lies when told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::KeyPair;
use serde_json::{Value, json};

/// What the client proves itself with.
pub(crate) const SECRET: &str = "a secret of the client, long enough";

/// How the next answer differs from a good one.
#[derive(Clone)]
pub(crate) enum Lie {
    /// Not at all: the user is this one.
    None(Value),
    Nonce,
    NoNonce,
    OtherKey,
    NoSignature,
    SecretAsKey,
    Claim(&'static str, Value),
    NoIdToken,
    OtherUserInfo,
    Refusal,
}

pub(crate) struct Fake {
    issuer: String,
    shared: Arc<Shared>,
}

struct Shared {
    key: KeyPair,
    other_key: KeyPair,
    issuer: Mutex<String>,
    next: Mutex<(String, Lie)>,
    form: Mutex<HashMap<String, String>>,
}

impl Fake {
    /// Starts a provider that ends with the test's runtime.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            key: KeyPair::generate().unwrap(),
            other_key: KeyPair::generate().unwrap(),
            issuer: Mutex::new(issuer.clone()),
            next: Mutex::new((String::new(), Lie::Refusal)),
            form: Mutex::default(),
        });
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { issuer, shared }
    }

    /// Says how the next login shall go.
    pub(crate) fn expect(&self, nonce: &str, lie: Lie) {
        *self.shared.next.lock().unwrap() = (nonce.to_owned(), lie);
    }

    /// Returns what was last posted for a token.
    pub(crate) fn last_form(&self) -> HashMap<String, String> {
        self.shared.form.lock().unwrap().clone()
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![("oidc.corp.issuer", &self.issuer), ("oidc.corp.client_id", "fabrik"), ("oidc.corp.client_secret", SECRET)]
    }

    /// Returns the settings of a provider that is asked at addresses of its own.
    pub(crate) fn plain_settings(&self) -> Vec<(&'static str, &str)> {
        // They live as long as the process, which is a test.
        let address = |path: &str| -> &'static str { format!("{}{path}", self.issuer).leak() };
        vec![
            ("oauth2.forge.authorize_url", address("/authorize")),
            ("oauth2.forge.token_url", address("/token")),
            ("oauth2.forge.userinfo_url", address("/userinfo")),
            ("oauth2.forge.client_id", "fabrik"),
            ("oauth2.forge.client_secret", SECRET),
            ("oauth2.forge.scopes", "read:user"),
        ]
    }
}

/// The time of the server in tests, which stands.
pub(crate) fn now() -> i64 {
    crate::server::noon().timestamp()
}

async fn configuration(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = shared.issuer.lock().unwrap().clone();
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // A provider that takes anything must not make the client take anything.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let point = shared.key.public_key_raw();
    let part = |range| BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
    let (x, y) = (part(1..33), part(33..65));
    let key = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": x, "y": y });
    Json(json!({ "keys": [key] }))
}

async fn token(State(shared): State<Arc<Shared>>, body: Bytes) -> (StatusCode, Json<Value>) {
    *shared.form.lock().unwrap() = url::form_urlencoded::parse(&body).into_owned().collect();
    let (nonce, lie) = shared.next.lock().unwrap().clone();
    let mut answer = json!({ "access_token": "an access token", "token_type": "bearer", "expires_in": 60 });
    match &lie {
        Lie::Refusal => return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
        Lie::NoIdToken => {}
        _ => answer["id_token"] = id_token(&shared, &nonce, &lie).into(),
    }
    (StatusCode::OK, Json(answer))
}

fn id_token(shared: &Shared, nonce: &str, lie: &Lie) -> String {
    let issuer = shared.issuer.lock().unwrap().clone();
    let mut claims = json!({
        "iss": issuer, "aud": "fabrik", "sub": "1", "preferred_username": "mara", "nonce": nonce,
        "iat": now(), "exp": now() + 60,
    });
    match lie {
        Lie::None(user) => claims.as_object_mut().unwrap().extend(user.as_object().unwrap().clone()),
        Lie::Nonce => claims["nonce"] = "another".into(),
        Lie::NoNonce => drop(claims.as_object_mut().unwrap().remove("nonce")),
        Lie::Claim(name, value) => claims[*name] = value.clone(),
        _ => {}
    }
    let sign = |key: &KeyPair| {
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap()
    };
    match lie {
        Lie::OtherKey => sign(&shared.other_key),
        Lie::NoSignature => {
            let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims))
        }
        Lie::SecretAsKey => {
            encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
        }
        _ => sign(&shared.key),
    }
}

async fn userinfo(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (_, lie) = shared.next.lock().unwrap().clone();
    Json(match lie {
        Lie::None(user) => user,
        Lie::OtherUserInfo => json!({ "sub": "2" }),
        _ => json!({ "sub": "1" }),
    })
}
