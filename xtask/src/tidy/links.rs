//! Links between the Markdown files, and from them to other files.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::Finding;
use super::tree::SourceFile;

/// Finds the links that point to no file or directory of the repository.
pub(crate) fn check(files: &[SourceFile], findings: &mut Vec<Finding>) {
    let mut places = BTreeSet::new();
    for file in files {
        let mut place = file.path.as_str();
        places.insert(place);
        while let Some((directory, _)) = place.rsplit_once('/') {
            places.insert(directory);
            place = directory;
        }
    }
    for file in files.iter().filter(|file| file.extension() == "md") {
        for (line, target) in links(&file.text) {
            let Some(place) = resolve(&file.path, &target) else {
                let message = format!("`{target}` leads out of the repository; link within it");
                findings.push(Finding::new(&file.path, line, message));
                continue;
            };
            if !place.is_empty() && !places.contains(place.as_str()) {
                let message = format!("there is no `{place}`; correct the link");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
}

/// The targets within the repository, without their `#fragment`, by line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        let target = dest_url.split(['#', '?']).next().unwrap_or_default();
        if target.is_empty() || has_scheme(&dest_url) {
            continue;
        }
        let line = text[..range.start].matches('\n').count() + 1;
        links.push((line, target.replace("%20", " ")));
    }
    links
}

/// `https:`, `mailto:`, `data:`.
fn has_scheme(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// The path from the repository's root that a link of this file leads to.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let file =
            |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
        let files = [file("docs/a.md", text), file("docs/b.md", ""), file("LICENSE-MIT", "")];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_there_may_be_linked() {
        assert!(
            findings("[b](b.md) [c](../LICENSE-MIT) [d](../docs/) [e](/docs/b.md#x)").is_empty()
        );
        assert!(
            findings("[up](..) [self](#part) [web](https://a.example/b) [m](mailto:a@b)")
                .is_empty()
        );
        assert!(findings("```\n[x](no.md)\n```\n`[x](no.md)`").is_empty(), "code is no link");
    }

    #[test]
    fn what_is_not_there_is_found() {
        let found = findings("# A\n\nSee [c](c.md),\n![d](img/d.png) and [e].\n\n[e]: e.md\n");
        let expected = ["c.md", "img/d.png", "e.md"];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, name) in found.iter().zip(expected) {
            assert!(found.contains(&format!("there is no `docs/{name}`")), "{found}");
        }
        assert!(found[0].starts_with("docs/a.md:3: "), "{found:?}");
        assert!(findings("[x](../../b.md)")[0].contains("leads out of the repository"));
    }
}
