//! Checks a signed token against keys (RFC 7515, 7519, and the advice of RFC 8725).
//! Knows nothing of where either came from.
//!
//! Of a token's header only `alg`, `kid`, `typ` and `crit` count: keys, certificates and addresses
//! of keys that stand in it (`jwk`, `x5c`, `jku`, `x5u`) are an attacker's as well as anybody's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, crypto, decode_header};
use tidings_core::cursor::Timestamp;

use super::claims::{Claims, Demands};
use super::keys::{self, Key};
use super::refusal::Refusal;
use super::rights::{Rights, shown};

/// The `typ` of tickets, by which none of them is ever taken for a token, nor a token for one.
pub(super) const TICKET_TYPE: &str = "tidings-ticket+jwt";

/// A token taken apart, not yet checked.
pub(super) struct Unchecked<'a> {
    header: Header,
    /// What the signature covers.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Unchecked<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], with the reason.
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        let parts = || {
            let (message, signature) = token.rsplit_once('.')?;
            let (header, payload) = message.split_once('.')?;
            (!payload.contains('.') && !header.is_empty()).then_some((message, payload, signature))
        };
        let (message, payload, signature) = parts().ok_or_else(|| {
            malformed("it is neither a signed JWT (three parts, joined by dots) nor an API key")
        })?;
        let header = decode_header(token)
            .map_err(|error| malformed(&format!("its header: {}", shown(&error.to_string()))))?;
        if header.crit.is_some() {
            // "If any of the listed extension Header Parameters are not understood and supported by
            // the recipient, then the JWS is invalid" (RFC 7515, section 4.1.11): none is.
            return Err(malformed("its header has extensions that have to be understood (crit)"));
        }
        Ok(Self { header, message, payload, signature })
    }

    /// The name of the key that it says it was signed with.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether it says that it is a ticket.
    pub(super) fn is_ticket(&self) -> bool {
        self.header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TICKET_TYPE))
    }

    /// The part that its signature covers, once the signature is checked.
    ///
    /// # Errors
    /// Where no key fits, or the signature is wrong.
    pub(super) fn check(&self, keys: &[&Key]) -> Result<Vec<u8>, Refusal> {
        let candidates = keys::candidates(keys, self.kid(), self.header.alg);
        if candidates.is_empty() {
            return Err(Refusal::UnknownKey { looked_for: self.looked_for() });
        }
        let signed = candidates.iter().any(|key| self.is_signed_by(key, self.header.alg));
        if !signed {
            return Err(Refusal::Signature);
        }
        URL_SAFE_NO_PAD
            .decode(self.payload)
            .map_err(|_| malformed("its second part is not base64url without padding"))
    }

    fn is_signed_by(&self, key: &Key, algorithm: Algorithm) -> bool {
        let message = self.message.as_bytes();
        crypto::verify(self.signature, message, &key.decoding, algorithm).unwrap_or(false)
    }

    fn looked_for(&self) -> String {
        let algorithm = self.header.alg;
        match self.kid() {
            Some(kid) => format!("kid {:?}, alg {algorithm:?}", shown(kid)),
            None => format!("no kid, alg {algorithm:?}"),
        }
    }
}

/// The rights of a token, if all of it counts now.
///
/// # Errors
/// The first rule that it breaks.
pub(super) fn rights(
    token: &Unchecked<'_>,
    keys: &[&Key],
    demands: &Demands,
    now: Timestamp,
) -> Result<Rights, Refusal> {
    if token.is_ticket() {
        return Err(malformed("it is a ticket: send it as ?ticket="));
    }
    Claims::parse(&token.check(keys)?)?.rights(demands, now)
}

fn malformed(reason: &str) -> Refusal {
    Refusal::Malformed { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::keys::Keys;
    use super::*;

    /// RFC 7515, appendices A.1 to A.3, and RFC 8037, A.4: key and token.
    const VECTORS: [(&str, &str); 4] = [
        (
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];

    fn check(key: &str, token: &str) -> Result<Vec<u8>, &'static str> {
        let keys = Keys::parse(key.as_bytes()).unwrap();
        let keys: Vec<_> = keys.iter().collect();
        let payload = Unchecked::parse(token).and_then(|token| token.check(&keys));
        payload.map_err(|refusal| refusal.rule())
    }

    #[test]
    fn the_tokens_of_the_standards_are_right() {
        for (at, (key, token)) in VECTORS.into_iter().enumerate() {
            let payload = check(key, token).unwrap();
            assert!(payload.starts_with(b"{\"iss\":\"joe\"") || payload.starts_with(b"Example of"));
            for (other, (key, _)) in VECTORS.into_iter().enumerate() {
                let expected = if at == other { Ok(payload.clone()) } else { Err("unknown_key") };
                assert_eq!(check(key, token), expected);
            }
        }
    }

    #[test]
    fn a_byte_of_difference_makes_them_wrong() {
        for (key, token) in VECTORS {
            let (message, signature) = token.rsplit_once('.').unwrap();
            let (header, payload) = message.split_once('.').unwrap();
            let other = |text: &str| match text.strip_prefix('e') {
                Some(rest) => format!("f{rest}"),
                None => format!("e{}", &text[1..]),
            };
            for changed in [
                format!("{header}.{}.{signature}", other(payload)),
                format!("{header}.{payload}.{}", other(signature)),
                format!("{header}.{payload}."),
            ] {
                assert_eq!(check(key, &changed), Err("signature"), "{changed}");
            }
        }
    }

    #[test]
    fn what_is_no_signed_token_is_said_to_be_none() {
        let (key, token) = VECTORS[0];
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (_, payload) = message.split_once('.').unwrap();
        let with =
            |header: &str| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
        for token in [
            String::new(),
            "abc".to_owned(),
            "a.b".to_owned(),
            "a.b.c.d.e".to_owned(),
            "..".to_owned(),
            with("{}"),
            with("7"),
            with(r#"{"alg":"none"}"#),
            with(r#"{"alg":"None"}"#),
            with(r#"{"alg":"ES512"}"#),
            with(r#"{"alg":""}"#),
            with(r#"{"alg":"HS256","alg":"RS256"}"#),
            with(r#"{"alg":"HS256","crit":["exp"]}"#),
        ] {
            assert_eq!(check(key, &token), Err("malformed"), "{token}");
        }
        // A key in the token is nobody's.
        let own = with(
            r#"{"alg":"HS256","jku":"https://evil.example/","x5u":"https://evil.example/",
            "jwk":{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#,
        );
        assert_eq!(check(key, &own), Err("signature"));
    }
}
