//! Requests signed with a certificate.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use reqwest::Method;
use reqwest::header::{COOKIE, SET_COOKIE};

use super::{Client, Got, start_with, tenant, token_of};
use crate::simulator::{Simulator, SimulatorError, SimulatorOptions, SimulatorUser};

/// A user's key with its certificate.
struct Key {
    rsa: RsaKeyPair,
    certificate: String,
    public: String,
}

impl Key {
    fn generate() -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        let rsa = RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap();
        Self { rsa, certificate, public: key.public_key_pem() }
    }

    /// Returns the cookies for a request of which `text` was signed.
    fn cookies(&self, dn: &str, text: &str) -> String {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!(
            "APIC-Certificate-Algorithm=v1.0; APIC-Certificate-DN={dn}; APIC-Certificate-Fingerprint=fingerprint; \
             APIC-Request-Signature={}",
            STANDARD.encode(signature)
        )
    }
}

const DN: &str = "uni/userext/user-robot/usercert-key1";

fn start_with_key(key: &Key) -> Simulator {
    start_with(
        SimulatorOptions::default().with_user(SimulatorUser::new("robot").with_certificate("key1", &key.certificate)),
    )
}

async fn send(client: &Client, method: Method, target: &str, body: &str, cookies: &str) -> Got {
    let request = client.http.request(method, format!("{}{target}", client.url)).body(body.to_owned());
    client.send(request.header(COOKIE, cookies)).await.unwrap()
}

#[tokio::test]
async fn signature_is_about_method_path_query_and_body() {
    let key = Key::generate();
    let simulator = start_with_key(&key);
    let client = Client::new(&simulator);
    let (target, body) = ("/api/mo/uni/tn-signed.json?rsp-subtree=modified", tenant("signed"));
    let text = format!("POST{target}{body}");

    let right = send(&client, Method::POST, target, &body, &key.cookies(DN, &text)).await;
    assert_eq!(right.status, 200, "{right:?}");

    let other_body = body.replace("signed", "signe2");
    for (method, sent_target, sent_body, cookies) in [
        (Method::POST, target, other_body.as_str(), key.cookies(DN, &text)),
        (Method::POST, "/api/mo/uni/tn-signed.json", body.as_str(), key.cookies(DN, &text)),
        (Method::DELETE, target, body.as_str(), key.cookies(DN, &text)),
        (Method::POST, target, body.as_str(), key.cookies("uni/userext/user-robot/usercert-key2", &text)),
        (Method::POST, target, body.as_str(), Key::generate().cookies(DN, &text)),
        (Method::POST, target, body.as_str(), key.cookies(DN, &format!("POST {target}{body}"))),
        (Method::POST, target, body.as_str(), key.cookies(DN, &text).replace("v1.0", "v2.0")),
    ] {
        let got = send(&client, method.clone(), sent_target, sent_body, &cookies).await;
        assert_eq!(got.status, 403, "{method} {sent_target} {sent_body} {cookies}");
    }
}

#[tokio::test]
async fn path_may_be_signed_encoded_decoded_or_folded() {
    let key = Key::generate();
    let simulator = start_with_key(&key);
    let client = Client::new(&simulator);
    let sent = "/api/class/fvTenant.json?query-target-filter=eq(fvTenant.name,%22common%22)";

    for signed in [sent.to_owned(), sent.replace("%22", "\"")] {
        let got = send(&client, Method::GET, sent, "", &key.cookies(DN, &format!("GET{signed}"))).await;
        assert_eq!((got.status, got.total_count()), (200, 1), "{signed}");
    }
    let cookies = key.cookies(DN, "GET/api/class/fvTenant.json");
    assert_eq!(send(&client, Method::GET, "/api//class/fvTenant.json?", "", &cookies).await.status, 200);
}

#[tokio::test]
async fn public_key_alone_is_as_good_as_a_certificate() {
    let key = Key::generate();
    let user = SimulatorUser::new("robot").with_certificate("key1", &key.public);
    let simulator = start_with(SimulatorOptions::default().with_user(user));

    let cookies = key.cookies(DN, "GET/api/class/fvTenant.json");
    let got = send(&Client::new(&simulator), Method::GET, "/api/class/fvTenant.json", "", &cookies).await;

    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn signed_request_cannot_subscribe() {
    let key = Key::generate();
    let simulator = start_with_key(&key);

    let target = "/api/class/fvTenant.json?subscription=yes";
    let got = send(&Client::new(&simulator), Method::GET, target, "", &key.cookies(DN, &format!("GET{target}"))).await;

    assert_eq!(got.status, 400);
    assert_eq!(simulator.subscriptions(), 0);
}

#[tokio::test]
async fn app_gets_a_token_in_the_body_and_not_as_a_cookie() {
    let key = Key::generate();
    let app = SimulatorUser::new("acme_app").as_app().with_certificate("key1", &key.certificate);
    let person = SimulatorUser::new("robot").with_certificate("key1", &key.certificate);
    let simulator = start_with(SimulatorOptions::default().with_user(app).with_user(person));
    let mut client = Client::new(&simulator);
    let (target, body) = ("/api/requestAppToken.json", r#"{"aaaAppToken":{"attributes":{"appName":"acme_app"}}}"#);
    let text = format!("POST{target}{body}");

    let got =
        send(&client, Method::POST, target, body, &key.cookies("uni/userext/appuser-acme_app/usercert-key1", &text))
            .await;

    assert_eq!(got.status, 200, "{got:?}");
    assert!(!got.headers.contains_key(SET_COOKIE));
    client.token = Some(token_of(&got));
    assert_eq!(client.get("/api/class/fvTenant.json").await.status, 200);
    client.token = None;
    assert_eq!(send(&client, Method::POST, target, body, &key.cookies(DN, &text)).await.status, 403);
}

#[test]
fn certificate_that_is_none_is_an_error_of_the_start() {
    let user = SimulatorUser::new("robot")
        .with_certificate("key1", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    let error = Simulator::start(SimulatorOptions::default().with_user(user)).unwrap_err();

    assert!(matches!(error, SimulatorError::UserCertificate { .. }), "{error:?}");
}
