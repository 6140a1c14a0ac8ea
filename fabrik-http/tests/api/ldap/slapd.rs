//! A directory server in a folder of its own; it ends with the test.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ldap3::{LdapConnAsync, Mod};
use tempfile::TempDir;

/// What the server demands of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// It has no certificate.
    None,
    /// It takes no password over a connection that is not encrypted.
    Required,
}

pub(crate) struct Slapd {
    child: Child,
    folder: TempDir,
    ports: [u16; 2],
}

impl Slapd {
    /// Starts a directory of 302 people and two groups, which gives at most 50 entries to who asks for no pages.
    pub(crate) fn start(tls: Tls) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::create_dir(place.join("data")).unwrap();
        let (certificate, key) = certificate();
        std::fs::write(place.join("cert.pem"), certificate).unwrap();
        std::fs::write(place.join("key.pem"), key).unwrap();
        std::fs::write(place.join("data.ldif"), data()).unwrap();
        std::fs::write(place.join("slapd.conf"), config(place, tls)).unwrap();
        let configuration = place.join("slapd.conf");
        let added = Command::new("/usr/sbin/slapadd")
            .arg("-f")
            .arg(&configuration)
            .arg("-l")
            .arg(place.join("data.ldif"))
            .output()
            .expect("these tests need Debian's package slapd");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = [free(), free()];
        let ports = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap().port());
        drop(listeners);
        let urls = format!("ldap://127.0.0.1:{} ldaps://127.0.0.1:{}", ports[0], ports[1]);
        let urls = if tls == Tls::None { urls.split(' ').next().unwrap() } else { &urls };
        // A level of its own keeps it in the foreground.
        let mut child = Command::new("/usr/sbin/slapd")
            .args(["-d", "0", "-h", urls, "-f"])
            .arg(&configuration)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "slapd does not listen");
            std::thread::yield_now();
        }
        Self { child, folder, ports }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        // A certificate is for a name.
        format!("{scheme}://localhost:{}", self.ports[usize::from(scheme == "ldaps")])
    }

    /// Returns the settings of a server that uses this directory.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let text = |key, value: &str| (key, value.to_owned());
        vec![
            ("ldap.url", self.url("ldap")),
            ("ldap.ca", self.folder.path().join("cert.pem").display().to_string()),
            text("ldap.bind_dn", "cn=reader,dc=lab"),
            text("ldap.bind_password", "reader's password"),
            text("ldap.user_base", "ou=people,dc=lab"),
            text("ldap.group_base", "ou=groups,dc=lab"),
        ]
    }

    /// Writes a file that lives as long as the directory, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) async fn add_value(&self, dn: &str, attribute: &str, value: &str) {
        self.change(dn, Mod::Add(attribute, [value].into())).await;
    }

    pub(crate) async fn remove_value(&self, dn: &str, attribute: &str, value: &str) {
        self.change(dn, Mod::Delete(attribute, [value].into())).await;
    }

    pub(crate) async fn replace(&self, dn: &str, attribute: &str, value: &str) {
        self.change(dn, Mod::Replace(attribute, [value].into())).await;
    }

    async fn change(&self, dn: &str, change: Mod<&str>) {
        let (connection, mut ldap) = LdapConnAsync::new(&self.url("ldap")).await.unwrap();
        tokio::spawn(connection.drive());
        ldap.simple_bind("cn=root,dc=lab", "root's password").await.unwrap().success().unwrap();
        ldap.modify(dn, vec![change]).await.unwrap().success().unwrap();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a certificate for this machine and its key.
pub(crate) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn config(place: &Path, tls: Tls) -> String {
    let place = place.display();
    let (certificate, security) = match tls {
        Tls::None => (String::new(), ""),
        Tls::Required => {
            let files = format!("TLSCertificateFile {place}/cert.pem\nTLSCertificateKeyFile {place}/key.pem");
            (files, "security simple_bind=128")
        }
    };
    // `bind_anon_cred` is what makes an empty password dangerous.
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {place}/slapd.pid
allow bind_anon_cred
{certificate}
{security}
sizelimit size.soft=50 size.hard=50 size.pr=unlimited size.prtotal=unlimited
database mdb
suffix dc=lab
rootdn cn=root,dc=lab
rootpw \"root's password\"
directory {place}/data
maxsize 16777216
index uid,cn,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=reader,dc=lab read by * none
"
    )
}

fn data() -> String {
    let mut text = "dn: dc=lab
objectClass: dcObject
objectClass: organization
dc: lab
o: lab

dn: cn=reader,dc=lab
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader's password

dn: ou=people,dc=lab
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=lab
objectClass: organizationalUnit
ou: groups

dn: cn=admins,ou=groups,dc=lab
objectClass: groupOfNames
cn: admins
member: cn=reader,dc=lab

dn: cn=staff,ou=groups,dc=lab
objectClass: groupOfNames
cn: staff
member: uid=mara,ou=people,dc=lab
"
    .to_owned();
    let mut person = |uid: &str, first: &str, last: &str| {
        let password = format!("{uid}'s password");
        write!(
            text,
            "\ndn: uid={uid},ou=people,dc=lab\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {first} {last}\n\
             givenName: {first}\nsn: {last}\nmail: {uid}@lab.example\nuserPassword: {password}\n"
        )
        .unwrap();
    };
    person("mara", "Mara", "Lind");
    person("ben", "Ben", "Okafor");
    for number in 0..300 {
        person(&format!("user{number}"), "User", &number.to_string());
    }
    text
}
