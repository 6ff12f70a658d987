//! A Rust file, parsed: what is in it, where its tests are, and which modules it names.
//! Knows the language; nothing of any rule.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::Finding;
use super::tree::SourceFile;

/// Lines of a file, counted from 1.
pub(crate) type Lines = RangeInclusive<usize>;

/// What the rules want to know of a file.
#[derive(Default)]
pub(crate) struct Parsed {
    /// Items that are compiled for tests only.
    pub(crate) tests: Vec<Lines>,
    /// Functions that have a body: name, and from `fn` to the closing brace.
    pub(crate) functions: Vec<(String, Lines)>,
    /// String literals; rustfmt does not break them, nor the expression around them.
    pub(crate) strings: Vec<Lines>,
    /// Paths into this crate, outside of tests.
    pub(crate) references: Vec<Reference>,
}

/// A path like `crate::event::Topic` or `super::super::event`.
#[derive(Debug, PartialEq)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    /// How many times `super`; `None` where the path begins with `crate`.
    pub(crate) up: Option<usize>,
    /// How many inline modules are around it.
    pub(crate) inline: usize,
    /// The first word after `crate` or the last `super`.
    pub(crate) name: String,
}

impl Parsed {
    /// Whether a line is part of the tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|lines| lines.contains(&line))
    }
}

/// Parses a file.
///
/// # Errors
///
/// A finding where it is not Rust.
pub(crate) fn parse(file: &SourceFile) -> Result<Parsed, Finding> {
    let not_rust = |error: &dyn std::error::Error, line: usize| {
        Finding::new(&file.path, line, format!("does not parse ({error}); make it compile"))
    };
    let tree = syn::parse_file(&file.text)
        .map_err(|error| not_rust(&error, error.span().start().line.max(1)))?;
    let tokens: TokenStream = file.text.parse().map_err(|error| not_rust(&error, 1))?;

    let mut functions = Functions::default();
    functions.visit_file(&tree);
    let mut parsed = Parsed { functions: functions.0, ..Parsed::default() };
    let source: Vec<&str> = file.text.lines().collect();
    Walk { source: &source, parsed: &mut parsed }.stream(tokens, 0, false);
    Ok(parsed)
}

#[derive(Default)]
struct Functions(Vec<(String, Lines)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let start = signature.fn_token.span.start().line;
        let end = body.brace_token.span.close().end().line;
        self.0.push((signature.ident.to_string(), start..=end));
    }
}

impl<'tree> Visit<'tree> for Functions {
    fn visit_item_fn(&mut self, item: &'tree syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'tree syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'tree syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Goes through the tokens, so that paths within macros are seen as well. Comments are none.
struct Walk<'a> {
    source: &'a [&'a str],
    parsed: &'a mut Parsed,
}

impl Walk<'_> {
    fn stream(&mut self, stream: TokenStream, inline: usize, in_test: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if !in_test && is_test_attribute(&tokens[at..]) {
                let end = item_end(&tokens, at);
                let lines = first_line(&tokens[at])..=last_line(&tokens[end]);
                self.parsed.tests.push(lines);
                let item = tokens[at..=end].iter().cloned().collect();
                self.stream(item, inline, true);
                at = end + 1;
                continue;
            }
            match &tokens[at] {
                TokenTree::Ident(word) if !in_test && (word == "crate" || word == "super") => {
                    at = self.path(&tokens, at, inline);
                    continue;
                }
                TokenTree::Group(group) => {
                    let module = group.delimiter() == Delimiter::Brace
                        && at >= 2
                        && is_word(&tokens[at - 2], "mod");
                    self.stream(group.stream(), inline + usize::from(module), in_test);
                }
                TokenTree::Literal(literal) => self.literal(literal),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a path from `crate` or `super` on; returns where to go on.
    fn path(&mut self, tokens: &[TokenTree], start: usize, inline: usize) -> usize {
        let mut at = start;
        let mut up = None;
        while let Some(TokenTree::Ident(word)) = tokens.get(at)
            && (word == "crate" || word == "super")
            && is_path_separator(&tokens[at + 1..])
        {
            if word == "super" {
                up = Some(up.unwrap_or(0) + 1);
            }
            at += 3;
        }
        if at == start {
            return start + 1; // `pub(crate)`, `pub(super)`
        }
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => {
                self.reference(up, inline, name);
                at + 1
            }
            Some(TokenTree::Group(group)) => {
                self.use_group(group.stream(), up, inline);
                at + 1
            }
            _ => at,
        }
    }

    /// Reads the first words of `{a::b, c, d::{e, f}}`.
    fn use_group(&mut self, stream: TokenStream, up: Option<usize>, inline: usize) {
        let mut first = true;
        for token in stream {
            match token {
                TokenTree::Ident(name) if first => {
                    self.reference(up, inline, &name);
                    first = false;
                }
                TokenTree::Punct(punct) => first = punct.as_char() == ',',
                _ => first = false,
            }
        }
    }

    fn reference(&mut self, up: Option<usize>, inline: usize, name: &proc_macro2::Ident) {
        let line = name.span().start().line;
        self.parsed.references.push(Reference { line, up, inline, name: name.to_string() });
    }

    fn literal(&mut self, literal: &proc_macro2::Literal) {
        let (start, end) = (literal.span().start(), literal.span().end());
        // The lexer makes string literals of doc comments; those begin with a slash.
        let text = self.source.get(start.line - 1).map_or("", |line| *line);
        let is_comment = text.chars().nth(start.column) == Some('/');
        if literal.to_string().contains('"') && !is_comment {
            self.parsed.strings.push(start.line..=end.line);
        }
    }
}

/// `#[cfg(test)]`, `#[cfg(all(test, …))]`; not `#[cfg(not(test))]`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens else { return false };
    let mut words = Vec::new();
    collect_words(group.stream(), &mut words);
    hash.as_char() == '#'
        && words.first().is_some_and(|word| word == "cfg")
        && words.iter().any(|word| word == "test")
        && !words.iter().any(|word| word == "not")
}

fn collect_words(stream: TokenStream, words: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => collect_words(group.stream(), words),
            _ => {}
        }
    }
}

/// The last token of the item whose first attribute begins here: its `;` or its body.
fn item_end(tokens: &[TokenTree], start: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    let found = tokens[start..].iter().position(is_end);
    found.map_or(tokens.len() - 1, |offset| start + offset)
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(first), TokenTree::Punct(second), ..] = tokens else { return false };
    first.as_char() == ':' && second.as_char() == ':'
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn first_line(token: &TokenTree) -> usize {
    token.span().start().line
}

fn last_line(token: &TokenTree) -> usize {
    token.span().end().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed {
        let file = SourceFile { path: "crates/a/src/lib.rs".to_owned(), text: text.to_owned() };
        parse(&file).unwrap()
    }

    fn references(text: &str) -> Vec<String> {
        let show = |reference: Reference| match reference.up {
            None => format!("crate {}", reference.name),
            Some(up) => format!("{up} {}", reference.name),
        };
        parsed(text).references.into_iter().map(show).collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(references("use crate::event::Topic;"), ["crate event"]);
        assert_eq!(
            references("use crate::{event::{Data, Topic}, limits, self};"),
            ["crate event", "crate limits", "crate self"]
        );
        assert_eq!(references("use super::super::shard::Shard;"), ["2 shard"]);
        assert_eq!(
            references("fn f() -> crate::a::B { vec![crate::c::D] }"),
            ["crate a", "crate c"]
        );
        assert_eq!(references("fn f() { println!(\"{}\", crate::a::B) }"), ["crate a"]);
    }

    #[test]
    fn what_is_no_path_of_the_program_is_not() {
        assert!(references("pub(crate) fn f() {}\npub(super) fn g() {}").is_empty());
        assert!(references("//! See crate::a::B.\n// crate::c\n").is_empty());
        assert!(references("const A: &str = \"crate::a::B\";").is_empty());
        assert!(references("#[cfg(test)]\nmod tests { use crate::a::B; }").is_empty());
        assert!(references("#[cfg(test)]\nuse crate::a::B;").is_empty());
        assert_eq!(references("#[cfg(not(test))]\nuse crate::a::B;"), ["crate a"]);
        assert_eq!(
            references("#[cfg(test)]\nmod tests;\nuse crate::a::B;"),
            ["crate a"],
            "after the item"
        );
    }

    #[test]
    fn inline_modules_are_counted() {
        let found = parsed("mod a { mod b { use super::super::c; } }").references;
        assert_eq!(found, [Reference { line: 1, up: Some(2), inline: 2, name: "c".to_owned() }]);
    }

    #[test]
    fn tests_functions_and_strings_have_lines() {
        let text =
            "fn f() {\n    g(\"x\");\n}\n\n/// Doc.\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
        let parsed = parsed(text);
        assert_eq!(parsed.functions, [("f".to_owned(), 1..=3), ("t".to_owned(), 8..=8)]);
        assert_eq!(parsed.tests, [6..=9]);
        assert_eq!(parsed.strings, [2..=2]);
        assert!(parsed.is_test(8) && !parsed.is_test(2));
    }

    #[test]
    fn what_is_no_rust_is_a_finding() {
        let file = SourceFile { path: "a.rs".to_owned(), text: "\nfn {".to_owned() };
        let finding = parse(&file).err().unwrap().to_string();
        assert!(finding.starts_with("a.rs:2: does not parse"), "{finding}");
    }
}
