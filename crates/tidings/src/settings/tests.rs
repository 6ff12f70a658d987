//! How the sources merge, and what is said about mistakes.

use proptest::prelude::*;

use super::*;

fn given(key: &str, values: &[&str]) -> Given {
    Given {
        setting: TABLE.iter().find(|setting| setting.key == key).unwrap(),
        values: values.iter().map(|&value| value.into()).collect(),
        origin: Origin::Flag(format!("--{key}")),
    }
}

fn variables(variables: &[(&str, &str)]) -> (Vec<Given>, Vec<String>) {
    let variables: Vec<_> =
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    environment::read(&variables)
}

/// Reads a file, the environment and flags, as `load` does.
fn check(text: &str, environment: &[(&str, &str)], flags: &[Given]) -> Result<Loaded, Problems> {
    let (mut all, mut problems) = file::read("tidings.toml", text);
    let (more, wrong) = variables(environment);
    all.extend(more);
    problems.extend(wrong);
    all.extend_from_slice(flags);
    let merged = merge(Settings::default(), &all);
    if problems.is_empty() { merged } else { Err(Problems(problems)) }
}

fn wrong(text: &str, environment: &[(&str, &str)], flags: &[Given]) -> String {
    check(text, environment, flags).unwrap_err().to_string()
}

fn origin(loaded: &Loaded, key: &str) -> String {
    loaded.origin(TABLE.iter().find(|setting| setting.key == key).unwrap()).to_string()
}

#[test]
fn later_sources_win_and_each_value_says_where_it_came_from() {
    let file = "# of the operator\nheartbeat = \"20s\"\nretry = \"1s\"\nkeep-age = \"1day\"\n";
    let loaded = check(
        file,
        &[("TIDINGS_RETRY", "4s"), ("TIDINGS_KEEP_AGE", "2days"), ("HOME", "/")],
        &[given("keep-age", &["3days"])],
    )
    .unwrap();
    assert_eq!(loaded.settings.heartbeat, Duration::from_secs(20));
    assert_eq!(loaded.settings.retry, Duration::from_secs(4));
    assert_eq!(loaded.settings.keep_age, Duration::from_secs(3 * 24 * 60 * 60));
    assert_eq!(origin(&loaded, "heartbeat"), "tidings.toml:2");
    assert_eq!(origin(&loaded, "retry"), "TIDINGS_RETRY");
    assert_eq!(origin(&loaded, "keep-age"), "--keep-age");
    assert_eq!(origin(&loaded, "listen"), "default");
}

#[test]
fn lists_replace_lists() {
    let both =
        |settings: &Settings| settings.listen.iter().map(ToString::to_string).collect::<Vec<_>>();
    let file = "listen = [\"127.0.0.1:1\", \"[::1]:2\"]";
    assert_eq!(both(&check(file, &[], &[]).unwrap().settings), ["127.0.0.1:1", "[::1]:2"]);
    let one = "listen = \"localhost:1\"";
    assert_eq!(both(&check(one, &[], &[]).unwrap().settings), ["localhost:1"]);
    let environment = [("TIDINGS_LISTEN", "127.0.0.1:3, localhost:4")];
    let loaded = check(file, &environment, &[]).unwrap();
    assert_eq!(both(&loaded.settings), ["127.0.0.1:3", "localhost:4"]);
    let loaded = check(file, &environment, &[given("listen", &["a:4"])]).unwrap();
    assert_eq!(both(&loaded.settings), ["a:4"]);
}

#[test]
fn toml_values_have_their_own_types() {
    let file = "keep-bytes = 67_108_864\nallow-anonymous-publish = true\nshards = 0x3\n\
                data-bytes-max = \"2MiB\"\nbatch-bytes-max = \"1MB\"\n";
    let settings = check(file, &[], &[]).unwrap().settings;
    assert_eq!(settings.keep_bytes, Some(64 << 20));
    assert!(settings.allow_anonymous_publish);
    assert_eq!(settings.shards.get(), 3);
    assert_eq!(settings.data_bytes_max, 2 << 20);
    assert_eq!(settings.batch_bytes_max, 1_000_000);
}

#[test]
fn unknown_names_are_named_with_the_nearest_known_one() {
    assert_eq!(
        wrong("\nkeep_age = \"1day\"\nzzz = 1\n", &[], &[]),
        "tidings.toml:2: unknown key \"keep_age\": did you mean \"keep-age\"?\n\
         tidings.toml:3: unknown key \"zzz\""
    );
    assert_eq!(
        wrong("[server]\nlisten = 1", &[], &[]),
        "tidings.toml:1: unknown key \"server\": keys stand at the top level, without sections"
    );
    assert_eq!(
        wrong("", &[("TIDINGS_HEARTBEET", "1s")], &[]),
        "unknown variable TIDINGS_HEARTBEET: did you mean \"TIDINGS_HEARTBEAT\"?"
    );
}

#[test]
fn a_cluster_s_own_variables_are_not_ours() {
    let (given, problems) = variables(&[
        ("TIDINGS_SERVICE_HOST", "10.0.0.1"),
        ("TIDINGS_SERVICE_PORT", "3000"),
        ("TIDINGS_SERVICE_PORT_HTTP", "3000"),
        ("TIDINGS_PORT", "tcp://10.0.0.1:3000"),
        ("TIDINGS_PORT_3000_TCP", "tcp://10.0.0.1:3000"),
        ("TIDINGS_PORT_3000_TCP_ADDR", "10.0.0.1"),
        ("TIDINGS_EVENT", "message"),
        ("TIDINGS_ID", "1"),
        ("TIDINGS_CONFIG", "x.toml"),
    ]);
    assert!(given.is_empty());
    assert_eq!(problems, [""; 0]);
    assert_eq!(variables(&[("TIDINGS_PORT", "3000")]).1.len(), 1);
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    assert_eq!(
        wrong("heartbeat = 15", &[], &[]),
        "tidings.toml:1: heartbeat: \"15\" is no duration: write it with its unit, such as 15s, \
         500ms or 7days"
    );
    assert!(wrong("\n\nheartbeat = ", &[], &[]).starts_with("tidings.toml:3: "));
    assert!(wrong("heartbeat = [\"1s\"]", &[], &[]).contains("takes one value"));
    for (key, value) in [
        ("heartbeat", "0s"),
        ("heartbeat", "2days"),
        ("retry", "-1s"),
        ("keep-bytes", "lots"),
        ("keep-bytes", "12"),
        ("shards", "0"),
        ("shards", "100000"),
        ("selectors-max", "1.5"),
        ("listen", "3000"),
        ("listen", "::1:3000"),
        ("listen", ":3000"),
        ("listen", "127.0.0.1:99999"),
        ("listen", "unix:"),
        ("socket-mode", "rw"),
        ("socket-mode", "7777"),
        ("trusted-proxies", "proxy.example"),
        ("log", "disk:"),
        ("log", "disk"),
        ("log", "redis://127.0.0.1/x"),
        ("log", "nats://127.0.0.1/x"),
        ("nats-stream", "a.b"),
        ("nats-replicas", "2"),
        ("nats-domain", "a b"),
        ("redis-partitions", "0"),
        ("redis-partitions", "17"),
        ("redis-prefix", "a}b"),
        ("redis-wait-replicas", "-1"),
        ("sync", "sometimes"),
        ("sync", "interval:100"),
        ("url", "127.0.0.1:3000"),
        ("url", "file:///x"),
        ("url", "unix:"),
        ("log-format", "xml"),
        ("log-level", "a=b=c"),
        ("allow-anonymous-publish", "maybe"),
    ] {
        let wrong = wrong("", &[], &[given(key, &[value])]);
        assert!(wrong.starts_with(&format!("--{key}: ")), "{key} {value}: {wrong}");
    }
    let all = [given("heartbeat", &["x"]), given("shards", &["x"])];
    assert_eq!(wrong("", &[], &all).lines().count(), 2, "all mistakes at once");
}

#[test]
fn what_is_shown_can_be_read_back() {
    let mut settings = Settings::default();
    for setting in TABLE {
        let shown = (setting.show)(&settings);
        let values: Vec<_> = match setting.shape {
            table::Shape::Many(_) => shown.split(',').map(str::to_owned).collect(),
            _ => vec![shown.clone()],
        };
        (setting.read)(&mut settings, &values).unwrap();
        assert_eq!((setting.show)(&settings), shown, "{}", setting.key);
    }
    assert_eq!(settings.keep_bytes, Some(1 << 30));
}

#[test]
fn the_level_of_the_log_may_come_from_the_usual_variable() {
    let usual = ("RUST_LOG", "debug");
    let loaded = check("log-level = \"warn\"", &[usual], &[]).unwrap();
    assert_eq!(loaded.settings.log_level, "debug");
    assert_eq!(origin(&loaded, "log-level"), "RUST_LOG");
    let loaded = check("", &[usual, ("TIDINGS_LOG_LEVEL", "error")], &[]).unwrap();
    assert_eq!(loaded.settings.log_level, "error");
}

proptest! {
    /// Whatever stands in the file, it is settings or sentences with the file's name.
    #[test]
    fn any_file_is_settings_or_sentences(
        text in r#"[\PC\n]{0,80}"#,
        lines in prop::collection::vec(
            (0..TABLE.len(), r#"("[ -~]{0,12}"|-?[0-9]{1,20}|[0-9.e]{1,6}|true|false|\["?[a-z:0-9]{0,9}"?\]|\{\})"#),
            0..6,
        ),
    ) {
        let lines: Vec<_> =
            lines.iter().map(|(at, value)| format!("{} = {value}", TABLE[*at].key)).collect();
        for text in [text, lines.join("\n")] {
            if let Err(problems) = check(&text, &[], &[]) {
                assert!(problems.0.iter().all(|problem| problem.starts_with("tidings.toml:")), "{problems}");
            }
        }
    }
}
