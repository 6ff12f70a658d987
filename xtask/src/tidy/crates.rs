//! Which crate may depend on which, and what the core may depend on at all.
//! Knows crates, not modules; those are in `layers`.

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;
use super::tree::SourceFile;

/// Lowest first: a crate may depend on those of the lines before its own.
const LEVELS: &[&[&str]] = &[
    &["tidings-core"],
    &["tidings-log"],
    &["tidings-bench", "tidings-server"],
    // Above the server, with which it is tested; see CLIENT for what it is built on.
    &["tidings-client"],
    &["tidings"],
];

const CORE: &str = "tidings-core";
/// No runtime, no socket, no clock: so the compiler keeps the core pure.
const CORE_DEPENDENCIES: &[&str] = &["bytes", "foldhash", "memchr", "slab", "thiserror"];

const CLIENT: &str = "tidings-client";
/// Of our crates: it goes into other people's programs, which need no hub.
const CLIENT_OURS: &[&str] = &["tidings-core"];

/// What this check wants to know of a package.
pub(crate) struct Package {
    name: String,
    /// The path of its `Cargo.toml` from the repository's root.
    manifest: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// Whether it comes by path, so is one of ours.
    ours: bool,
    /// Only tests, examples and benchmarks see it.
    development: bool,
}

/// The packages under `crates/`.
pub(crate) fn packages(workspace: &Metadata) -> Vec<Package> {
    let mut packages = Vec::new();
    for package in workspace.workspace_packages() {
        let manifest = package.manifest_path.strip_prefix(&workspace.workspace_root);
        let manifest = manifest.unwrap_or(&package.manifest_path).as_str().replace('\\', "/");
        if manifest.starts_with("crates/") {
            let dependencies = package.dependencies.iter().map(|dependency| Dependency {
                name: dependency.name.clone(),
                ours: dependency.path.is_some(),
                development: dependency.kind == DependencyKind::Development,
            });
            let dependencies = dependencies.collect();
            packages.push(Package { name: package.name.to_string(), manifest, dependencies });
        }
    }
    packages
}

/// Holds the packages' dependencies against the lists above.
pub(crate) fn check(packages: &[Package], files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let manifest = files.iter().find(|file| file.path == package.manifest);
        let text = manifest.map_or("", |file| &file.text);
        let mut found = |name: &str, message: String| {
            findings.push(Finding::new(&package.manifest, line_of(text, name), message));
        };
        let Some(level) = level(&package.name) else {
            found("name", format!("`{}` {}", package.name, unlisted("LEVELS")));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.ours) {
            let name = &dependency.name;
            match self::level(name) {
                None => found(name, format!("`{name}` {}", unlisted("LEVELS"))),
                Some(other) if other >= level => found(
                    name,
                    format!(
                        "`{}` must not depend on `{name}`, which is not below it; move what it \
                         needs down",
                        package.name
                    ),
                ),
                Some(_) => {}
            }
        }
        if package.name == CLIENT {
            check_client(package, &mut found);
        }
        if package.name == CORE {
            check_core(package, &mut found);
        }
    }
    findings
}

fn check_client(package: &Package, found: &mut impl FnMut(&str, String)) {
    for dependency in &package.dependencies {
        let name = dependency.name.as_str();
        if dependency.ours && !dependency.development && !CLIENT_OURS.contains(&name) {
            found(
                name,
                format!(
                    "the client must not depend on `{name}`; it may be for its tests, or argue for \
                     it in CLIENT_OURS (xtask/src/tidy/crates.rs)"
                ),
            );
        }
    }
}

fn check_core(package: &Package, found: &mut impl FnMut(&str, String)) {
    let shipped = || package.dependencies.iter().filter(|dependency| !dependency.development);
    for dependency in shipped() {
        let name = dependency.name.as_str();
        if !CORE_DEPENDENCIES.contains(&name) {
            found(
                name,
                format!(
                    "the core must not depend on `{name}`; do it in a higher crate, or argue for \
                     it in CORE_DEPENDENCIES (xtask/src/tidy/crates.rs)"
                ),
            );
        }
    }
    for name in CORE_DEPENDENCIES {
        if !shipped().any(|dependency| dependency.name == *name) {
            found(
                "[dependencies]",
                format!(
                    "the core does without `{name}` now; take it from CORE_DEPENDENCIES \
                     (xtask/src/tidy/crates.rs)"
                ),
            );
        }
    }
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|names| names.contains(&name))
}

fn unlisted(list: &str) -> String {
    format!("is in no level; add it to {list} (xtask/src/tidy/crates.rs)")
}

/// The line of a manifest that begins with this word, or the first.
fn line_of(text: &str, word: &str) -> usize {
    let begins = |line: &str| {
        line.strip_prefix(word).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_')
        })
    };
    text.lines().position(begins).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, bool, bool)]) -> Package {
        let dependency = |&(name, ours, development): &(&str, bool, bool)| Dependency {
            name: name.to_owned(),
            ours,
            development,
        };
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn findings(package: Package) -> Vec<String> {
        check(&[package], &[]).iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_found(package: Package, what: &str) {
        let found = findings(package);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
    }

    #[test]
    fn only_downwards() {
        let fine = package("tidings-server", &[("tidings-core", true, false)]);
        assert!(findings(fine).is_empty());
        let up = package("tidings-log", &[("tidings-server", true, true)]);
        assert_found(up, "`tidings-log` must not depend on `tidings-server`");
        let beside = package("tidings-log", &[("tidings-client", true, false)]);
        assert_found(beside, "must not depend on `tidings-client`");
    }

    #[test]
    fn a_crate_that_no_list_has() {
        assert_found(package("tidings-new", &[]), "add it to LEVELS");
        let uses = package("tidings", &[("tidings-new", true, false)]);
        assert_found(uses, "`tidings-new` is in no level");
    }

    #[test]
    fn the_core_has_exactly_the_dependencies_of_the_list() {
        let listed = || CORE_DEPENDENCIES.iter().map(|name| (*name, false, false));
        let tests = [("proptest", false, true)];
        let exact: Vec<_> = listed().chain(tests).collect();
        assert!(findings(package(CORE, &exact)).is_empty());
        let more: Vec<_> = listed().chain([("tokio", false, false)]).collect();
        assert_found(package(CORE, &more), "the core must not depend on `tokio`");
        let fewer: Vec<_> = listed().skip(1).collect();
        assert_found(package(CORE, &fewer), "does without `bytes`");
    }

    #[test]
    fn the_client_ships_without_a_hub() {
        let tested = [("tidings-core", true, false), ("tidings-server", true, true)];
        assert!(findings(package(CLIENT, &tested)).is_empty());
        let shipped = [("tidings-server", true, false)];
        assert_found(package(CLIENT, &shipped), "the client must not depend on `tidings-server`");
    }

    #[test]
    fn findings_name_the_line() {
        let text = "[dependencies]\nbytes-utils = \"1\"\nbytes.workspace = true\n";
        assert_eq!(line_of(text, "bytes"), 3);
        assert_eq!(line_of(text, "tokio"), 1);
    }
}
