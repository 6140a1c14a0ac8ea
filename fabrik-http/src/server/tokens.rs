//! Tokens: signed claims with HS256, and nothing else.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a token is for. One kind is never taken for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenKind {
    Access,
    Refresh,
    /// A password was right, and the second step is to come.
    Mfa,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) token_type: TokenKind,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    /// The id of this token; that of a refresh token is good once.
    pub(crate) jti: Uuid,
    pub(crate) user_id: i64,
    /// The session that the token belongs to, which may be ended before the token; of a token for the second step,
    /// what stands for the password that was right.
    pub(crate) sid: Uuid,
}

impl Claims {
    /// Returns the claims of a token that lasts for `life`.
    pub(crate) fn new(kind: TokenKind, user_id: i64, sid: Uuid, now: DateTime<Utc>, life: TimeDelta) -> Self {
        let exp = (now + life).timestamp();
        Self { token_type: kind, exp, iat: now.timestamp(), jti: Uuid::now_v7(), user_id, sid }
    }
}

/// The key that tokens are signed with. It has no way to be shown.
pub(crate) struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// Derived, so that no token is ever taken for a code of authentication.
    mac_key: [u8; 32],
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// Makes the key of a secret.
    pub(crate) fn new(secret: &[u8]) -> Self {
        // The algorithm comes from here, never from the token.
        let mut validation = Validation::new(Algorithm::HS256);
        // The time is checked below, by the clock of the server.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            mac_key: blake3::derive_key("fabrik 2026-03 codes of authentication", secret),
        }
    }

    /// Returns what is kept of a short code: without the key, nobody can try all codes against it.
    pub(crate) fn mac(&self, text: &str) -> Vec<u8> {
        blake3::keyed_hash(&self.mac_key, text.as_bytes()).as_bytes().to_vec()
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &self.encoding).expect("claims are plain JSON")
    }

    /// Returns the claims of a token that is ours, of this kind, and not expired.
    pub(crate) fn read(&self, token: &str, kind: TokenKind, now: DateTime<Utc>) -> Option<Claims> {
        let claims = decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        (claims.token_type == kind && claims.exp > now.timestamp()).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn claims() -> Claims {
        Claims::new(TokenKind::Access, 7, Uuid::nil(), NOW, TimeDelta::minutes(15))
    }

    fn key() -> TokenKey {
        TokenKey::new(b"0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn tokens_round_trip_until_they_expire() {
        let token = key().sign(&claims());

        let at =
            |minutes| key().read(&token, TokenKind::Access, NOW + TimeDelta::minutes(minutes)).map(|read| read.user_id);
        assert_eq!((at(0), at(14), at(15)), (Some(7), Some(7), None));
        assert_eq!(key().read(&token, TokenKind::Refresh, NOW), None);
    }

    #[test]
    fn tokens_of_other_keys_and_algorithms_are_refused() {
        let good = key().sign(&claims());
        let [_, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let forge =
            |header: &str, signature: &str| format!("{}.{payload}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(header));
        let hs512 = encode(&Header::new(Algorithm::HS512), &claims(), &key().encoding).unwrap();

        for (why, token) in [
            ("no algorithm", forge("{\"alg\":\"none\",\"typ\":\"JWT\"}", "")),
            ("no algorithm, old signature", forge("{\"alg\":\"none\"}", signature)),
            ("another spelling", forge("{\"alg\":\"nOnE\"}", "")),
            ("public key as secret", forge("{\"alg\":\"RS256\"}", signature)),
            ("own key in the header", forge("{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", signature)),
            ("another algorithm, right key", hs512),
            ("another key", TokenKey::new(b"another key, just as long as ours").sign(&claims())),
            ("cut signature", good[..good.len() - 2].to_owned()),
            ("no token", "a.b".to_owned()),
        ] {
            assert_eq!(key().read(&token, TokenKind::Access, NOW), None, "{why}");
        }
        assert!(key().read(&good, TokenKind::Access, NOW).is_some());
    }
}
