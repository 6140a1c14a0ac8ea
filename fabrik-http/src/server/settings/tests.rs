use super::*;

fn layers(pairs: &[(&str, &str)]) -> Layers {
    let mut layers = Layers::defaults();
    for (key, value) in pairs {
        layers.set(key, value, Origin::Flag("--set".into())).unwrap();
    }
    layers
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    Settings::from_layers(&layers(pairs)).unwrap_err().to_string()
}

#[test]
fn defaults_make_sense() {
    let settings = Settings::from_layers(&Layers::defaults()).unwrap();

    assert_eq!(settings.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(settings.database.to_string(), "sqlite:fabrik-server.db");
    assert!(settings.cors_origins.is_empty() && settings.tls.is_none() && settings.admin.is_none());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fabrik.toml");
    std::fs::write(&file, "listen = '10.0.0.1:1'\nsite_url = 'http://file'\n[rate_limit]\nlogin = '1/day'\n").unwrap();
    let mut layers = Layers::defaults();

    layers.read_file(&file).unwrap();
    layers.read_environment([
        ("FABRIK_SITE_URL".into(), "http://environment".into()),
        ("SITE_URL".into(), "http://other".into()),
        ("FABRIK_LISTEN".into(), "10.0.0.2:2".into()),
        ("RATE_LIMIT_MFA".into(), "2/day".into()),
    ]);
    layers.set("listen", "10.0.0.3:3", Origin::Flag("--listen".into())).unwrap();

    let shown: Vec<_> = layers
        .shown()
        .into_iter()
        .filter(|shown| shown.origin != Origin::Default)
        .map(|shown| format!("{} {} {}", shown.setting.key, shown.value, shown.origin))
        .collect();
    let file = file.display();
    assert_eq!(
        shown,
        [
            "listen 10.0.0.3:3 --listen".to_owned(),
            "site_url http://environment FABRIK_SITE_URL".to_owned(),
            format!("rate_limit.login 1/day {file}"),
            "rate_limit.mfa 2/day RATE_LIMIT_MFA".to_owned(),
        ]
    );
}

#[test]
fn secrets_are_never_shown() {
    let secret = "correct-horse-battery";
    let layers = layers(&[("admin.password", secret), ("secret_key", secret)]);

    let everything = format!("{:?} {layers:?} {}", layers.shown(), Settings::from_layers(&layers).unwrap_err());

    assert!(!everything.contains(secret), "{everything}");
    assert!(everything.contains("********"));
}

#[test]
fn bad_values_are_named_with_their_origin() {
    assert_eq!(
        refusal(&[("listen", "here")]),
        "listen from --set is \"here\": expected an address with a port, like 127.0.0.1:8000"
    );
    assert_eq!(
        refusal(&[("tls.key", "k.pem")]),
        "tls.certificate from default is not set: expected a file, as tls.key is given"
    );
    assert!(refusal(&[("rate_limit.login", "often")]).starts_with("rate_limit.login from --set is \"often\""));
    assert!(refusal(&[("site_url", "https://a/b")]).contains("without a path"));
}

#[test]
fn files_with_unknown_names_or_bad_syntax_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fabrik.toml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Layers::defaults().read_file(&file).unwrap_err().to_string()
    };

    assert!(read("[tls]\ncert = 'a'").ends_with("sets tls.cert, which is no setting"));
    let syntax = read("listen = '1'\nsecret_key = hunter2 hunter2");
    assert!(syntax.contains("line 2") && !syntax.contains("hunter2"), "{syntax}");
}
