//! The address of a controller as people write it.

use url::Url;

const EXPECTED: &str =
    "Expected the address of a controller, such as https://apic1.example.net, without a user, a path or a query.";

/// Returns scheme, name and port of an address, or what is wrong with it. What is wrong is not repeated: an address may
/// hold a password.
pub(crate) fn normalize(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let written = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    // The reader of addresses passes over slashes that are too many.
    if written.contains(":///")
        || written.contains(|letter: char| letter.is_control() || letter.is_whitespace() || "\\@?#".contains(letter))
    {
        return Err(EXPECTED);
    }
    let url = Url::parse(&written).map_err(|_| EXPECTED)?;
    let is_plain = matches!(url.scheme(), "https" | "http") && url.has_host() && url.path() == "/";
    if is_plain { Ok(url.origin().ascii_serialization()) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_what_means_nothing() {
        for (text, expected) in [
            ("apic1.lab", "https://apic1.lab"),
            (" https://APIC1.lab/ ", "https://apic1.lab"),
            ("https://apic1.lab:443", "https://apic1.lab"),
            ("apic1.lab:8443", "https://apic1.lab:8443"),
            ("http://10.0.0.1", "http://10.0.0.1"),
            ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ] {
            assert_eq!(normalize(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for text in [
            "",
            "https://",
            "ftp://apic1",
            "https://apic1/api",
            "https://mara:hunter2@apic1",
            "apic1?x=1",
            "apic1#x",
            "a b",
            "https://apic1\\@evil",
            "https://apic1\r\nx",
            "//apic1",
        ] {
            assert_eq!(normalize(text), Err(EXPECTED), "{text:?}");
        }
    }
}
