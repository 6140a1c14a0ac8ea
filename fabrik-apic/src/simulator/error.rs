//! Errors as a controller words them.

use bytes::Bytes;

use super::render::{self, Answer, Format};

/// A refusal: the status of the answer, and code and text in its body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {code}: {text}")]
pub(crate) struct ApicError {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The controller's own code, which is not the status in general.
    pub(crate) code: u32,
    /// What the controller says.
    pub(crate) text: String,
}

impl ApicError {
    /// Makes an error.
    pub(crate) fn new(status: u16, code: u32, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// Makes an error with status 400.
    pub(crate) fn bad_request(code: u32, text: impl Into<String>) -> Self {
        Self::new(400, code, text)
    }

    /// Makes the error for an answer of more objects than the controller gives at once.
    pub(crate) fn too_big() -> Self {
        Self::bad_request(400, "Unable to process the query, result dataset is too big")
    }

    /// Renders the body of the answer.
    pub(crate) fn to_bytes(&self, format: Format) -> Bytes {
        let code = self.code.to_string();
        let object = render::plain_object(format, "error", &[("code", &code), ("text", &self.text)]);
        Answer::of_one(format, &object).into_bytes(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_recorded_shape_in_both_formats() {
        let error = ApicError::bad_request(120, "unknown \"value\" <x>");

        assert_eq!(
            error.to_bytes(Format::Json),
            r#"{"totalCount":"1","imdata":[{"error":{"attributes":{"code":"120","text":"unknown \"value\" <x>"}}}]}"#
        );
        assert_eq!(
            error.to_bytes(Format::Xml),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<imdata totalCount=\"1\">\
             <error code=\"120\" text=\"unknown &quot;value&quot; &lt;x&gt;\"/></imdata>"
        );
    }
}
