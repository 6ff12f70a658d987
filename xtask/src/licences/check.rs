//! Holds dependencies against the policy.
//! Knows nothing of cargo: what is used comes in, what is wrong goes out.

use cargo_metadata::semver::Version;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

use super::policy::{Policy, Spec};

/// A package that the project uses.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// What its manifest says; many an old one separates by `/` what it means by `OR`.
    pub(crate) licence: Option<String>,
    pub(crate) origin: Origin,
    /// Whether it is part of what is shipped, not only of building or testing it.
    pub(crate) normal: bool,
}

/// Where a package comes from.
pub(crate) enum Origin {
    Workspace,
    CratesIo,
    /// A git repository, another registry, or a path outside of the workspace.
    Elsewhere(String),
}

/// All that is wrong, a sentence each, which says what to do.
pub(crate) fn check(dependencies: &[Dependency], policy: &Policy) -> Vec<String> {
    let mut findings = Vec::new();
    for dependency in dependencies {
        let Dependency { name, version, .. } = dependency;
        if let Err(what) = licence(dependency, policy) {
            findings.push(format!("{name} {version}: {what}"));
        }
        if let Origin::Elsewhere(origin) = &dependency.origin {
            findings.push(format!("{name} {version}: comes from {origin}; use crates.io"));
        }
        let ban = policy.banned.iter().find(|(spec, _)| spec.matches(name, version));
        if let Some((_, reason)) = ban
            && dependency.normal
        {
            findings.push(format!(
                "{name} {version}: banned in deny.toml ({reason}); `cargo tree -i {name}` says \
                 who brings it"
            ));
        }
    }
    findings
}

fn licence(dependency: &Dependency, policy: &Policy) -> Result<(), String> {
    let clarified = policy.clarify.iter().find(|(spec, _)| names(spec, dependency));
    let parsed;
    let expression = match (clarified, &dependency.licence) {
        (Some((_, expression)), _) => expression,
        (None, Some(text)) => {
            parsed = Expression::parse_mode(text, ParseMode::LAX)
                .map_err(|error| format!("licence `{text}` is not understood: {}", error.reason))?;
            &parsed
        }
        (None, None) => {
            return Err("names no licence; read its licence file and add a [[licenses.clarify]] \
                        to deny.toml"
                .to_owned());
        }
    };
    let exceptions = policy.exceptions.iter().filter(|(spec, _)| names(spec, dependency));
    let allowed: Vec<&Licensee> =
        exceptions.flat_map(|(_, licensees)| licensees).chain(&policy.allow).collect();
    let allow = |wanted: &LicenseReq| allowed.iter().any(|licensee| licensee.satisfies(wanted));
    expression.evaluate_with_failures(allow).map_err(|refused| {
        let refused: Vec<String> = refused.iter().map(|entry| entry.req.to_string()).collect();
        format!(
            "licence {} is not allowed ({expression}); do without it, or allow it in deny.toml \
             with the reason",
            refused.join(", ")
        )
    })
}

fn names(spec: &Spec, dependency: &Dependency) -> bool {
    spec.matches(&dependency.name, &dependency.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [graph]
        all-features = true
        [licenses]
        include-dev = true
        include-build = true
        allow = ["MIT", "Apache-2.0", "ISC"]
        exceptions = [{ crate = "foldhash", allow = ["Zlib"] }]
        [[licenses.clarify]]
        crate = "file-only@1"
        expression = "ISC AND MIT"
        license-files = [{ path = "LICENSE", hash = 0x1 }]
        [bans]
        deny = [{ crate = "ring", reason = "a second TLS provider" }]
        [sources]
        unknown-registry = "deny"
        unknown-git = "deny"
    "#;

    fn dependency(name: &str, licence: Option<&str>) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: Version::new(1, 0, 0),
            licence: licence.map(str::to_owned),
            origin: Origin::CratesIo,
            normal: true,
        }
    }

    fn findings(dependency: Dependency) -> String {
        check(&[dependency], &Policy::parse(POLICY).unwrap()).join("\n")
    }

    #[track_caller]
    fn assert_fine(name: &str, licence: Option<&str>) {
        assert_eq!(findings(dependency(name, licence)), "");
    }

    #[track_caller]
    fn assert_found(name: &str, licence: Option<&str>, what: &str) {
        let found = findings(dependency(name, licence));
        assert!(found.contains(what), "`{found}` should contain `{what}`");
    }

    #[test]
    fn expressions_are_evaluated() {
        assert_fine("a", Some("MIT"));
        assert_fine("a", Some("MIT/Apache-2.0"));
        assert_fine("a", Some("GPL-3.0 OR MIT"));
        assert_found("a", Some("GPL-3.0-only"), "licence GPL-3.0-only is not allowed");
        assert_found("a", Some("MIT AND MPL-2.0"), "licence MPL-2.0 is not allowed");
        assert_found("a", Some("mine"), "not understood");
    }

    #[test]
    fn an_exception_is_for_its_crate_only() {
        assert_fine("foldhash", Some("Zlib"));
        assert_found("other", Some("Zlib"), "licence Zlib is not allowed");
    }

    #[test]
    fn a_licence_file_alone_has_to_be_clarified() {
        assert_fine("file-only", None);
        assert_found("other", None, "add a [[licenses.clarify]]");
        let later = Dependency { version: Version::new(2, 0, 0), ..dependency("file-only", None) };
        assert!(findings(later).contains("names no licence"), "clarified for version 1 only");
    }

    #[test]
    fn a_banned_crate_is_found_where_it_is_shipped() {
        assert_found("ring", Some("ISC"), "banned in deny.toml (a second TLS provider)");
        let tool = Dependency { normal: false, ..dependency("ring", Some("ISC")) };
        assert_eq!(findings(tool), "");
    }

    #[test]
    fn other_sources_are_refused() {
        let from = |origin| Dependency { origin, ..dependency("a", Some("MIT")) };
        assert_eq!(findings(from(Origin::Workspace)), "");
        let found = findings(from(Origin::Elsewhere("git+https://a.example/a".to_owned())));
        assert!(found.contains("comes from git+https://a.example/a"), "{found}");
    }
}
