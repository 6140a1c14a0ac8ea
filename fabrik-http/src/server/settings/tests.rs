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

#[test]
fn a_setting_with_a_name_in_it_is_there_once_for_each_name() {
    let mut layers = layers(&[("oidc.corp.issuer", "https://login.lab/"), ("oidc.corp.client_id", "fabrik")]);
    layers.read_environment([
        ("FABRIK_OIDC_CORP_CLIENT_SECRET".into(), "geheim-geheim".into()),
        ("FABRIK_OAUTH2_MY_FORGE_CLIENT_ID".into(), "7".into()),
        ("FABRIK_OIDC__ISSUER".into(), "no name".into()),
    ]);

    let rows: Vec<_> = layers.shown().into_iter().map(|shown| format!("{}={}", shown.key, shown.value)).collect();
    for row in ["oidc.corp.client_secret=********", "oauth2.my-forge.client_id=7", "oidc.<name>.label="] {
        assert!(rows.iter().any(|other| other == row), "{row}: {rows:?}");
    }
    assert!(!rows.iter().any(|row| row.starts_with("oidc.<name>.issuer") || row.contains("geheim")), "{rows:?}");
    let refused = Settings::from_layers(&layers).unwrap_err().to_string();
    assert!(refused.starts_with("oauth2.my-forge.authorize_url from default is not set"), "{refused}");
    for key in ["oidc.issuer", "oidc.*.issuer", "oidc.A.issuer", "oidc.a.b.issuer", "oidc.a/b.issuer", "oidc..issuer"] {
        assert!(layers.set(key, "x", Origin::Default).is_err(), "{key}");
    }
}

#[test]
fn providers_have_their_defaults_and_names_of_their_own() {
    let corp = [("oidc.corp.issuer", "https://login.lab/"), ("oidc.corp.client_id", "fabrik")];
    let settings = Settings::from_layers(&layers(&corp)).unwrap();

    let [provider] = settings.providers.as_slice() else { panic!("{:?}", settings.providers) };
    assert_eq!((provider.name.as_str(), provider.label.as_str()), ("corp", "corp"));
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    assert!(provider.allow_signup && provider.username_claim == "preferred_username");
    let twice = [
        corp[0],
        corp[1],
        ("oauth2.corp.authorize_url", "https://forge.lab/a"),
        ("oauth2.corp.token_url", "https://forge.lab/t"),
        ("oauth2.corp.userinfo_url", "https://forge.lab/u"),
        ("oauth2.corp.client_id", "7"),
    ];
    assert!(refusal(&twice).contains("another name"), "{}", refusal(&twice));
    assert!(refusal(&[("oidc.corp.issuer", "login.lab"), corp[1]]).contains("an address like https://login.lab"));
}

#[test]
fn a_directory_that_makes_no_sense_is_refused() {
    let with = |more: &[(&str, &str)]| {
        let mut pairs = vec![("ldap.url", "ldap://dir.lab"), ("ldap.user_base", "dc=lab")];
        pairs.extend(more);
        Settings::from_layers(&layers(&pairs)).map_err(|error| error.to_string())
    };

    assert!(with(&[]).unwrap().ldap.is_some());
    for (pairs, named) in [
        (&[("ldap.url", "http://dir.lab")][..], "ldap.url"),
        (&[("ldap.url", "ldap://dir.lab/dc=lab")], "ldap.url"),
        (&[("ldap.url", "ldaps://dir.lab"), ("ldap.start_tls", "true")], "ldap.start_tls"),
        (&[("ldap.bind_dn", "cn=reader")], "ldap.bind_password"),
        (&[("ldap.bind_password", "x")], "ldap.bind_dn"),
        (&[("ldap.user_base", "")], "ldap.user_base"),
        (&[("ldap.user_filter", "(uid=mara)")], "ldap.user_filter"),
        (&[("ldap.user_filter", "uid={username})")], "ldap.user_filter"),
        (&[("ldap.admin_group", "admins")], "ldap.group_base"),
        (&[("ldap.timeout_seconds", "0")], "ldap.timeout_seconds"),
    ] {
        let refused = with(pairs).unwrap_err();
        assert!(refused.starts_with(named), "{pairs:?}: {refused}");
    }
}

#[test]
fn the_path_of_traces_is_added_where_it_is_not_there() {
    for (given, used) in [
        ("http://collector.lab:4318", "http://collector.lab:4318/v1/traces"),
        ("http://collector.lab/otlp/", "http://collector.lab/otlp/v1/traces"),
        ("https://collector.lab/v1/traces", "https://collector.lab/v1/traces"),
    ] {
        let settings = Settings::from_layers(&layers(&[("telemetry.otlp_endpoint", given)])).unwrap();
        assert_eq!(settings.telemetry.unwrap().endpoint.as_str(), used);
    }
    assert!(Settings::from_layers(&Layers::defaults()).unwrap().telemetry.is_none());
}

#[test]
fn the_password_in_the_address_of_the_store_is_not_shown() {
    let mut layers = Layers::defaults();
    layers.set("store", "postgres://mara:geheim@db.lab:port/fabrik", Origin::Default).unwrap();

    let shown = layers.shown().into_iter().find(|shown| shown.setting.key == "store").unwrap();
    let refused = Settings::from_layers(&layers).unwrap_err();

    assert_eq!(shown.value, "********");
    assert!(refused.to_string().contains("store") && !format!("{refused} {refused:?}").contains("geheim"));
}
