//! Which texts hold keys, what those check, and which are refused.

use serde_json::json;

use super::*;
use Algorithm::{
    ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512,
};

const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAEWvXJBF0F1Xo1xiDh1OYZShPM7B
GBLcXnZ4tPK+F33/5fCBwkxV4AMzf0yj+x8qQ647eDrESEwAj89e5UpjGg==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE4y5K6N+RO5HVX/miSt6xYkfGQiXgahfA
dV30h/xM+mEtF2B1Vh8Zo817J6nuvI8XturAUejOiYlO6XS7F3gOGmLzb9L6sPMy
PwKMvQBAmkpY/TauqFhdYq9KhLeeuHBu
-----END PUBLIC KEY-----
";
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBm5ULSZtdoRS3qTnA0NAIimUcd4Dr
3bcUXckBoJMrqp/Rqv51pWNlhndQuNLgDOkNiNCNRnWRk5Yk+vi85y6/wd0BYdTF
JubqsszQxoSEMg+0mEz2sAZZCpQg4BkKp0pYqcXsVkelvBCMA+O6Ynqxnora4Tmf
uJ+56Rnf7Z+TOnAvV0c=
-----END PUBLIC KEY-----
";
/// As long as one of P-256.
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAECpLRf676e/B06VjxoHlxo4LflFFgy6HN
johCOKmKCY6Ez9HRTyhIMTnj5IX0/YyNh/LtZsTKwFjcKA2p1zkJ3A==
-----END PUBLIC KEY-----
";
const ED25519_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAK32ux5/SZXS7aLkwDkuOniy6qbXEPqHio2LNzJcZz1o=
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqzXtWbIBYqF/Mrg5SDnF
BaWXET5LL0Hk7HyGyR3njKT/y2O1KleuyR01c2O2aX6QsaxFT8QRnW8d3DWr7FmQ
EyYZnQaF6C7iIVnYgF8mBkpvidPZeMlqTLisVb03e/dfsHP4yYUtFHwg1owM2HlG
CxHAZUqonS1Of878zh//o8OL/Ze4OjPFh6zKXjdQk+C1EDnsJwlEeXCgeb3qIuiD
ZLQ0JmCnFUMSH+z6YzFNq9W1rgZPbUwFme0C/H2c2fWXi9llzNabCeT4qvjSu9Gw
cblpfP4kCT0WldpfF4HLsAMvwytbpKgtl1JeasIpOQX3Bc94XukhF6lGfSLJRB8p
FwIDAQAB
-----END PUBLIC KEY-----
";
const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDMS7A4QQRQOk7OwMyWdpNepuYY
bzRcMc3ROch3FBLpa5E1VLtAHDDH2NEZkxh/KWMqjmBORM/10TIIf730TLuW0HA9
AYoTOxLiaoRV7UgliwY/cbQ9HlskMMG3Rs3KptMS7KjYXz8jXCs+wwJNOq5W5Z1U
yoZR+iRGq8aZOfJRkQIDAQAB
-----END PUBLIC KEY-----
";
const SECRET: &str = "a-secret-of-32-bytes-and-no-more";

/// The algorithms of each key.
#[track_caller]
fn check(text: &str, expected: &[&[Algorithm]]) {
    let keys = Keys::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: it {error}"));
    let algorithms: Vec<&[Algorithm]> = keys.iter().map(|key| &*key.algorithms).collect();
    assert_eq!(algorithms, expected, "{text}");
}

#[track_caller]
fn wrong(text: &str, expected: &str) {
    let error = Keys::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(expected), "{text}: it {error}");
    assert!(!error.contains("secret-of"), "{error}");
}

fn p256_jwk(fields: Value) -> Value {
    // RFC 7515, appendix A.3.
    let mut jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    jwk.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    jwk
}

#[test]
fn the_kind_of_a_key_says_what_it_checks() {
    let rsa: &[Algorithm] = &[RS256, RS384, RS512, PS256, PS384, PS512];
    check(RSA, &[rsa]);
    check(P256, &[&[ES256]]);
    check(P384, &[&[ES384]]);
    check(ED25519_KEY, &[&[EdDSA]]);
    check(&format!("# old\n{RSA}\n# new\n{P256}"), &[rsa, &[ES256]]);
    check(&P256.replace('\n', "\r\n"), &[&[ES256]]);
    check(&format!("{SECRET}\n"), &[&[HS256]]);
    check(&SECRET[..31].repeat(2), &[&[HS256, HS384]]);
    check(&SECRET.repeat(2), &[&[HS256, HS384, HS512]]);
}

#[test]
fn a_jwk_may_say_more_closely_what_it_is_for() {
    check(&p256_jwk(json!({})).to_string(), &[&[ES256]]);
    let named = p256_jwk(json!({"kid": "k", "use": "sig", "key_ops": ["verify"], "alg": "ES256"}));
    check(&named.to_string(), &[&[ES256]]);
    let ed = json!({"kty": "OKP", "crv": "Ed25519",
                    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    check(&ed.to_string(), &[&[EdDSA]]);
    let octets = json!({"kty": "oct", "alg": "HS256",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    check(&octets.to_string(), &[&[HS256]]);
    for (fields, expected) in [
        (json!({"alg": "RS256"}), "\"alg\" is not one for this kind"),
        (json!({"alg": "HS256"}), "\"alg\" is not one for this kind"),
        (json!({"alg": "none"}), "\"alg\" is none of"),
        (json!({"use": "enc"}), "\"use\""),
        (json!({"key_ops": ["sign"]}), "\"key_ops\""),
        (json!({"d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}), "private key"),
        (json!({"crv": "P-521"}), "neither P-256 nor P-384"),
        (json!({"crv": "secp256k1"}), "neither RSA nor"),
        (json!({"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIXI5a0"}), "curve"),
        (json!({"x": "AQAB"}), "curve"),
    ] {
        wrong(&p256_jwk(fields).to_string(), expected);
    }
    let short = json!({"kty": "oct", "k": "c2hvcnQ"});
    wrong(&short.to_string(), "5 bytes");
    let weak = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"});
    wrong(&weak.to_string(), "2048");
    let trivial = json!({"kty": "RSA", "n": "_".repeat(341) + "w", "e": "AQ"});
    wrong(&trivial.to_string(), "exponent");
}

#[test]
fn of_a_set_what_can_be_used_is() {
    let others = json!({"keys": [
        p256_jwk(json!({"kid": "1"})),
        p256_jwk(json!({"use": "enc"})),
        {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {"kty": "later"},
        7,
    ]});
    check(&others.to_string(), &[&[ES256]]);
    wrong(r#"{"keys": []}"#, "the set is empty");
    wrong(r#"{"keys": [7]}"#, "no key that can check");
    wrong(r#"{"keys": {}}"#, "no list");
    wrong("{", "no JWK");
    wrong("{}", "neither RSA nor");
    // What everybody can fetch is no secret.
    let secret = json!({"keys": [{"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}]});
    check(&secret.to_string(), &[&[HS256]]);
    assert!(Keys::parse_jwks(secret.to_string().as_bytes()).is_err());
    assert_eq!(Keys::parse_jwks(others.to_string().as_bytes()).unwrap().iter().count(), 1);
    let many = json!({"keys": vec![p256_jwk(json!({})); JWT_KEYS_MAX + 1]});
    wrong(&many.to_string(), "jwt_keys_max");
}

#[test]
fn what_is_no_public_key_is_refused_with_advice() {
    wrong(RSA_1024, "2048 to 8192 bits");
    wrong(P521, "neither P-256 nor P-384");
    wrong(SECP256K1, "neither P-256 nor P-384");
    wrong(&RSA.replace("PUBLIC KEY", "PRIVATE KEY"), "give the hub only the public one");
    wrong(&RSA.replace("PUBLIC KEY", "ENCRYPTED PRIVATE KEY"), "private key");
    wrong(&RSA.replace("PUBLIC KEY", "CERTIFICATE"), "a PEM block \"CERTIFICATE\"");
    wrong(&RSA.replace("MIIB", "AAAA"), "can't be used");
    wrong("-----BEGIN PUBLIC KEY-----", "can't be used");
}

#[test]
fn what_everybody_knows_is_no_secret() {
    wrong("", "0 bytes");
    wrong(&SECRET[..31], "31 bytes");
    wrong(&format!("{SECRET}\n{SECRET}"), "one line");
    wrong("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk0 me@here", "SSH");
    for pem in [RSA, P256, P384, ED25519_KEY, RSA_1024] {
        let naked: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        wrong(&naked, "without its BEGIN and END");
    }
    assert_eq!(Keys::parse(&[0xff; 40]).unwrap_err(), KeysError::NotText);
}

#[test]
fn the_name_of_a_key_is_looked_for_first() {
    let set = json!({"keys": [p256_jwk(json!({"kid": "1"})), p256_jwk(json!({"kid": "2"}))]});
    let set = Keys::parse(set.to_string().as_bytes()).unwrap();
    let unnamed = Keys::parse(format!("{P256}{RSA}").as_bytes()).unwrap();
    let all: Vec<&Key> = set.iter().chain(unnamed.iter()).collect();
    let found = |kid, algorithm| candidates(&all, kid, algorithm).len();
    assert_eq!(found(Some("1"), ES256), 1);
    assert_eq!(found(Some("1"), RS256), 0, "the key says which algorithm");
    assert_eq!(found(Some("3"), ES256), 1, "the one without a name");
    assert_eq!(found(None, ES256), 3);
    assert_eq!(found(None, PS512), 1);
    assert_eq!(found(None, HS256), 0, "a public key is no secret");
    let many: Vec<&Key> = vec![all[0]; JWT_KEYS_MAX];
    assert_eq!(candidates(&many, None, ES256).len(), JWT_KEYS_TRIED_MAX);
}

#[test]
fn no_key_shows_itself() {
    let keys = Keys::parse(SECRET.as_bytes()).unwrap();
    let shown = format!("{keys:?}");
    assert!(shown.contains("HS256") && !shown.contains("secret"), "{shown}");
}
