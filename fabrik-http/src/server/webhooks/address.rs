//! Where webhooks may lead: not into the network of the server, unless the setting says so.
//!
//! Who may make a webhook could otherwise let the server ask what only the server can reach. The address is checked when
//! it is given and, as names may lead elsewhere by then, at every delivery: what was resolved is what is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Networks that are not part of the public internet:
/// <https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry.xhtml>.
const CLOSED_V4: &[Ipv4Net] = &[
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 3),
];

/// The public part of IPv6, and what in it is not public:
/// <https://www.iana.org/assignments/iana-ipv6-special-registry/iana-ipv6-special-registry.xhtml>.
const OPEN_V6: Ipv6Net = v6([0x2000, 0], 3);
const CLOSED_V6: &[Ipv6Net] =
    &[v6([0x2001, 0], 23), v6([0x2001, 0xdb8], 32), v6([0x2002, 0], 16), v6([0x3fff, 0], 20), v6([0x3ffe, 0], 16)];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b]: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// Says whether an address belongs to the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public(inner.into()),
            None => OPEN_V6.contains(&address) && !CLOSED_V6.iter().any(|network| network.contains(&address)),
        },
    }
}

/// Returns the IPv4 address that is meant: mapped (`::ffff:0:0/96`), or behind a translator (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let is_translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let inner = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    if is_translated { Some(inner) } else { address.to_ipv4_mapped() }
}

/// Reads the address of a webhook, or says in a sentence what is wrong with it.
pub(crate) fn check_url(text: &str, allow_private: bool) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "Enter a valid URL.")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("The address must begin with https:// or http://.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("The address must not hold a name or a password.");
    }
    let is_open = match url.host() {
        None => return Err("Enter a valid URL."),
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name.contains('.') && name != "localhost" && !name.ends_with(".localhost")
        }
    };
    if is_open || allow_private {
        Ok(url)
    } else {
        Err("The address must not lead into a private network; the setting webhooks.allow_private would let it.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:169.254.169.254]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:db8::1]",
            "[::127.0.0.1]",
            "[fec0::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "intranet",
            "127。0。0。1",
            "①②⑦.0.0.1",
        ] {
            let url = format!("https://{host}/hook");
            assert!(check_url(&url, false).is_err(), "{url}");
            if !host.contains("intranet") {
                assert!(check_url(&url, true).is_ok(), "{url}");
            }
        }
    }

    #[test]
    fn public_addresses_are_taken() {
        for url in [
            "https://hooks.example.com/x?y=1",
            "http://8.8.8.8:8080/",
            "https://[2606:4700::1111]/",
            "https://172.32.0.1/",
            "https://[::ffff:8.8.8.8]/",
            "https://[64:ff9b::808:808]/",
            "https://bücher.example/",
        ] {
            assert!(check_url(url, false).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_the_web_is_refused_always() {
        for url in [
            "",
            "hooks.example.com",
            "ftp://hooks.example.com",
            "file:///etc/passwd",
            "gopher://x.y",
            "https://",
            "https://mara:secret@hooks.example.com/",
            "https://mara@hooks.example.com/",
            "javascript:alert(1)",
        ] {
            assert!(check_url(url, true).is_err(), "{url}");
        }
    }
}
