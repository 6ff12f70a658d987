//! Where settings come from, and what is said about those that are wrong.

use tempfile::TempDir;

use crate::harness::{Ended, run, tidings};

struct Place {
    directory: TempDir,
}

impl Place {
    fn with(file: &str) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("tidings.toml"), file).unwrap();
        Self { directory }
    }

    fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> Ended {
        let mut command = tidings(self.directory.path());
        command.args(args).envs(environment.iter().copied()).output().unwrap().into()
    }
}

fn row(ended: &Ended, key: &str) -> [String; 3] {
    let lines = ended.lines();
    let line = lines.iter().find(|line| line.starts_with(&format!("{key} "))).unwrap();
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    words.try_into().unwrap()
}

#[test]
fn check_shows_each_value_and_where_it_comes_from() {
    let place = Place::with("heartbeat = \"20s\"\n\nretry = \"1s\"\nkeep-age = \"1day\"\n");
    let args = ["config", "check", "--keep-age", "2days"];
    let ended = place.run(&args, &[("TIDINGS_RETRY", "4s")]);
    assert!(ended.lines()[0].starts_with("OK"), "{}", ended.stdout);
    assert_eq!(row(&ended, "heartbeat"), ["heartbeat", "20s", "tidings.toml:1"]);
    assert_eq!(row(&ended, "retry"), ["retry", "4s", "TIDINGS_RETRY"]);
    assert_eq!(row(&ended, "keep-age"), ["keep-age", "2days", "--keep-age"]);
    assert_eq!(row(&ended, "listen"), ["listen", "127.0.0.1:3000", "default"]);
    assert_eq!(run(&["config", "check"]).code, Some(0), "no file is fine");
}

#[test]
fn the_file_can_be_named_in_three_ways() {
    let place = Place::with("shards = 7");
    let path = place.directory.path().join("other.toml");
    std::fs::write(&path, "shards = 3").unwrap();
    let other = path.to_str().unwrap();
    let check = |args: &[&str], environment: &[(&str, &str)], shards: &str| {
        assert_eq!(row(&place.run(args, environment), "shards")[1], shards);
    };
    check(&["config", "check"], &[], "7");
    check(&["config", "check", other], &[], "3");
    check(&["config", "check", "--config", other], &[], "3");
    check(&["config", "check"], &[("TIDINGS_CONFIG", other)], "3");
    check(&["config", "check", "tidings.toml"], &[("TIDINGS_CONFIG", other)], "7");
    place.run(&["config", "check", "none.toml"], &[]).failed(2, &["can't read none.toml"]);
}

#[test]
fn all_mistakes_are_named_at_once_with_the_nearest_known_name() {
    let place = Place::with("heartbeet = \"20s\"\nretry = 1\n[tls]\nkey = \"x\"\n");
    for args in [&["config", "check"][..], &["serve"], &["publish", "a", "b"]] {
        place.run(args, &[("TIDINGS_LISTN", "x")]).failed(
            2,
            &[
                "tidings: tidings.toml:1: unknown key \"heartbeet\": did you mean \"heartbeat\"?",
                "tidings: tidings.toml:2: retry: \"1\" is no duration",
                "tidings: tidings.toml:3: unknown key \"tls\"",
                "tidings: unknown variable TIDINGS_LISTN: did you mean \"TIDINGS_LISTEN\"?",
            ],
        );
    }
    Place::with("a = \n").run(&["config", "check"], &[]).failed(2, &["tidings.toml:1:"]);
}

#[test]
fn addresses_beyond_loopback_need_a_word() {
    let place = Place::with("listen = \"0.0.0.0:0\"");
    for command in ["serve", "config"] {
        let args: &[&str] = if command == "serve" { &["serve"] } else { &["config", "check"] };
        place.run(args, &[]).failed(2, &["0.0.0.0:0", "--allow-anonymous-publish"]);
    }
    let args = ["demo", "--listen", "0.0.0.0:0"];
    place.run(&args, &[]).failed(2, &["--allow-anonymous-publish"]);
    let allowed = ["config", "check", "--allow-anonymous-publish"];
    assert_eq!(row(&place.run(&allowed, &[]), "allow-anonymous-publish")[1], "true");
}

#[test]
fn secrets_are_not_shown_and_not_taken_from_the_file() {
    let place = Place::with("token-file = \"of/the/file\"\n");
    let ended = place.run(&["config", "check"], &[]);
    assert_eq!(row(&ended, "token-file"), ["token-file", "of/the/file", "tidings.toml:1"]);
    let ended = place.run(&["config", "check"], &[("TIDINGS_TOKEN", "s3cret")]);
    assert_eq!(row(&ended, "token"), ["token", "(hidden)", "TIDINGS_TOKEN"]);
    assert!(!ended.stdout.contains("s3cret"));
    let wrong = Place::with("token = \"s3cret\"\n").run(&["config", "check"], &[]);
    wrong.failed(2, &["tidings.toml:1: token: settings are no place for a secret", "token-file"]);
    assert!(!wrong.stderr.contains("s3cret"));
}
