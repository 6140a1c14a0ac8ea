//! A provider that others wrote, and a browser in front of it.
//!
//! It is installed from `tests/oidc/package-lock.json` into the build folder, once.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use url::Url;

use crate::environment;

pub(super) struct RealProvider {
    child: Child,
    /// What it goes on to print; closing that would end it.
    _out: BufReader<ChildStdout>,
    issuer: String,
}

impl RealProvider {
    /// Starts a provider that sends browsers back to one address.
    pub(super) fn start(redirect: &str) -> Self {
        let mut child = Command::new("node")
            .arg(folder().join("provider.js"))
            .arg(redirect)
            .current_dir(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Node.js 20 or later");
        let mut issuer = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !issuer.starts_with("http") {
            issuer.clear();
            assert!(out.read_line(&mut issuer).unwrap() > 0, "the provider does not start");
        }
        Self { child, _out: out, issuer: issuer.trim().to_owned() }
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("oidc.corp.issuer", self.issuer.clone()),
            ("oidc.corp.label", "Corporate login".to_owned()),
            ("oidc.corp.client_id", "fabrik".to_owned()),
            ("oidc.corp.client_secret", "provider secret".to_owned()),
            ("oidc.corp.admin_group", "admins".to_owned()),
        ]
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the folder with the provider and what it needs.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        let folder = environment::node("oidc-provider", &source);
        fs::copy(source.join("provider.js"), folder.join("provider.js")).unwrap();
        folder
    })
}

/// A browser: it keeps cookies, follows redirects and fills in forms.
#[derive(Default)]
pub(super) struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Logs in as somebody, agrees to everything, and returns the address that the provider sends back to.
    pub(super) async fn log_in(&mut self, start: &Url, subject: &str) -> Url {
        let host = start.host_str().map(str::to_owned);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let mut request = client.get(start.clone());
        for _ in 0..20 {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let response = request.header("cookie", cookies.join("; ")).send().await.unwrap();
            for cookie in response.headers().get_all("set-cookie") {
                let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
            let here = response.url().clone();
            if let Some(location) = response.headers().get("location") {
                let next = here.join(location.to_str().unwrap()).unwrap();
                if next.host_str().map(str::to_owned) != host {
                    return next;
                }
                request = client.get(next);
                continue;
            }
            let page = response.text().await.unwrap();
            let action = here.join(between(&page, "action=\"", "\"")).unwrap();
            let prompt = between(&page, "name=\"prompt\" value=\"", "\"");
            let form = format!("prompt={prompt}&login={subject}&password=any");
            request = client.post(action).header("content-type", "application/x-www-form-urlencoded").body(form);
        }
        panic!("the provider sends the browser in circles");
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.find(before).unwrap_or_else(|| panic!("{before} is not in {text}")) + before.len();
    text[start..].split(after).next().unwrap()
}
