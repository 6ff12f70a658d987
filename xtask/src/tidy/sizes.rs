//! How files begin and how long their parts may be.

use super::Finding;
use super::rust::{Lines, Parsed};
use super::tree::SourceFile;

/// A file that is longer has more than one subject.
const FILE_LINES_MAX: usize = 800;
/// A function that is longer does not fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
/// A comment that begins like this, in the function or above it, gives the reason for its length.
const EXCUSE: &str = "// Long because";

/// The rules for lines, for which nothing has to be parsed.
pub(crate) fn check_lines(file: &SourceFile, findings: &mut Vec<Finding>) {
    let first = file.text.lines().next().unwrap_or_default();
    if !first.starts_with("//!") && !file.is_test() {
        findings.push(Finding::new(
            &file.path,
            1,
            "the first line must be a `//!` line; say what this file knows",
        ));
    }
}

/// The rules for lengths.
pub(crate) fn check(file: &SourceFile, parsed: &Parsed, findings: &mut Vec<Finding>) {
    check_file(file, parsed, findings);
    check_functions(file, parsed, findings);
    check_columns(file, parsed, findings);
}

fn check_file(file: &SourceFile, parsed: &Parsed, findings: &mut Vec<Finding>) {
    if file.is_test() {
        return;
    }
    let total = file.text.lines().count();
    let lines = (1..=total).filter(|line| !parsed.is_test(*line)).count();
    if lines > FILE_LINES_MAX {
        let message = format!(
            "{lines} lines without its tests, {FILE_LINES_MAX} at most; split it by what it knows"
        );
        findings.push(Finding::new(&file.path, 1, message));
    }
}

fn check_functions(file: &SourceFile, parsed: &Parsed, findings: &mut Vec<Finding>) {
    let source: Vec<&str> = file.text.lines().collect();
    for (name, lines) in &parsed.functions {
        let length = lines.end() - lines.start() + 1;
        if length > FUNCTION_LINES_MAX && !is_excused(&source, lines) {
            let message = format!(
                "`{name}` has {length} lines, {FUNCTION_LINES_MAX} at most; split it, or say why \
                 not in a comment `{EXCUSE} …`"
            );
            findings.push(Finding::new(&file.path, *lines.start(), message));
        }
    }
}

/// Looks in the function and in the comments and attributes right above it.
fn is_excused(source: &[&str], lines: &Lines) -> bool {
    let (start, end) = (lines.start() - 1, (*lines.end()).min(source.len()));
    let above = source[..start].iter().rev().take_while(|line| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with('#')
    });
    let mut all = above.chain(&source[start..end]);
    all.any(|line| line.trim_start().starts_with(EXCUSE))
}

fn check_columns(file: &SourceFile, parsed: &Parsed, findings: &mut Vec<Finding>) {
    for (index, text) in file.text.lines().enumerate() {
        let line = index + 1;
        let columns = text.chars().count();
        if columns <= COLUMNS_MAX || is_unbreakable(text, line, parsed) {
            continue;
        }
        let message = format!("{columns} columns, {COLUMNS_MAX} at most; break the line");
        findings.push(Finding::new(&file.path, line, message));
    }
}

/// What rustfmt leaves long: strings, and in comments addresses and tables.
fn is_unbreakable(text: &str, line: usize, parsed: &Parsed) -> bool {
    let text = text.trim_start();
    if text.starts_with("//") {
        let comment = text.trim_start_matches(['/', '!']).trim_start();
        return comment.contains("://") || comment.starts_with('|');
    }
    parsed.strings.iter().any(|lines| lines.contains(&line))
}

#[cfg(test)]
mod tests {
    use super::super::rust::parse;
    use super::*;

    fn findings_at(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        let mut findings = Vec::new();
        check_lines(&file, &mut findings);
        check(&file, &parse(&file).unwrap(), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    fn findings(text: &str) -> Vec<String> {
        findings_at("crates/a/src/lib.rs", text)
    }

    #[track_caller]
    fn assert_found(text: &str, what: &str) {
        let found = findings(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
    }

    #[test]
    fn a_file_says_what_it_knows() {
        assert!(findings("//! Knows.\n").is_empty());
        assert_found("use std::fs;\n", "lib.rs:1: the first line must be a `//!` line");
        assert_found("", "the first line");
        assert!(findings_at("crates/a/src/b/tests.rs", "use std::fs;\n").is_empty());
    }

    #[test]
    fn a_file_has_an_end() {
        let long = |lines: usize| format!("//! Knows.\n{}", "const _: () = ();\n".repeat(lines));
        assert!(findings(&long(799)).is_empty());
        assert_found(&long(800), "801 lines without its tests");
        let tests =
            format!("//! Knows.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "use a;\n".repeat(900));
        assert!(findings(&tests).is_empty());
        let all_tests = "use a;\n".repeat(900);
        assert!(findings_at("crates/a/tests/it.rs", &all_tests).is_empty());
    }

    #[test]
    fn a_function_fits_on_a_screen() {
        let long = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines));
        assert!(findings(&format!("//! Knows.\n{}", long(68))).is_empty());
        assert_found(&format!("//! Knows.\n\n{}", long(69)), "lib.rs:3: `f` has 71 lines");
        let method = format!("//! Knows.\nimpl A {{\n{}}}\n", long(69));
        assert_found(&method, "`f` has 71 lines");
        let excused = format!("//! Knows.\n// Long because it is a table.\n{}", long(69));
        assert!(findings(&excused).is_empty());
        let of_another =
            format!("//! Knows.\n// Long because it is a table.\nfn e() {{}}\n{}", long(69));
        assert_found(&of_another, "`f` has 71 lines");
    }

    #[test]
    fn a_line_ends_before_the_margin() {
        let many = "x".repeat(100);
        assert_found(&format!("//! Knows.\n// {many}\n"), "lib.rs:2: 103 columns");
        assert_found(&format!("//! Knows.\nfn {many}() {{}}\n"), "108 columns");
        assert!(findings(&format!("//! Knows.\nconst A: &str = \"{many}\";\n")).is_empty());
        assert!(findings(&format!("//! Knows.\n//! https://a.example/{many}\n")).is_empty());
        assert_found(&format!("//! Knows.\n//! \"{many}\"\n"), "106 columns");
    }
}
