//! Answers as bytes.

mod escape;
mod labels;
mod object;

use bytes::Bytes;

pub(super) use object::{Naming, Renderer};

/// What every XML answer begins with.
pub(super) const XML_PROLOG: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// Room before the objects for the head of the envelope, which is known only when they are written.
const HEAD_ROOM: usize = 256;

/// How an answer or a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `.json`
    Json,
    /// `.xml`
    Xml,
}

impl Format {
    /// Takes the suffix off a path and tells the format from it.
    pub(crate) fn of_path(path: &str) -> Option<(&str, Self)> {
        let json = path.strip_suffix(".json").map(|rest| (rest, Self::Json));
        json.or_else(|| path.strip_suffix(".xml").map(|rest| (rest, Self::Xml)))
    }
}

/// The answer to a query, rendered but for its envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    total_count: usize,
    format: Format,
    /// [`HEAD_ROOM`] bytes of room, then the objects.
    body: Vec<u8>,
}

impl Answer {
    /// Returns the answer without any object, as POST and DELETE give it.
    pub(crate) fn empty(format: Format) -> Self {
        Self::new(format, 0, Self::room(0))
    }

    /// Returns an answer with one object.
    pub(super) fn of_one(format: Format, object: &str) -> Self {
        Self::of_objects(format, &[object])
    }

    /// Returns an answer with objects that are rendered already.
    pub(super) fn of_objects<T: AsRef<str>>(format: Format, objects: &[T]) -> Self {
        let mut body = Self::room(objects.iter().map(|object| object.as_ref().len() + 1).sum());
        for (nth, object) in objects.iter().enumerate() {
            if nth > 0 && format == Format::Json {
                body.push(b',');
            }
            body.extend_from_slice(object.as_ref().as_bytes());
        }
        Self::new(format, objects.len(), body)
    }

    /// Returns what to write objects to.
    pub(super) fn room(capacity: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(HEAD_ROOM + capacity + 16);
        body.resize(HEAD_ROOM, 0);
        body
    }

    /// Makes an answer of objects that were written to [`Answer::room`].
    pub(super) fn new(format: Format, total_count: usize, body: Vec<u8>) -> Self {
        Self { total_count, format, body }
    }

    /// Returns how many objects match, on all pages.
    pub(crate) fn total_count(&self) -> usize {
        self.total_count
    }

    /// Completes the body, in the format of the request, without copying the objects.
    pub(crate) fn into_bytes(mut self, subscription_id: Option<&str>) -> Bytes {
        let total = self.total_count;
        let (mut head, tail) = match self.format {
            Format::Json => (format!("{{\"totalCount\":\"{total}\""), "]}"),
            Format::Xml => (format!("{XML_PROLOG}<imdata totalCount=\"{total}\""), "</imdata>"),
        };
        if let Some(id) = subscription_id {
            head.push_str(match self.format {
                Format::Json => ",\"subscriptionId\":\"",
                Format::Xml => " subscriptionId=\"",
            });
            head.push_str(id);
            head.push('"');
        }
        head.push_str(match self.format {
            Format::Json => ",\"imdata\":[",
            Format::Xml => ">",
        });
        self.body.extend_from_slice(tail.as_bytes());
        match HEAD_ROOM.checked_sub(head.len()) {
            Some(start) => {
                self.body[start..HEAD_ROOM].copy_from_slice(head.as_bytes());
                Bytes::from(self.body).slice(start..)
            }
            None => [head.as_bytes(), &self.body[HEAD_ROOM..]].concat().into(),
        }
    }
}

/// Renders an object that is not in the tree, its attributes in the given order.
pub(super) fn plain_object(format: Format, class: &str, attributes: &[(&str, &str)]) -> String {
    let mut out = match format {
        Format::Json => format!("{{\"{class}\":{{\"attributes\":{{").into_bytes(),
        Format::Xml => format!("<{class}").into_bytes(),
    };
    for (nth, (name, value)) in attributes.iter().enumerate() {
        let before = match format {
            Format::Json if nth == 0 => "\"",
            Format::Json => ",\"",
            Format::Xml => " ",
        };
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(if format == Format::Json { b"\":\"" } else { b"=\"" });
        escape::write(format, value.as_bytes(), &mut out);
        out.push(b'"');
    }
    out.extend_from_slice(if format == Format::Json { b"}}}" } else { b"/>" });
    String::from_utf8(out).expect("made of strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_without_room_is_written_all_the_same() {
        let id = "7".repeat(2 * HEAD_ROOM);

        let bytes = Answer::of_one(Format::Json, "{}").into_bytes(Some(&id));

        assert_eq!(bytes, format!("{{\"totalCount\":\"1\",\"subscriptionId\":\"{id}\",\"imdata\":[{{}}]}}"));
    }

    #[test]
    fn empty_answers_have_an_envelope() {
        assert_eq!(Answer::empty(Format::Json).into_bytes(None), r#"{"totalCount":"0","imdata":[]}"#);
        assert_eq!(
            Answer::empty(Format::Xml).into_bytes(Some("7")),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdata totalCount=\"0\" subscriptionId=\"7\"></imdata>"
        );
    }
}
