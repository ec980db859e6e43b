//! Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::{SystemRandom, generate};
use secrecy::{ExposeSecret, SecretString};

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// A new secret; none if the system has no random numbers.
pub(super) fn new_secret() -> Option<SecretString> {
    let key = generate::<[u8; 32]>(&SystemRandom::new()).ok()?.expose();
    Some(format!("{PREFIX}{}", STANDARD.encode(key)).into())
}

/// The signature of a message, as its header has it; none if the secret is none.
pub(super) fn sign(secret: &SecretString, id: &str, at: i64, body: &str) -> Option<String> {
    let key = secret.expose_secret().strip_prefix(PREFIX)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).ok()?);
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_message_is_signed_as_the_specification_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let signature = sign(&secret, id, 1_614_265_330, body).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(sign(&"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(), id, 0, body).is_none());
    }

    #[test]
    fn secrets_are_of_256_bits_and_differ() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        let key = one.expose_secret().strip_prefix(PREFIX).unwrap();
        assert_eq!(STANDARD.decode(key).unwrap().len(), 32);
    }
}
