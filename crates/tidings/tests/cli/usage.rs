//! Help, completions, mistakes on the command line, and the exit codes for them.

use crate::harness::run;

#[test]
fn help_is_success_and_shows_defaults_variables_and_examples() {
    let help = run(&["--help"]);
    for command in [
        "serve",
        "publish",
        "subscribe",
        "demo",
        "token",
        "keygen",
        "bench",
        "config",
        "completions",
    ] {
        assert!(help.lines().iter().any(|line| line.trim().starts_with(command)), "{command}");
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Usage: tidings"), "{}", help.stdout);
    }
    let serve = run(&["serve", "--help"]).stdout;
    for text in ["127.0.0.1:3000", "TIDINGS_LISTEN", "disk:./tidings-data", "Examples:"] {
        assert!(serve.contains(text), "{text}");
    }
    let demo = run(&["demo", "--help"]).stdout;
    assert!(demo.contains("[default: memory]") && !demo.contains("TIDINGS_LISTEN"), "{demo}");
    assert!(run(&["--version"]).lines()[0].starts_with("tidings "));
}

#[test]
fn wrong_usage_is_2() {
    run(&[]).failed(2, &["Usage:"]);
    run(&["serv"]).failed(2, &["serve"]);
    run(&["serve", "--lisen", "x"]).failed(2, &["--listen"]);
    run(&["serve", "--heartbeat", "15"])
        .failed(2, &["tidings: --heartbeat: \"15\" is no duration"]);
    run(&["serve", "--log", "kafka://h"]).failed(2, &["disk:PATH"]);
    run(&["publish"]).failed(2, &["<TOPIC>"]);
    run(&["publish", "a", "b", "--file", "c"]).failed(2, &["cannot be used"]);
    run(&["publish", "a", "b", "--url", "here"]).failed(2, &["--url: \"here\" is no URL"]);
    run(&["publish", "..", "b"]).failed(2, &["can't carry \"..\""]);
    run(&["subscribe"]).failed(2, &["<TOPIC>"]);
    run(&["subscribe", "a", "--last", "1", "--since", "1m"]).failed(2, &["cannot be used"]);
    run(&["completions", "tcsh"]).failed(2, &["fish"]);
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert!(script.lines().len() > 50, "{shell}");
        for word in ["keep-bytes", "token-file", "keygen", "explain"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
}
