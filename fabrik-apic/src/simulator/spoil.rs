//! Right answers made wrong, as bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fault::Fault;
use super::render::Format;
use super::reply::Reply;

/// An answer with its objects uncut.
#[derive(Deserialize, Serialize)]
struct RawEnvelope<'b> {
    #[serde(rename = "totalCount", borrow)]
    total_count: &'b RawValue,
    #[serde(rename = "subscriptionId", borrow, skip_serializing_if = "Option::is_none")]
    subscription_id: Option<&'b RawValue>,
    #[serde(borrow)]
    imdata: Vec<&'b RawValue>,
}

/// Does to a reply what can be done to it without knowing the question.
pub(super) fn spoil(reply: &mut Reply, faults: &[Fault]) {
    let Some(format) = reply.format().filter(|_| reply.status == 200) else { return };
    for fault in faults {
        match fault {
            Fault::InvalidEscape if format == Format::Json => reply.body = with_invalid_escapes(&reply.body),
            Fault::WrongTotalCount { by } => reply.body = with_other_count(&reply.body, format, *by),
            Fault::TruncatedBody { after } => {
                let len_bytes = (*after).min(reply.body.len().saturating_sub(1));
                reply.body = reply.body.slice(..len_bytes);
            }
            Fault::CutBody { after } => reply.cut_after = Some(*after),
            _ => {}
        }
    }
}

/// Returns the body with all objects left out, and the count as it was.
pub(super) fn without_objects(body: &Bytes, format: Format) -> Bytes {
    match format {
        Format::Json => edit(body, |envelope| envelope.imdata.clear()),
        Format::Xml => {
            let text = String::from_utf8_lossy(body);
            let root = text.find("<imdata").and_then(|start| Some(start + text[start..].find('>')?));
            let head = root.map_or("", |end| text[..end].trim_end_matches('/'));
            format!("{head}></imdata>").into()
        }
    }
}

/// Returns the body with its last object replaced by the last one of `before`.
pub(super) fn with_last_object_of(body: &Bytes, before: &Bytes) -> Bytes {
    let Some(other) =
        serde_json::from_slice::<RawEnvelope<'_>>(before).ok().and_then(|have| have.imdata.last().copied())
    else {
        return body.clone();
    };
    edit(body, |envelope| {
        if let Some(last) = envelope.imdata.last_mut() {
            *last = other;
        }
    })
}

fn edit<'b>(body: &'b Bytes, change: impl FnOnce(&mut RawEnvelope<'b>)) -> Bytes {
    let Ok(mut envelope) = serde_json::from_slice::<RawEnvelope<'_>>(body) else { return body.clone() };
    change(&mut envelope);
    serde_json::to_vec(&envelope).map_or_else(|_| body.clone(), Bytes::from)
}

fn with_invalid_escapes(body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 64);
    for &byte in body {
        if byte == b'\'' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.into()
}

/// Rewrites the first `totalCount`; the envelope has it before the objects.
fn with_other_count(body: &Bytes, format: Format, by: i64) -> Bytes {
    let mark: &[u8] = match format {
        Format::Json => b"\"totalCount\":\"",
        Format::Xml => b"totalCount=\"",
    };
    let Some(start) = memchr::memmem::find(body, mark).map(|at| at + mark.len()) else { return body.clone() };
    let end = start + body[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let count: i64 = std::str::from_utf8(&body[start..end]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = count.saturating_add(by).max(0).to_string();
    [&body[..start], count.as_bytes(), &body[end..]].concat().into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{spoil, with_last_object_of, without_objects};
    use crate::simulator::fault::Fault;
    use crate::simulator::render::Format;
    use crate::simulator::reply::Reply;

    const JSON: &str = r#"{"totalCount":"12","imdata":[{"a":{"attributes":{"x":"it's"}}},{"b":{"attributes":{}}}]}"#;
    const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><imdata totalCount="12"><a x="1"/></imdata>"#;

    fn spoiled(body: &'static str, format: Format, fault: Fault) -> String {
        let mut reply = Reply::ok(Bytes::from_static(body.as_bytes()), format);
        spoil(&mut reply, &[fault]);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    #[test]
    fn count_is_wrong_by_so_much_and_never_negative() {
        let fault = |by| Fault::WrongTotalCount { by };

        assert!(spoiled(JSON, Format::Json, fault(-5)).starts_with(r#"{"totalCount":"7","imdata""#));
        assert!(spoiled(JSON, Format::Json, fault(-50)).starts_with(r#"{"totalCount":"0","imdata""#));
        assert!(spoiled(XML, Format::Xml, fault(1)).contains(r#"<imdata totalCount="13"><a"#));
    }

    #[test]
    fn apostrophes_are_escaped_as_json_does_not_allow() {
        let text = spoiled(JSON, Format::Json, Fault::InvalidEscape);

        assert!(text.contains(r"it\'s"), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
        assert_eq!(text.replace(r"\'", "'"), JSON);
    }

    #[test]
    fn truncated_body_is_shorter_than_it_was_at_any_length() {
        for after in [0, 10, JSON.len(), usize::MAX] {
            let text = spoiled(JSON, Format::Json, Fault::TruncatedBody { after });
            assert!(text.len() < JSON.len() && JSON.starts_with(&text), "{after}");
        }
    }

    #[test]
    fn body_without_objects_keeps_its_count() {
        let json = without_objects(&Bytes::from_static(JSON.as_bytes()), Format::Json);
        let xml = without_objects(&Bytes::from_static(XML.as_bytes()), Format::Xml);

        assert_eq!(json, r#"{"totalCount":"12","imdata":[]}"#);
        assert_eq!(xml, r#"<?xml version="1.0" encoding="UTF-8"?><imdata totalCount="12"></imdata>"#);
    }

    #[test]
    fn last_object_is_replaced_by_that_of_the_page_before() {
        let before = Bytes::from_static(br#"{"totalCount":"12","imdata":[{"z":{"attributes":{}}}]}"#);

        let text = with_last_object_of(&Bytes::from_static(JSON.as_bytes()), &before);

        let objects = r#"[{"a":{"attributes":{"x":"it's"}}},{"z":{"attributes":{}}}]"#;
        assert_eq!(text, format!(r#"{{"totalCount":"12","imdata":{objects}}}"#));
    }
}
