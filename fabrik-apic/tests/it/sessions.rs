//! Logins, their renewal, domains, certificates and secrets.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use fabrik_apic::simulator::{Fault, FaultRule, Refusal, SimulatorUser};
use fabrik_apic::{Client, Credentials, Secret};

use crate::fabric::{Fabric, PASSWORD, admin, connection, plain};

const LOGIN: &str = "/api/aaaLogin";
const REFRESH: &str = "/api/aaaRefresh";

#[test]
fn many_requests_at_once_share_one_login() {
    let mut fabric = Fabric::new(3000);
    fabric.options.page_size = Some(50);
    fabric.options.parallel = 8;

    fabric.capture("/api/class/fvCEp.json").unwrap();
    fabric.capture("/api/class/fvBD.json").unwrap();

    assert_eq!(fabric.requests_to(LOGIN), 1);
}

#[test]
fn a_forgotten_session_costs_one_login_however_many_noticed() {
    let mut fabric = Fabric::new(3000);
    fabric.options.page_size = Some(50);
    fabric.options.parallel = 8;
    fabric.capture("/api/class/fvCEp.json").unwrap();

    fabric.simulator.faults().expire_tokens();
    fabric.capture("/api/class/fvCEp.json").unwrap();

    assert_eq!(fabric.requests_to(LOGIN), 2);
}

#[test]
fn a_controller_that_forgets_every_session_is_an_error_after_one_new_login() {
    let mut fabric = Fabric::new(1000);
    fabric.simulator.faults().add(FaultRule::new(Fault::ExpiredToken).with_text("fvBD"));

    let error = fabric.capture("/api/class/fvBD.json").unwrap_err().to_string();

    assert!(error.contains("error 403 (HTTP 403): Token was invalid"), "{error}");
    assert_eq!(fabric.requests_to(LOGIN), 2);
}

#[test]
fn a_session_is_renewed_before_it_ends() {
    // A second is left between the time to renew and the end, also where machines are slow.
    let mut fabric = Fabric::with(plain().with_refresh_timeout(Duration::from_secs(4)));
    fabric.options.parallel = 1;
    let slow = FaultRule::new(Fault::Slow { delay: Duration::from_millis(300) }).with_text("fvCEp");
    fabric.simulator.faults().add(slow);
    fabric.options.page_size = Some(40);

    fabric.capture("/api/class/fvCEp.json").unwrap();

    assert_eq!(fabric.requests_to(LOGIN), 1);
    assert!(fabric.requests_to(REFRESH) >= 1);
    assert!(fabric.simulator.requests().iter().all(|served| served.status == 200));
}

#[test]
fn a_wrong_password_is_sent_once() {
    let fabric = Fabric::new(1000);
    let wrong = Credentials::Password { username: "admin".into(), domain: None, password: Secret::new("wr0ng-w0rds") };
    let client = Client::new(connection(&fabric.simulator), wrong).unwrap();

    let error = fabric.run(client.check()).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the controller refused the login of admin: Username or password is incorrect - FAILED local authentication (error 401)"
    );
    assert_eq!(fabric.simulator.requests().len(), 1);
    assert!(!format!("{error:?} {client:?}").contains("wr0ng-w0rds"));
}

#[test]
fn the_login_domain_is_part_of_the_name() {
    let fabric = Fabric::with(plain().with_login_domains(["tacacs"]));
    let of = |domain: &str| Credentials::Password {
        username: "admin".into(),
        domain: Some(domain.to_owned()),
        password: Secret::new(PASSWORD),
    };
    let check = |domain| {
        let client = Client::new(connection(&fabric.simulator), of(domain)).unwrap();
        fabric.run(client.check()).map_err(|error| error.to_string())
    };

    assert_eq!(check("tacacs").unwrap().user, "admin");
    let error = check("nowhere").unwrap_err();
    assert!(error.contains(r"apic:nowhere\admin"), "{error}");
}

#[test]
fn a_session_can_be_ended_and_begun_again() {
    let mut fabric = Fabric::new(1000);
    fabric.capture("/api/class/fvBD.json").unwrap();

    fabric.run(fabric.client.logout()).unwrap();
    fabric.run(fabric.client.logout()).unwrap();
    fabric.capture("/api/class/fvBD.json").unwrap();

    assert_eq!(fabric.requests_to("/api/aaaLogout"), 1);
    assert_eq!(fabric.requests_to(LOGIN), 2);
}

#[test]
fn signed_requests_need_no_login() {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let user = SimulatorUser::new("robot").with_certificate("fabrik", certificate.pem());
    let mut fabric = Fabric::with(plain().with_user(user));
    let signed = |key: &str| Credentials::Certificate {
        username: "robot".into(),
        certificate: "fabrik".into(),
        key: Secret::new(key),
    };
    fabric.client = Client::new(connection(&fabric.simulator), signed(&key.serialize_pem())).unwrap();

    for path in [
        "/api/class/fvCEp.json",
        "/api/class/fvBD.json?query-target-filter=and(eq(fvBD.arpFlood,\"yes\"),ne(fvBD.name,\"a b%26c\"))",
    ] {
        let captured = fabric.capture(path).unwrap();
        assert!(captured.snapshot.row_count > 0, "{path}");
    }
    assert_eq!(fabric.requests_to(LOGIN), 0);

    let other = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    fabric.client = Client::new(connection(&fabric.simulator), signed(&other.serialize_pem())).unwrap();
    let error = fabric.capture("/api/class/fvBD.json").unwrap_err().to_string();
    assert!(error.contains("403"), "{error}");
}

#[test]
fn a_key_that_is_none_is_refused_without_repeating_it() {
    let fabric = Fabric::new(1000);
    let key = Secret::new("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
    let credentials = Credentials::Certificate { username: "robot".into(), certificate: "fabrik".into(), key };

    let error = Client::new(connection(&fabric.simulator), credentials).unwrap_err().to_string();

    assert!(error.starts_with("private_key \"(not shown)\" is not valid: expected an RSA key"), "{error}");
}

#[test]
fn requests_keep_to_the_rate_that_was_set() {
    let fabric = Fabric::with(plain());
    let mut options = connection(&fabric.simulator);
    options.requests_per_second = NonZeroU32::new(20).unwrap();
    let client = Client::new(options, admin()).unwrap();
    let started = Instant::now();

    // The bucket holds the requests of one second; those of another one have to wait for it.
    let asked = (0..40).map(|_| client.check());
    fabric.run(async {
        for one in asked {
            one.await.unwrap();
        }
    });

    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
}

#[test]
fn a_controller_that_limits_requests_is_obeyed() {
    let limit = NonZeroU32::new(25).unwrap();
    let refusal = Refusal { status: 429, retry_after: Some(1) };
    let mut fabric = Fabric::with(plain().with_limit(limit, refusal));
    fabric.options.page_size = Some(100);
    let truth = fabric.truth("/api/class/fvCEp.json");

    let captured = fabric.capture("/api/class/fvCEp.json").unwrap();

    assert_eq!(captured.snapshot.version_hash, truth.version_hash);
}
