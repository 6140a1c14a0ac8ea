//! The answers to a login and to its renewal.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::error::{ApicError, ApicResult};
use crate::secret::Secret;

/// A session's end when a controller does not name it: the shortest that controllers are known to have.
const ASSUMED_REFRESH: Duration = Duration::from_secs(600);
const ASSUMED_LIFETIME: Duration = Duration::from_secs(86_400);

/// What a controller says of itself when somebody logs in; parts that it did not say are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Controller {
    /// Its software, such as `5.2(2f)`.
    pub version: String,
    /// Its place in the fabric, such as `topology/pod-1/node-1`.
    pub node: String,
    /// The name it knows the user by.
    pub user: String,
}

/// A session as the controller grants it.
pub(super) struct Granted {
    pub(super) token: Secret,
    /// How long the session lives without being renewed.
    pub(super) refresh_within: Duration,
    /// How long it lives at most.
    pub(super) lives_for: Duration,
    pub(super) controller: Controller,
}

/// Reads the answer to a login or a renewal.
pub(super) fn read(path: &str, user: &str, status: u16, body: &[u8]) -> ApicResult<Granted> {
    let unreadable = |problem: &str| {
        let (path, body) = (path.to_owned(), problem.to_owned());
        if status == 200 { ApicError::Answer { path, problem: body } } else { ApicError::Http { path, status, body } }
    };
    let reply: Reply =
        serde_json::from_slice(body).map_err(|_| unreadable("something that is no JSON of a controller"))?;
    match reply.imdata.into_iter().next() {
        Some(Item::AaaLogin(login)) if status == 200 => Ok(login.attributes.into()),
        Some(Item::Error(error)) if matches!(status, 401 | 403) => {
            let Failed { code, text } = error.attributes;
            Err(ApicError::LoginRefused { user: user.to_owned(), code, text })
        }
        Some(Item::Error(error)) => {
            let Failed { code, text } = error.attributes;
            Err(ApicError::Controller { path: path.to_owned(), status, code, text })
        }
        _ => Err(unreadable("it is not the answer to a login")),
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    imdata: Vec<Item>,
}

#[derive(Deserialize)]
enum Item {
    #[serde(rename = "aaaLogin")]
    AaaLogin(Object<Login>),
    #[serde(rename = "error")]
    Error(Object<Failed>),
}

#[derive(Deserialize)]
struct Object<T> {
    attributes: T,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(default)]
    code: String,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    token: String,
    #[serde(default, deserialize_with = "seconds")]
    refresh_timeout_seconds: Option<Duration>,
    #[serde(default, deserialize_with = "seconds")]
    maximum_lifetime_seconds: Option<Duration>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    node: String,
    #[serde(default)]
    user_name: String,
}

impl From<Login> for Granted {
    fn from(login: Login) -> Self {
        Self {
            token: Secret::new(login.token),
            refresh_within: login.refresh_timeout_seconds.unwrap_or(ASSUMED_REFRESH),
            lives_for: login.maximum_lifetime_seconds.unwrap_or(ASSUMED_LIFETIME),
            controller: Controller { version: login.version, node: login.node, user: login.user_name },
        }
    }
}

/// Reads a number of seconds, which controllers write as text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_keeps_the_words_of_the_controller() {
        let body = br#"{"totalCount":"1","imdata":[{"error":{"attributes":{"code":"401","text":"Username or password is incorrect - FAILED local authentication"}}}]}"#;

        let error = read("/api/aaaLogin.json", "admin", 401, body).err().unwrap().to_string();

        assert_eq!(
            error,
            "the controller refused the login of admin: Username or password is incorrect - FAILED local authentication (error 401)"
        );
    }

    #[test]
    fn a_session_without_times_is_renewed_all_the_same() {
        let body = br#"{"imdata":[{"aaaLogin":{"attributes":{"token":"a/b=","refreshTimeoutSeconds":"0","version":"5.2(2f)"},"children":[{"aaaUserDomain":{"attributes":{}}}]}}]}"#;

        let granted = read("/api/aaaLogin.json", "admin", 200, body).ok().unwrap();

        assert_eq!(granted.refresh_within, ASSUMED_REFRESH);
        assert_eq!(granted.controller.version, "5.2(2f)");
        assert_eq!(granted.token.reveal(), "a/b=");
    }

    #[test]
    fn a_page_of_another_server_is_no_login() {
        let error = read("/api/aaaLogin.json", "admin", 502, b"<html>Bad Gateway</html>").err().unwrap().to_string();

        assert_eq!(
            error,
            "/api/aaaLogin.json was answered with HTTP 502 and something that is no JSON of a controller"
        );
    }
}
