//! Characters that a format gives another meaning.

use super::Format;

/// Appends a value, escaped for its format.
pub(super) fn write(format: Format, value: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in value.iter().enumerate() {
        let mut unicode = *b"\\u0000";
        let escape: &[u8] = match (format, byte) {
            (Format::Json, b'"') => b"\\\"",
            (Format::Json, b'\\') => b"\\\\",
            (Format::Json, b'\n') => b"\\n",
            (Format::Json, b'\r') => b"\\r",
            (Format::Json, b'\t') => b"\\t",
            (Format::Json, 0..0x20) => {
                unicode[4] = b'0' + (byte >> 4);
                unicode[5] = b"0123456789abcdef"[usize::from(byte & 0xF)];
                &unicode
            }
            (Format::Xml, b'"') => b"&quot;",
            (Format::Xml, b'\'') => b"&apos;",
            (Format::Xml, b'<') => b"&lt;",
            (Format::Xml, b'>') => b"&gt;",
            (Format::Xml, b'&') => b"&amp;",
            // A parser would make a blank of them.
            (Format::Xml, b'\n') => b"&#10;",
            (Format::Xml, b'\r') => b"&#13;",
            (Format::Xml, b'\t') => b"&#9;",
            // XML has no way to write the other control characters.
            (Format::Xml, 0..0x20) => b"?",
            _ => continue,
        };
        out.extend_from_slice(&value[from..at]);
        out.extend_from_slice(escape);
        from = at + 1;
    }
    out.extend_from_slice(&value[from..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn json_reads_back(value in any::<String>()) {
            let mut out = vec![b'"'];
            write(Format::Json, value.as_bytes(), &mut out);
            out.push(b'"');

            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), value);
        }

        #[test]
        fn xml_reads_back(value in "([a-z \"'<>&\n\r\t]|\\PC){0,20}") {
            let mut out = Vec::new();
            write(Format::Xml, value.as_bytes(), &mut out);

            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(quick_xml::escape::unescape(&text).unwrap(), value);
        }
    }
}
