//! Codes that an authenticator shows, and how it gets the secret.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use qrcode::{Color, QrCode};
use totp_rs::{Builder, Secret, Totp};

const ISSUER: &str = "Fabrik";
/// How many steps a clock may be off, either way.
const SKEW: u16 = 1;
/// How many pixels a module of the picture has on each side.
const SCALE: usize = 6;
/// How many modules stay white around the picture, as its standard wants.
const QUIET: usize = 4;

/// A secret shared with a user's authenticator. It has no way to be shown but [`Authenticator::enrolment`].
pub(super) struct Authenticator(Secret);

/// What an authenticator is given: the secret in its three forms.
#[derive(Clone)]
pub(crate) struct Enrolment {
    pub(crate) secret: String,
    pub(crate) otpauth_uri: String,
    /// A picture as a `data:` address.
    pub(crate) qr_code: String,
}

impl Authenticator {
    pub(super) fn generate() -> Self {
        Self(Secret::generate())
    }

    pub(super) fn of(secret: Vec<u8>) -> Self {
        Self(secret.into())
    }

    pub(super) fn secret(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the step that a code is for, if it is right now or one step before or after.
    pub(super) fn step_of(&self, code: &str, now: DateTime<Utc>) -> Option<i64> {
        let step = self.totp("").check(code, u64::try_from(now.timestamp()).ok()?)?;
        i64::try_from(step).ok()
    }

    /// Returns what the authenticator of this user is given.
    pub(super) fn enrolment(&self, username: &str) -> Enrolment {
        let uri = self.totp(username).to_url().expect("names are not empty and have no colon");
        Enrolment { secret: self.0.to_base32(), qr_code: picture(&uri), otpauth_uri: uri }
    }

    fn totp(&self, username: &str) -> Totp {
        Builder::new()
            .with_secret(self.0.clone())
            .with_skew(SKEW)
            .with_issuer(Some(ISSUER))
            .with_account_name(username.replace(':', " "))
            .build()
            .expect("the parameters are those of RFC 6238")
    }
}

/// Draws a text as a QR code, black on white, and returns it as a PNG in a `data:` address.
fn picture(text: &str) -> String {
    let code = QrCode::new(text).expect("an address of a few hundred characters fits");
    let modules = code.width() + 2 * QUIET;
    let is_dark = |row: usize, column: usize| {
        let inside = QUIET..QUIET + code.width();
        inside.contains(&row) && inside.contains(&column) && code[(column - QUIET, row - QUIET)] == Color::Dark
    };
    let side = modules * SCALE;
    let pixels: Vec<u8> =
        (0..side * side).map(|at| if is_dark(at / side / SCALE, at % side / SCALE) { 0 } else { 255 }).collect();
    let mut bytes = Vec::new();
    let size = u32::try_from(side).expect("a picture has a few hundred pixels on each side");
    let mut encoder = png::Encoder::new(&mut bytes, size, size);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("writing to memory does not fail");
    writer.write_image_data(&pixels).expect("there are as many pixels as the header says");
    writer.finish().expect("writing to memory does not fail");
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, SHA-1: the last six of the eight digits.
        let authenticator = Authenticator::of(b"12345678901234567890".to_vec());
        let step = |code: &str, second: i64| {
            authenticator.step_of(code, DateTime::from_timestamp(second, 0).expect("within range"))
        };

        assert_eq!(step("287082", 59), Some(1));
        assert_eq!(step("081804", 1_111_111_109), Some(37_037_036));
        assert_eq!(step("005924", 1_234_567_890), Some(41_152_263));
        // One step early or late is right, two are not.
        assert_eq!([29, 30, 89, 90].map(|second| step("287082", second)), [Some(1), Some(1), Some(1), None]);
        assert_eq!(step("287083", 59), None);
        assert_eq!(step("", 59), None);
    }

    #[test]
    fn enrolment_names_issuer_and_user_and_draws_a_picture() {
        let enrolment = Authenticator::of(b"12345678901234567890".to_vec()).enrolment("mara@lab");

        assert_eq!(enrolment.secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(enrolment.otpauth_uri.starts_with("otpauth://totp/Fabrik:mara%40lab?"), "{}", enrolment.otpauth_uri);
        assert!(enrolment.otpauth_uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        assert!(enrolment.otpauth_uri.contains("issuer=Fabrik"));
        let bytes = BASE64_STANDARD.decode(enrolment.qr_code.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let side = frame.width as usize;
        assert_eq!(frame.width, frame.height);
        // The corner is white, the finder pattern inside it black.
        assert_eq!((pixels[0], pixels[(QUIET * SCALE) * side + QUIET * SCALE]), (255, 0));
    }
}
