//! The stored bytes of values and keys.
//!
//! A **varint** is an unsigned LEB128 number: seven bits a byte, lowest first, the high bit set on all
//! but the last, no longer than needed. **Bytes** are a varint length and then that many bytes.
//!
//! A **value** is a varint `length << 3 | tag`, then `length` bytes:
//!
//! | tag | value | bytes |
//! | --- | --- | --- |
//! | 0 | null | none |
//! | 1 | false | none |
//! | 2 | true | none |
//! | 3 | number | its digits as written |
//! | 4 | string | UTF-8 |
//! | 5 | array or object | compact JSON, member names sorted by bytes |

use super::Value;

const NULL: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
const NUMBER: u64 = 3;
const STRING: u64 = 4;
const JSON: u64 = 5;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_value(out: &mut Vec<u8>, value: Value<'_>) {
    let (tag, text) = match value {
        Value::Null => (NULL, ""),
        Value::Bool(false) => (FALSE, ""),
        Value::Bool(true) => (TRUE, ""),
        Value::Number(text) => (NUMBER, text),
        Value::String(text) => (STRING, text),
        Value::Json(text) => (JSON, text),
    };
    put_varint(out, (text.len() as u64) << 3 | tag);
    out.extend_from_slice(text.as_bytes());
}

/// Reads bytes that this process encoded itself or that a checked reader has already walked.
///
/// # Panics
///
/// When they end early. Stored bytes go through [`Reader`] first.
pub(crate) fn take_varint(rest: &mut &[u8]) -> u64 {
    let first = rest[0];
    if first < 0x80 {
        *rest = &rest[1..];
        return u64::from(first);
    }
    let mut number = 0;
    for (i, &byte) in rest.iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return number;
        }
    }
    unreachable!("the bytes were checked before")
}

pub(crate) fn take_str<'a>(rest: &mut &'a [u8]) -> &'a str {
    let len = usize::try_from(take_varint(rest)).expect("lengths in memory fit");
    let (text, tail) = rest.split_at(len);
    *rest = tail;
    std::str::from_utf8(text).expect("the bytes were checked before")
}

/// Returns the length in bytes that a value's header announces.
fn value_len(header: u64) -> usize {
    usize::try_from(header >> 3).expect("lengths in memory fit")
}

/// Takes one encoded value, header and all, off the front of bytes that were checked before; see [`take_varint`].
/// Values are equal when these are.
pub(crate) fn take_encoded<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let whole = *rest;
    let header = take_varint(rest);
    let len = whole.len() - rest.len() + value_len(header);
    let (value, tail) = whole.split_at(len);
    *rest = tail;
    value
}

/// Reads a value that was checked before; see [`take_varint`].
pub(crate) fn take_value<'a>(rest: &mut &'a [u8]) -> Value<'a> {
    let header = take_varint(rest);
    let (bytes, tail) = rest.split_at(value_len(header));
    *rest = tail;
    value(header & 7, std::str::from_utf8(bytes).expect("the bytes were checked before"))
        .expect("the bytes were checked before")
}

fn value(tag: u64, text: &str) -> Option<Value<'_>> {
    match tag {
        NULL => Some(Value::Null),
        FALSE => Some(Value::Bool(false)),
        TRUE => Some(Value::Bool(true)),
        NUMBER => Some(Value::Number(text)),
        STRING => Some(Value::String(text)),
        JSON => Some(Value::Json(text)),
        _ => None,
    }
}

/// Reads stored bytes without trusting them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

/// What a [`Reader`] says of bytes that are not what they should be.
pub(crate) type Malformed = &'static str;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: bytes.len() }
    }

    /// Returns how many bytes were read.
    pub(crate) fn position(&self) -> usize {
        self.whole - self.rest.len()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, tail) = self.rest.split_first().ok_or("it ends early")?;
        self.rest = tail;
        Ok(byte)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, tail) = self.rest.split_at_checked(len).ok_or("it ends early")?;
        self.rest = tail;
        Ok(bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        if let Some((&byte, tail)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = tail;
            return Ok(u64::from(byte));
        }
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err("a number is too large");
            }
            number |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 { Err("a number is longer than needed") } else { Ok(number) };
            }
        }
        Err("a number is too long")
    }

    pub(crate) fn len(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?).map_err(|_| "a length is too large")
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len()?;
        self.take(len)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }

    /// Passes over a value and checks it, so that [`take_value`] may read it later.
    pub(crate) fn value(&mut self) -> Result<(), Malformed> {
        let header = self.varint()?;
        let len = usize::try_from(header >> 3).map_err(|_| "a length is too large")?;
        let text = self.take(len)?;
        // Nearly all text is ASCII, which is several times faster to tell.
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            return Err("a text is not UTF-8");
        }
        if header & 7 > JSON { Err("a value has an unknown tag") } else { Ok(()) }
    }
}
