//! Words that must not stay: unfinished work, tests that do not run, one machine's paths.

use super::Finding;
use super::tree::SourceFile;

/// Taken apart, so that this file does not find itself.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimplemen", "ted!"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const NOT_RUN: &[&str] = &[
    concat!("#[", "ignore"),
    concat!("test", ".skip"),
    concat!("test", ".only"),
    concat!("it", ".skip"),
    concat!("it", ".only"),
    concat!("describe", ".skip"),
    concat!("describe", ".only"),
];
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/", "/tmp/"];

const CODE: &[&str] = &[
    "cjs", "css", "html", "js", "jsx", "mjs", "py", "rs", "sh", "toml", "ts", "tsx", "yaml", "yml",
];

/// Looks for the words in a file of any kind.
pub(crate) fn check(file: &SourceFile, findings: &mut Vec<Finding>) {
    let extension = file.extension();
    let is_code = CODE.contains(&extension) || file.path.starts_with(".ci/");
    for (index, line) in file.text.lines().enumerate() {
        let mut found = |message: String| {
            findings.push(Finding::new(&file.path, index + 1, message));
        };
        if is_code {
            for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
                found(format!("`{word}` is unfinished work; do it, or open an issue"));
            }
            for word in NOT_RUN.iter().filter(|word| has_word(line, word)) {
                found(format!("`{word}` keeps tests from running; repair or remove them"));
            }
        }
        if matches!(extension, "md" | "toml") {
            for path in MACHINE_PATHS.iter().filter(|path| has_path(line, path)) {
                found(format!("`{path}` is a path of one machine; name it from the repository"));
            }
        }
    }
}

/// Whether the word stands in the line, and not as a part of another.
fn has_word(line: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = !word.starts_with(in_word) || !before.is_some_and(in_word);
        let ends = !word.ends_with(in_word) || !after.is_some_and(in_word);
        begins && ends
    })
}

/// Whether an absolute path stands in the line; `a/tmp/` and `https://a.example/home/` are none.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~)]}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        let mut findings = Vec::new();
        check(&file, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_word_is_found() {
        for word in UNFINISHED.iter().chain(NOT_RUN) {
            let found = findings("a.rs", &format!("fine\n  {word}(\"x\")\n"));
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert!(found[0].starts_with(&format!("a.rs:2: `{word}`")), "{found:?}");
        }
        assert_eq!(findings(".ci/run", UNFINISHED[2]).len(), 1);
    }

    #[test]
    fn a_part_of_another_word_is_not() {
        let harmless = [
            format!("mktemp {0}{0}", UNFINISHED[3]),
            format!("commit.only my{}", UNFINISHED[0]),
            format!("{}ped", NOT_RUN[0].trim_start_matches("#[")),
        ];
        for line in harmless {
            assert!(findings("a.sh", &line).is_empty(), "{line}");
        }
        assert!(findings("a.md", UNFINISHED[2]).is_empty(), "prose may speak of it");
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for path in MACHINE_PATHS {
            assert_eq!(findings("a.md", &format!("see `{path}x`")).len(), 1, "{path}");
            assert_eq!(findings("a.toml", &format!("x = \"{path}x\"")).len(), 1, "{path}");
            assert!(findings("a.rs", path).is_empty(), "{path}");
        }
        assert!(findings("a.md", "https://a.example/home/ docs/work/ $HOME/tmp/").is_empty());
    }
}
