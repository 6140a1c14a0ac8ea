//! The values of an object, packed.

/// The values of the attributes of one object, in the order of its class.
///
/// The bytes are: the number of values (two bytes, low byte first, as all numbers here), for each value where it
/// ends, counted from the first one's beginning, and the values one after the other in UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    bytes: Box<[u8]>,
    escapes: Escapes,
}

/// In which formats a value of the object cannot be written as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Escapes {
    pub(crate) json: bool,
    pub(crate) xml: bool,
}

impl Body {
    /// How many bytes all values together may have.
    pub(crate) const MAX_BYTES: usize = u16::MAX as usize;

    /// Packs values. What goes beyond [`Body::MAX_BYTES`] is cut off: who takes values from outside looks first.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let (mut ends, mut text, mut escapes) = (Vec::with_capacity(64), Vec::with_capacity(512), Escapes::default());
        let mut count = 0_u16;
        for value in values {
            let room = Self::MAX_BYTES - text.len();
            let value = &value[..value.floor_char_boundary(room)];
            text.extend_from_slice(value.as_bytes());
            count += 1;
            let end = u16::try_from(text.len()).expect("no longer than MAX_BYTES");
            ends.extend_from_slice(&end.to_le_bytes());
        }
        for &byte in &text {
            escapes.json |= byte < 0x20 || matches!(byte, b'"' | b'\\');
            escapes.xml |= byte < 0x20 || matches!(byte, b'"' | b'<' | b'>' | b'&' | b'\'');
        }
        let mut bytes = Vec::with_capacity(2 + ends.len() + text.len());
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.append(&mut ends);
        bytes.append(&mut text);
        Self { bytes: bytes.into_boxed_slice(), escapes }
    }

    /// Returns the value at a place of the class.
    pub(crate) fn value(&self, place: usize) -> &str {
        std::str::from_utf8(self.value_bytes(place)).expect("cut where one string ends and the next begins")
    }

    /// Returns the value at a place of the class, for those who only copy it.
    #[inline]
    pub(crate) fn value_bytes(&self, place: usize) -> &[u8] {
        let first = 2 + 2 * usize::from(self.count());
        let start = if place == 0 { 0 } else { self.end(place - 1) };
        &self.bytes[first + start..first + self.end(place)]
    }

    /// Returns all values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        (0..usize::from(self.count())).map(|place| self.value(place))
    }

    /// Returns a copy with other values at some places.
    pub(crate) fn with(&self, changes: &[(usize, String)]) -> Self {
        Self::new(self.values().enumerate().map(|(place, value)| {
            changes.iter().find(|(changed, _)| *changed == place).map_or(value, |(_, changed)| changed)
        }))
    }

    /// Returns in which formats something must be escaped.
    #[inline]
    pub(crate) fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// Returns how many bytes it takes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn count(&self) -> u16 {
        u16::from_le_bytes([self.bytes[0], self.bytes[1]])
    }

    fn end(&self, place: usize) -> usize {
        usize::from(u16::from_le_bytes([self.bytes[2 + 2 * place], self.bytes[3 + 2 * place]]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Body;

    proptest! {
        #[test]
        fn values_come_back_and_change_alone(
            values in prop::collection::vec(any::<String>(), 1..12),
            place in any::<prop::sample::Index>(),
            other in any::<String>(),
        ) {
            let body = Body::new(values.iter().map(String::as_str));
            prop_assert_eq!(body.values().collect::<Vec<_>>(), values.clone());

            let place = place.index(values.len());
            let mut expected = values;
            expected[place].clone_from(&other);
            let changed = body.with(&[(place, other)]);
            prop_assert_eq!(changed.values().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn escapes_are_known_for_each_format() {
        for (value, json, xml) in
            [("a", false, false), ("a\"", true, true), ("\\", true, false), ("<", false, true), ("\n", true, true)]
        {
            let escapes = Body::new(["plain", value].into_iter()).escapes();
            assert_eq!((escapes.json, escapes.xml), (json, xml), "{value:?}");
        }
    }
}
