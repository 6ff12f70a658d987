//! The rules that `deny.toml` holds.
//! Knows the keys of that file that we keep ourselves, and refuses those it would overlook.

use anyhow::{Context as _, Result};
use cargo_metadata::semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, Licensee};

/// What may be used, and what may not.
pub(crate) struct Policy {
    /// Licences that anything may have.
    pub(crate) allow: Vec<Licensee>,
    /// Licences that only one crate may have.
    pub(crate) exceptions: Vec<(Spec, Vec<Licensee>)>,
    /// The licences of crates that do not say it in a way a program can read.
    pub(crate) clarify: Vec<(Spec, Expression)>,
    /// Crates that we do not want to ship, with the reason.
    pub(crate) banned: Vec<(Spec, String)>,
}

impl Policy {
    /// Reads `deny.toml`.
    ///
    /// # Errors
    ///
    /// When it is no TOML, names no licence, or uses what this check would overlook.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        let exceptions = file.licenses.exceptions.iter();
        let clarify = file.licenses.clarify.iter();
        let banned = file.bans.deny.into_iter();
        Ok(Self {
            allow: licensees(&file.licenses.allow)?,
            exceptions: exceptions
                .map(|entry| Ok((Spec::parse(&entry.name)?, licensees(&entry.allow)?)))
                .collect::<Result<_>>()?,
            clarify: clarify
                .map(|entry| Ok((Spec::parse(&entry.name)?, Expression::parse(&entry.expression)?)))
                .collect::<Result<_>>()?,
            banned: banned
                .map(|entry| Ok((Spec::parse(&entry.name)?, entry.reason)))
                .collect::<Result<_>>()?,
        })
    }
}

/// A crate's name, and the versions that are meant: `name`, `name@1.2`.
pub(crate) struct Spec {
    name: String,
    versions: VersionReq,
}

impl Spec {
    fn parse(text: &str) -> Result<Self> {
        let (name, versions) = text.split_once('@').unwrap_or((text, "*"));
        let versions = VersionReq::parse(versions).with_context(|| format!("`{text}`"))?;
        Ok(Self { name: name.to_owned(), versions })
    }

    /// Whether this crate is meant.
    pub(crate) fn matches(&self, name: &str, version: &Version) -> bool {
        self.name == name && self.versions.matches(version)
    }
}

fn licensees(texts: &[String]) -> Result<Vec<Licensee>> {
    let parse = |text: &String| Licensee::parse(text).with_context(|| format!("licence `{text}`"));
    texts.iter().map(parse).collect()
}

// `deny_unknown_fields`, where we keep the rules ourselves: a key that `cargo deny` obeys and
// this check does not know of would let the two drift apart without a word.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// Both checks look at all platforms and features.
    #[serde(rename = "graph")]
    _graph: Graph,
    /// Needs the database of advisories, so the network: left to `cargo deny`.
    #[serde(rename = "advisories")]
    _advisories: Option<toml::Table>,
    licenses: Licenses,
    bans: Bans,
    #[serde(rename = "sources")]
    _sources: Sources,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Graph {
    #[serde(rename = "all-features")]
    _all_features: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
    #[serde(default)]
    clarify: Vec<Clarification>,
    #[serde(rename = "include-dev")]
    _include_dev: bool,
    #[serde(rename = "include-build")]
    _include_build: bool,
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: Option<f32>,
    #[serde(rename = "unused-allowed-license")]
    _unused_allowed_license: Option<String>,
    #[serde(rename = "unused-license-exception")]
    _unused_license_exception: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Clarification {
    #[serde(rename = "crate")]
    name: String,
    expression: String,
    /// Their hashes: left to `cargo deny`, which has its own way of making them.
    #[serde(rename = "license-files")]
    _license_files: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Bans {
    #[serde(default)]
    deny: Vec<Ban>,
    #[serde(rename = "multiple-versions")]
    _multiple_versions: Option<String>,
    #[serde(rename = "wildcards")]
    _wildcards: Option<String>,
    #[serde(rename = "allow-wildcard-paths")]
    _allow_wildcard_paths: Option<bool>,
    #[serde(rename = "skip", default)]
    _skip: Vec<toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    #[serde(rename = "use-instead")]
    _use_instead: Option<String>,
}

/// Nothing to allow here: only crates.io is allowed, and that is the default of both checks.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Sources {
    #[serde(rename = "unknown-registry")]
    _unknown_registry: Deny,
    #[serde(rename = "unknown-git")]
    _unknown_git: Deny,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Deny {
    Deny,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_file_is_understood() {
        let policy = Policy::parse(include_str!("../../../deny.toml")).unwrap();
        assert!(!policy.allow.is_empty());
        let ring = Version::new(0, 17, 14);
        assert!(policy.banned.iter().any(|(spec, _)| spec.matches("ring", &ring)));
    }

    #[test]
    fn a_key_that_we_would_overlook_is_refused() {
        let good = include_str!("../../../deny.toml");
        let bad = good.replace("[sources]\n", "[sources]\nallow-git = [\"https://a.example\"]\n");
        assert_ne!(good, bad);
        assert!(Policy::parse(&bad).is_err());
        let bad = good.replace("unknown-git = \"deny\"", "unknown-git = \"warn\"");
        assert_ne!(good, bad);
        assert!(Policy::parse(&bad).is_err());
    }

    #[test]
    fn a_spec_may_name_versions() {
        let spec = Spec::parse("ring@0.16").unwrap();
        assert!(spec.matches("ring", &Version::new(0, 16, 20)));
        assert!(!spec.matches("ring", &Version::new(0, 17, 0)));
        assert!(!spec.matches("spring", &Version::new(0, 16, 20)));
        assert!(Spec::parse("ring@x.y.z.w").is_err());
    }
}
