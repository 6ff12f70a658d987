//! What `token` makes, and what `token explain` says of it and of tokens from the RFCs.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Ended, run, run_with, tidings};

/// A directory with keys.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn run(&self, args: &[&str]) -> Ended {
        tidings(self.0.path()).args(args).output().unwrap().into()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn token(&self, args: &[&str]) -> String {
        let made = self.run(&[&["token"], args].concat());
        let [token] = made.lines()[..] else { panic!("one line: {made:?}") };
        token.to_owned()
    }

    /// What `explain --json` says of a token; the signature is checked with this key.
    fn explained(&self, token: &str, key: &str) -> Value {
        let ended = self.run(&["token", "explain", token, "--json", "--key", key]);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
    }
}

#[test]
fn a_token_of_every_algorithm_is_right_with_its_key_only() {
    let place = Place::new();
    let kinds = [
        ("es256", &["es256"][..]),
        ("es384", &["es384"]),
        ("eddsa", &["eddsa"]),
        ("rs256", &["rs256", "rs384", "rs512", "ps256", "ps384", "ps512"]),
        ("hs512", &["hs256", "hs384", "hs512"]),
    ];
    for (kind, _) in kinds {
        for name in [kind.to_owned(), format!("{kind}-other")] {
            place.run(&["keygen", "--alg", kind, "--out", &format!("{name}.pem"), "--jwk"]).lines();
        }
    }
    for (kind, algorithms) in kinds {
        let (public, other) = match kind {
            "hs512" => ("hs512.pem".into(), "hs512-other.pem".into()),
            _ => (format!("{kind}.pub.pem"), format!("{kind}-other.pub.pem")),
        };
        let key = format!("{kind}.pem");
        for algorithm in algorithms {
            let args = ["--key", &key, "--alg", algorithm, "--publish", "a", "--subscribe", "b/*"];
            let token = place.token(&args);
            for checks in [&key, &public] {
                let explained = place.explained(&token, checks);
                assert_eq!(explained["signature"], "right", "{algorithm} {checks}");
                assert_eq!(explained["warnings"], json!([]));
            }
            place
                .run(&["token", "explain", &token, "--key", &other])
                .failed(1, &["the signature is wrong", "not made with this key"]);
        }
        let usual = place.token(&["--key", &key, "--publish", "a"]);
        let header = &place.explained(&usual, &public)["header"];
        assert_eq!(header["alg"].as_str().unwrap().to_lowercase(), algorithms[0]);
    }
}

#[test]
fn a_token_may_name_its_key() {
    let place = Place::new();
    place.run(&["keygen", "--jwk", "--kid", "k"]).lines();
    for (kid, jwk, pem) in [
        (&[][..], json!("right"), json!("right")),
        (&["--kid", "k"], json!("right"), json!("right")),
        (
            &["--kid", "x"],
            json!({ "wrong": "it names the key \"x\", and no key here is called so" }),
            json!("right"),
        ),
    ] {
        let token = place.token(&[&["--key", "jwt.pem", "--publish", "a"], kid].concat());
        assert_eq!(place.explained(&token, "jwt.jwk.json")["signature"], jwk);
        assert_eq!(place.explained(&token, "jwt.pub.pem")["signature"], pem, "it has no name");
    }
}

#[test]
fn the_public_key_as_a_secret_signs_nothing_that_counts() {
    let place = Place::new();
    place.run(&["keygen"]).lines();
    let public = fs::read_to_string(place.0.path().join("jwt.pub.pem")).unwrap();
    // What a forger does: HS256 with what everybody may know.
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":99999999999,"tidings":{"publish":["*"]}}"#);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_bytes());
    let signature = aws_lc_rs::hmac::sign(&key, format!("{header}.{claims}").as_bytes());
    let forged = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature));
    place
        .run(&["token", "explain", &forged, "--key", "jwt.pub.pem"])
        .failed(1, &["the token says HS256, the key is for ES256"]);
}

#[test]
fn what_it_says_can_be_read_back() {
    let place = Place::new();
    place.run(&["keygen", "--alg", "hs256"]).lines();
    let token = place.token(&[
        "--key=jwt.secret",
        "--subscribe=users/7/*",
        "--subscribe=news",
        "--expires=never",
        "--not-before=2026-01-01T00:00:00Z",
        "--subject=7",
        "--audience=hub",
        "--issuer=shop",
        "--payload={\"name\":\"Ada\"}",
        "--kid=k-1",
    ]);
    let explained = place.explained(&token, "jwt.secret");
    assert_eq!(explained["header"], json!({ "alg": "HS256", "typ": "JWT", "kid": "k-1" }));
    let mut claims = explained["claims"].clone();
    assert!(claims.as_object_mut().unwrap().remove("iat").unwrap().is_i64());
    assert_eq!(
        claims,
        json!({
            "sub": "7", "aud": "hub", "iss": "shop", "nbf": 1_767_225_600,
            "tidings": { "subscribe": ["users/7/*", "news"], "payload": { "name": "Ada" } },
        })
    );
    assert_eq!(explained["subscribe"], json!(["users/7/*", "news"]));
    assert_eq!(explained["expires"], Value::Null);
    assert!(explained["warnings"][0].as_str().unwrap().contains("never expires"));

    let mut command = tidings(Path::new("/"));
    let text: Ended =
        command.args(["token", "explain", &token]).env("TZ", "UTC").output().unwrap().into();
    for said in [
        "alg          HS256\n",
        "sub          7\n",
        "nbf          2026-01-01 00:00:00 +00:00, ",
        "may publish  nothing\n",
        "may read     users/7/*  news\n",
        "payload      {\"name\":\"Ada\"}\n",
        "signature    not checked",
        "\n! no exp: it never expires",
    ] {
        assert!(text.stdout.contains(said), "{said} is missing: {}", text.stdout);
    }
}

#[test]
fn a_token_need_not_be_typed() {
    let place = Place::new();
    place.run(&["keygen", "--alg", "hs256"]).lines();
    let token = place.token(&["--key=jwt.secret", "--publish=a"]);
    for args in [&["token", "explain"][..], &["token", "explain", "-"]] {
        for text in [format!("{token}\n"), format!("Bearer {token}\r\n")] {
            assert!(run_with(args, &text).lines().contains(&"may publish  a"));
        }
    }
    let long = "a".repeat(60_000) + &"b".repeat(60_000);
    run_with(&["token", "explain"], &long[..65_537]).failed(1, &["more than 65536 bytes"]);
    run_with(&["token", "explain"], "nonsense").failed(1, &["three parts"]);
}

/// RFC 7515, appendix A: claims of "joe", who expired in 2011.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc1\
                   9yb290Ijp0cnVlfQ";

#[test]
fn the_examples_of_the_rfcs_are_right() {
    let place = Place::new();
    let check = |jwk: Value, token: &str| {
        place.write("key.json", &jwk.to_string());
        let explained = place.explained(token, "key.json");
        assert_eq!(explained["signature"], "right", "{token}");
        // One bit less.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        let changed = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes));
        let wrong = place.run(&["token", "explain", &changed, "--key", "key.json"]);
        wrong.failed(1, &["the signature is wrong"]);
        explained
    };
    // RFC 7515, A.1, which is RFC 7519, 3.1.
    let explained = check(
        json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj\
                                    0iPS4hcgUuTwjAzZr1Z9CAow" }),
        &format!(
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.\
             dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        ),
    );
    assert_eq!(explained["claims"]["iss"], "joe");
    assert_eq!(explained["expires"], "2011-03-22T18:43:00Z");
    assert_eq!(explained["state"], "expired");
    // A.2.
    check(
        json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8\
            W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690\
            r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6\
            65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFk\
            MLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" }),
        &format!(
            "eyJhbGciOiJSUzI1NiJ9.{JOE}.\
             cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O\
             8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARN\
             PvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ\
             1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        ),
    );
    // A.3.
    check(
        json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }),
        &format!(
            "eyJhbGciOiJFUzI1NiJ9.{JOE}.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
    );
    // RFC 8037, A.4: what is signed is a sentence.
    let explained = check(
        json!({ "kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
         hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    assert_eq!(explained["claims"], Value::Null);
}

#[test]
fn an_unsigned_token_is_never_right() {
    let place = Place::new();
    place.run(&["keygen"]).lines();
    // RFC 7519, 6.1.
    let token = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    let explained = run(&["token", "explain", &token]);
    assert!(explained.stdout.contains("! alg is none: nobody has signed it"));
    let checked = place.run(&["token", "explain", &token, "--key", "jwt.pub.pem"]);
    checked.failed(1, &["the signature is wrong", "no key can check"]);
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new();
    place.run(&["keygen"]).lines();
    place.write("short", "secret\n");
    let check = |args: &[&str], code: i32, said: &str| {
        place.run(&[&["token"], args].concat()).failed(code, &[said]);
    };
    check(&[], 2, "--key <FILE>");
    check(&["--key", "jwt.pem"], 2, "allows nothing");
    check(&["--key", "jwt.pem", "--publish", "a/{"], 2, "in a selector");
    check(&["--key", "jwt.pem", "--publish", "a", "--payload", "{"], 2, "no JSON");
    check(&["--key", "jwt.pem", "--publish", "a", "--expires", "soon"], 2, "30days");
    check(&["--key", "jwt.pem", "--publish", "a", "--alg", "hs256"], 1, "not good for HS256");
    check(&["--key", "jwt.pub.pem", "--publish", "a"], 1, "jwt.pub.pem holds a public key");
    check(&["--key", "none.pem", "--publish", "a"], 1, "can't read the key none.pem");
    check(&["--key", "short", "--publish", "a"], 1, "short holds a secret of 6 bytes");
    let wide = format!("--payload=\"{}\"", "x".repeat(20_000));
    check(&["--key", "jwt.pem", "--publish", "a", &wide], 1, "bytes");
    check(&["explain", "--key", "jwt.pem", "a.b"], 1, "this text has 2");
}
