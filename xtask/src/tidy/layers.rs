//! Which module of a crate may use which.
//! Knows the layers of three crates; what a file refers to comes from `rust`.

use super::Finding;
use super::rust::{Parsed, Reference};
use super::tree::SourceFile;

/// Lowest first: a module may use those of the lines before its own. The crate's root is above
/// all of them.
type Layers = &'static [&'static [&'static str]];

const CORE: Layers = &[
    &["few", "limits", "pages"],
    &["cursor"],
    &["event", "vector"],
    &["sse", "topic"],
    &["session"],
    &["shard"],
    &["testing"],
];

const SERVER: Layers = &[
    &["config", "metrics", "peer"],
    &["auth", "gate"],
    &["engine"],
    &["admin"],
    &["api", "mercure"],
    &["http"],
    &["fuzzing"],
];

const CLIENT: Layers = &[
    &["limits"],
    &["error"],
    &["backoff", "event", "publish"],
    &["options"],
    &["connection"],
    &["source"],
    &["hub"],
];

fn layers_of(crate_name: &str) -> Option<Layers> {
    match crate_name {
        "tidings-client" => Some(CLIENT),
        "tidings-core" => Some(CORE),
        "tidings-server" => Some(SERVER),
        _ => None,
    }
}

/// Holds what a file refers to against the layers of its crate.
pub(crate) fn check(file: &SourceFile, parsed: &Parsed, findings: &mut Vec<Finding>) {
    let mut parts = file.path.split('/');
    let (Some("crates"), Some(crate_name), Some("src")) =
        (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let Some(layers) = layers_of(crate_name) else { return };
    if file.is_test() {
        return;
    }
    let path = module_path(parts);
    // The root gathers the modules and may name all of them.
    let Some(module) = path.first() else { return };
    let Some(layer) = layer(layers, module) else {
        let message = format!("module `{module}` is in no layer; {}", advice(crate_name));
        findings.push(Finding::new(&file.path, 1, message));
        return;
    };
    for reference in &parsed.references {
        let Some(name) = top_module(reference, path.len()) else { continue };
        if name == *module {
            continue;
        }
        let message = match self::layer(layers, name) {
            Some(other) if other < layer => continue,
            Some(_) => format!(
                "`{module}` must not use `{name}`, which is not below it; move what it needs \
                 down, or hand it in"
            ),
            None => format!(
                "`{module}` uses `{name}`, which is of the crate's root or in no layer; use the \
                 module it comes from, or {}",
                advice(crate_name)
            ),
        };
        findings.push(Finding::new(&file.path, reference.line, message));
    }
}

fn layer(layers: Layers, module: &str) -> Option<usize> {
    layers.iter().position(|names| names.contains(&module))
}

fn advice(crate_name: &str) -> String {
    let list = match crate_name {
        "tidings-client" => "CLIENT",
        "tidings-core" => "CORE",
        _ => "SERVER",
    };
    format!("add it to {list} (xtask/src/tidy/layers.rs) where it belongs")
}

/// `sse/encode.rs` is `["sse", "encode"]`, `sse/mod.rs` is `["sse"]`, `lib.rs` is `[]`.
fn module_path<'path>(parts: impl Iterator<Item = &'path str>) -> Vec<&'path str> {
    let mut path: Vec<&str> = parts.map(|part| part.strip_suffix(".rs").unwrap_or(part)).collect();
    if let Some(&("lib" | "main" | "mod")) = path.last() {
        path.pop();
    }
    path
}

/// The module right below the crate's root that a path leads into, where it is not its own.
fn top_module(reference: &Reference, depth: usize) -> Option<&str> {
    let leaves = match reference.up {
        None => true,
        Some(up) => up >= depth + reference.inline,
    };
    leaves.then_some(reference.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::rust::parse;
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: format!("crates/{path}"), text: text.to_owned() };
        let mut findings = Vec::new();
        check(&file, &parse(&file).unwrap(), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_fine(path: &str, text: &str) {
        assert_eq!(findings(path, text), Vec::<String>::new());
    }

    #[track_caller]
    fn assert_found(path: &str, text: &str, what: &str) {
        let found = findings(path, text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
    }

    #[test]
    fn a_module_may_use_those_below_it() {
        assert_fine("tidings-core/src/sse/encode.rs", "use crate::event::Event;");
        assert_fine("tidings-core/src/sse/encode.rs", "use crate::sse::Decoder;");
        assert_fine("tidings-core/src/lib.rs", "use crate::shard::Shard;");
        assert_fine("tidings-server/src/http/listen.rs", "use crate::api::router;");
        assert_fine("tidings-log/src/memory.rs", "use crate::anything;");
    }

    #[test]
    fn a_module_may_not_use_those_above_or_beside_it() {
        let event = "tidings-core/src/event/fields.rs";
        assert_found(event, "use std::fs;\nuse crate::sse::Decoder;", "fields.rs:2: `event` must");
        assert_found(event, "use super::super::topic::Trie;", "must not use `topic`");
        assert_found("tidings-core/src/event/mod.rs", "use super::topic::T;", "not use `topic`");
        assert_found("tidings-core/src/sse/mod.rs", "use crate::topic::T;", "not use `topic`");
        assert_found("tidings-server/src/engine/mod.rs", "fn f() { crate::api::g() }", "`api`");
    }

    #[test]
    fn super_within_a_module_stays_in_it() {
        assert_fine("tidings-core/src/topic/index.rs", "use super::shard::X;");
        assert_fine("tidings-core/src/topic/mod.rs", "mod inner { use super::shard; }");
    }

    #[test]
    fn the_root_is_above_all() {
        let text = "use crate::Hub;";
        assert_found("tidings-server/src/api/mod.rs", text, "uses `Hub`, which is of the crate's");
    }

    #[test]
    fn a_module_that_no_list_has() {
        assert_found("tidings-server/src/news.rs", "", "`news` is in no layer; add it to SERVER");
        assert_found("tidings-core/src/news/mod.rs", "", "add it to CORE");
    }

    #[test]
    fn tests_may_use_everything() {
        assert_fine("tidings-core/src/event/tests.rs", "use crate::shard::Shard;");
        let text = "#[cfg(test)]\nmod tests { use crate::shard::Shard; }";
        assert_fine("tidings-core/src/event/mod.rs", text);
    }
}
