//! A directory that checks passwords, by LDAP.
//!
//! A login finds the entry with the server's own account, then binds as that entry with the password that was given.
//! What goes into a filter is escaped as RFC 4515 says. An empty password is refused before anything is sent: to a
//! directory, a bind with a name and no password is an anonymous one, which succeeds for everybody.

mod connection;
mod login;

use ldap3::SearchEntry;

use super::outside::Outsider;
use super::settings::LdapSettings;

pub(crate) use connection::{Connection, LdapFailure};
pub(crate) use login::login;

/// Somebody in the directory.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) dn: String,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
}

/// A group in the directory.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) dn: String,
    pub(crate) name: String,
    pub(crate) members: usize,
}

impl Person {
    fn of(settings: &LdapSettings, entry: &SearchEntry) -> Self {
        Self {
            dn: entry.dn.clone(),
            username: first(entry, &settings.attribute_username),
            email: first(entry, &settings.attribute_email),
            first_name: first(entry, &settings.attribute_first_name),
            last_name: first(entry, &settings.attribute_last_name),
        }
    }

    /// Returns what the directory says of the user whose groups these are.
    fn as_outsider(&self, settings: &LdapSettings, groups: &[Group]) -> Outsider {
        let is_in = |wanted: &String| groups.iter().any(|group| group.is(wanted));
        Outsider {
            username: self.username.clone(),
            email: self.email.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            is_admin: settings.admin_group.as_ref().map(is_in),
        }
    }
}

impl Group {
    fn of(entry: &SearchEntry) -> Self {
        let members = ["member", "uniqueMember", "memberUid"].map(|name| values(entry, name).len()).iter().sum();
        Self { dn: entry.dn.clone(), name: first(entry, "cn"), members }
    }

    /// Returns whether a setting means this group, by its name or its DN.
    fn is(&self, wanted: &str) -> bool {
        self.name.to_lowercase() == wanted.to_lowercase() || self.dn.to_lowercase() == wanted.to_lowercase()
    }
}

/// Directories write the names of attributes in their own case.
fn values<'a>(entry: &'a SearchEntry, attribute: &str) -> &'a [String] {
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    found.map_or(&[], |(_, values)| values)
}

fn first(entry: &SearchEntry, attribute: &str) -> String {
    values(entry, attribute).first().cloned().unwrap_or_default()
}

/// Puts values into the places of a filter, escaped; a value that looks like a place stays a value.
fn fill(filter: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = filter;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        let place = values.iter().find(|(name, _)| rest[1..].starts_with(&format!("{name}}}")));
        let length = match place {
            Some((name, value)) => {
                filled.push_str(&ldap3::ldap_escape(*value));
                name.len() + 2
            }
            None => {
                filled.push('{');
                1
            }
        };
        rest = &rest[length..];
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_filters_are_only_values() {
        let fill = |value| fill("(&(uid={username})(x={other}))", &[("username", value)]);

        assert_eq!(fill("mara"), "(&(uid=mara)(x={other}))");
        assert_eq!(fill("*)(uid=*"), "(&(uid=\\2a\\29\\28uid=\\2a)(x={other}))");
        assert_eq!(fill("a\\b\0"), "(&(uid=a\\5cb\\00)(x={other}))");
        assert_eq!(fill("{username}"), "(&(uid={username})(x={other}))");
    }

    #[test]
    fn a_value_never_becomes_a_place_of_another() {
        let filled = fill("(|(member={dn})(memberUid={username}))", &[("username", "{dn}"), ("dn", "cn={username}")]);

        assert_eq!(filled, "(|(member=cn={username})(memberUid={dn}))");
    }
}
