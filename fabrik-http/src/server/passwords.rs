//! Passwords: hashed with argon2id, and strong enough.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use hashbrown::HashSet;
use tokio::sync::Semaphore;

use super::error::ApiError;

/// The least number of characters.
const LEAST: usize = 8;
/// More is no password, and hashing it only costs.
const MOST: usize = 256;

/// What hashes and checks passwords, a few at a time: each takes 19 MiB and some 25 ms.
#[derive(Debug)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// How many were hashed or checked so far: what a test compares instead of times.
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicU64,
}

impl Passwords {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(threads)),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// Hashes a password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        let password = password.to_owned();
        self.run(move || hash(&password)).await
    }

    /// Returns whether a password is the one that was hashed.
    ///
    /// Where there is no hash, one that fits no password is checked, so that the time tells nothing.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, ApiError> {
        let hash = hash.filter(|hash| !hash.is_empty()).map_or_else(|| NOBODY.clone(), str::to_owned);
        let password = password.to_owned();
        self.run(move || {
            let Ok(parsed) = PasswordHash::new(&hash) else { return false };
            password.len() <= MOST * 4 && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
        })
        .await
    }

    /// Makes codes that are too short for a fast hash as costly to guess as passwords; equal codes give equal bytes.
    pub(crate) async fn stretch(&self, codes: Vec<String>, salt: [u8; 16]) -> Result<Vec<Vec<u8>>, ApiError> {
        self.run(move || codes.iter().map(|code| stretch(code, &salt)).collect()).await
    }

    /// Returns how many times something was hashed or checked.
    #[cfg(test)]
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed.load(std::sync::atomic::Ordering::SeqCst)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        #[cfg(test)]
        self.hashed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        work.await.map_err(|error| ApiError::Internal(error.into()))
    }
}

fn hash(password: &str) -> String {
    Argon2::default().hash_password(password.as_bytes()).expect("the parameters are the defaults").to_string()
}

fn stretch(code: &str, salt: &[u8; 16]) -> Vec<u8> {
    let mut stretched = vec![0; 32];
    Argon2::default()
        .hash_password_into(code.as_bytes(), salt, &mut stretched)
        .expect("the lengths of code, salt and output are within what argon2 takes");
    stretched
}

/// The hash of a password that nobody has.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&super::secrets::random_token()));

/// Computes the hash that stands for accounts that are not there, before somebody could time it.
pub(crate) fn warm_up() {
    LazyLock::force(&NOBODY);
}

/// Returns what is weak about a password, as sentences; `about` is what others know of the user.
pub(crate) fn weaknesses(password: &str, about: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let length = password.chars().count();
    if length < LEAST {
        found.push(format!("This password is too short. It must contain at least {LEAST} characters."));
    }
    if length > MOST {
        found.push(format!("This password is too long. It must contain at most {MOST} characters."));
    }
    let lower = password.to_lowercase();
    if COMMON.contains(lower.as_str()) || has_few_characters(&lower) {
        found.push("This password is too common.".to_owned());
    }
    if !password.is_empty() && password.chars().all(char::is_numeric) {
        found.push("This password is entirely numeric.".to_owned());
    }
    let is_near = |known: &&str| {
        let known = known.to_lowercase();
        known.chars().count() >= 4 && (lower.contains(&known) || known.contains(&lower) && length >= 4)
    };
    if about.iter().flat_map(|text| text.split(['@', '.', ' ', '-', '_']).chain([*text])).any(|part| is_near(&part)) {
        found.push("The password is too similar to what is known of the user.".to_owned());
    }
    found
}

/// Says whether it is two characters or fewer, repeated.
fn has_few_characters(text: &str) -> bool {
    text.chars().collect::<HashSet<_>>().len() <= 2
}

/// The passwords that are tried first, of eight characters or more; shorter ones are refused anyway.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("passwords/common.txt").lines().filter(|line| !line.is_empty()).collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_for_their_reasons() {
        for (password, reason) in [
            ("short1", "too short"),
            ("Password123", "too common"),
            ("abababababab", "too common"),
            ("8349572039485", "entirely numeric"),
            ("mara.keller1", "too similar"),
            ("xkeller9921", "too similar"),
        ] {
            let found = weaknesses(password, &["mara.keller", "mara@lab.example"]);
            assert!(found.iter().any(|sentence| sentence.contains(reason)), "{password}: {found:?}");
        }
        assert_eq!(weaknesses("Correct horse, battery", &["mara", ""]), Vec::<String>::new());
        assert!(!weaknesses(&"ab1".repeat(100), &[]).is_empty());
    }

    #[tokio::test]
    async fn only_the_password_that_was_hashed_fits() {
        let passwords = Passwords::new(2);

        let hash = passwords.hash("Correct horse").await.unwrap();

        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify("Correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("", None).await.unwrap());
        assert!(!passwords.verify("", Some("")).await.unwrap());
    }
}
