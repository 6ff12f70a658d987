//! Which keys `keygen` makes, and that no file is lost to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ended, run, tidings};

const RIGHT: &str = "signature    right: the key has signed it";

fn run_in(directory: &Path, args: &[&str]) -> Ended {
    tidings(directory).args(args).output().unwrap().into()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_for_those_who_make_tokens_and_one_for_the_hub() {
    let place = TempDir::new().unwrap();
    let file = |name: &str| place.path().join(name);
    let made = run_in(place.path(), &["keygen"]);
    assert!(made.lines()[0].contains("jwt.pem is the private key, for ES256"));
    assert!(made.stdout.contains("tidings serve --jwt-key jwt.pub.pem"), "{}", made.stdout);
    assert_eq!(mode(&file("jwt.pem")), 0o600);
    let private = fs::read_to_string(file("jwt.pem")).unwrap();
    let public = fs::read_to_string(file("jwt.pub.pem")).unwrap();
    assert!(private.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"));

    run_in(place.path(), &["keygen"]).failed(1, &["jwt.pem is there already", "--out"]);
    assert_eq!(fs::read_to_string(file("jwt.pem")).unwrap(), private);
    fs::remove_file(file("jwt.pem")).unwrap();
    run_in(place.path(), &["keygen"]).failed(1, &["jwt.pub.pem is there already"]);
    assert!(!file("jwt.pem").exists(), "half a key is none");
    run_in(place.path(), &["keygen", "--out", "none/k.pem"]).failed(1, &["can't write none/k.pem"]);
}

#[test]
fn a_jwk_says_what_it_is_for() {
    let place = TempDir::new().unwrap();
    for (alg, kind, secret) in [
        ("es384", "EC", false),
        ("eddsa", "OKP", false),
        ("rs256", "RSA", false),
        ("hs512", "oct", true),
    ] {
        let out = format!("{alg}.pem");
        let args = ["keygen", "--alg", alg, "--out", &out, "--jwk", "--kid", "k-1"];
        assert!(run_in(place.path(), &args).stdout.contains("--kid k-1"));
        let name = if secret { format!("{out}.jwk.json") } else { format!("{alg}.jwk.json") };
        let path = place.path().join(name);
        let jwk: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_ascii_lowercase();
        assert_eq!((text("kty"), text("alg")), (kind.to_ascii_lowercase(), alg.into()));
        assert_eq!((text("kid"), text("use")), ("k-1".into(), "sig".into()));
        assert_eq!(jwk.get("d"), None);
        assert_eq!(mode(&path) == 0o600, secret);
    }
    let without = run_in(place.path(), &["keygen", "--jwk"]);
    assert_eq!(without.code, Some(0));
    let jwk = fs::read_to_string(place.path().join("jwt.jwk.json")).unwrap();
    let jwk: Value = serde_json::from_str(&jwk).unwrap();
    assert_eq!(jwk["kid"].as_str().map(str::len), Some(43), "the key's own SHA-256");
}

#[test]
fn secrets_are_text_of_the_length_that_their_hash_wants() {
    let place = TempDir::new().unwrap();
    for (alg, characters) in [("hs256", 43), ("HS384", 66), ("hs512", 86)] {
        let made = run_in(place.path(), &["keygen", "--alg", alg, "--out", "-"]);
        assert_eq!(made.lines()[0].len(), characters);
        assert_eq!(made.lines().len(), 1);
    }
    run_in(place.path(), &["keygen", "--alg", "hs256"]).lines();
    assert_eq!(mode(&place.path().join("jwt.secret")), 0o600);
    let both = run(&["keygen", "--out", "-"]);
    assert!(both.stdout.contains("PRIVATE KEY") && both.stdout.contains("PUBLIC KEY"));
    fs::write(place.path().join("both.pem"), both.stdout).unwrap();
    let token = run_in(place.path(), &["token", "--key", "both.pem", "--publish", "a"]);
    let explained = ["token", "explain", "--key", "both.pem", token.lines()[0]];
    assert!(run_in(place.path(), &explained).lines().contains(&RIGHT));
}

#[test]
fn an_api_key_is_shown_once_and_its_hash_kept() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("keys.toml");
    let make = |name: &str, more: &[&str]| {
        let args = ["keygen", "--api-key", name, "--publish", "orders/*", "--publish", "b"];
        run_in(place.path(), &[&args, more].concat())
    };
    let shown = make("billing", &[]);
    let [key] = shown.lines()[..] else { panic!("the key alone: {shown:?}") };
    assert!(key.starts_with("tidings_") && key.len() == 8 + 43, "{key}");
    let entry = "[[key]]\nname = \"billing\"\nhash = \"sha256:";
    assert!(shown.stderr.contains(entry), "{}", shown.stderr);
    assert!(shown.stderr.contains("publish = [\"orders/*\", \"b\"]\nsubscribe = []"));
    assert!(!shown.stderr.contains(key));

    let kept = make("billing", &["--file", "keys.toml"]);
    let key = kept.lines()[0];
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(entry) && !text.contains(key), "{text}");
    let explained = run(&["token", "explain", key]);
    let hash = explained.lines()[1].strip_prefix("hash = ").unwrap().to_owned();
    assert!(text.contains(&hash), "{hash}: {text}");

    make("billing", &["--file", "keys.toml"]).failed(1, &["has a key \"billing\" already"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    make("shop", &["--file", "keys.toml", "--subscribe", "x"]).lines();
    let both = fs::read_to_string(&file).unwrap();
    assert!(both.starts_with(&text) && both.contains("name = \"shop\""), "{both}");
    make("a\nb", &[]).failed(2, &["control characters"]);
}

#[test]
fn what_is_wrong_is_said() {
    run(&["keygen", "--alg", "none"]).failed(2, &["es256", "hs512"]);
    run(&["keygen", "--publish", "a"]).failed(2, &["--api-key"]);
    run(&["keygen", "--api-key", "a"]).failed(2, &["allows nothing", "--publish SELECTOR"]);
    run(&["keygen", "--api-key", "a", "--publish", "a/{"]).failed(2, &["in a selector"]);
    run(&["keygen", "--api-key", "a", "--alg", "hs256"]).failed(2, &["cannot be used"]);
    run(&["keygen", "--out", "-", "--jwk"]).failed(2, &["--jwk needs files"]);
}
