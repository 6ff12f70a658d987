//! The step `licences`: every dependency against `deny.toml`, without the network.
//! Knows how to ask cargo what is used; the rules are in [`policy`], applying them in [`check`].

mod check;
mod policy;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

use self::check::{Dependency, Origin};
use self::policy::Policy;
use crate::context::{Context, cargo};
use crate::process::command_line;

/// Holds what the project is built from against `deny.toml`, which `cargo deny check` reads too.
pub(crate) fn step(context: &Context) -> Result<()> {
    let text = fs::read_to_string(context.root.join("deny.toml")).context("deny.toml")?;
    let policy = Policy::parse(&text).context("deny.toml")?;
    let dependencies = dependencies(context)?;
    let findings = check::check(&dependencies, &policy);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} finding(s) in {} packages", findings.len(), dependencies.len());
    }
    println!("{} packages, their licences and sources are as deny.toml has it", dependencies.len());
    Ok(())
}

/// All packages in use, on any platform, as normal, build or development dependencies.
///
/// Metadata lists more: what a feature would bring that nobody asked for. `cargo tree` knows
/// which those are.
fn dependencies(context: &Context) -> Result<Vec<Dependency>> {
    let metadata = metadata(context)?;
    let used = tree(context, "normal,build,dev")?;
    let normal = tree(context, "normal")?;
    let mut dependencies = Vec::with_capacity(used.len());
    for package in &metadata.packages {
        let key = (package.name.to_string(), package.version.to_string());
        if !used.contains(&key) {
            continue;
        }
        let origin = match &package.source {
            Some(source) if source.is_crates_io() => Origin::CratesIo,
            Some(source) => Origin::Elsewhere(source.repr.clone()),
            None if metadata.workspace_members.contains(&package.id) => Origin::Workspace,
            None => Origin::Elsewhere(package.manifest_path.to_string()),
        };
        dependencies.push(Dependency {
            name: package.name.to_string(),
            version: package.version.clone(),
            licence: package.license.clone(),
            origin,
            normal: normal.contains(&key),
        });
    }
    ensure!(
        dependencies.len() >= used.len(),
        "cargo metadata has {} of the {} packages that cargo tree has",
        dependencies.len(),
        used.len()
    );
    Ok(dependencies)
}

fn metadata(context: &Context) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(&context.root).features(CargoOpt::AllFeatures);
    command.other_options(["--locked", "--offline"].map(str::to_owned));
    command.exec().or_else(|error| {
        // Building for this platform does not fetch what only others need, but we look at all.
        println!("fetching the packages of all platforms: {}", first_line(&error.to_string()));
        context.runner.run(&mut cargo(&["fetch", "--locked"]))?;
        command.exec().context("cargo metadata")
    })
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// Names and versions of what `cargo tree` shows.
fn tree(context: &Context, edges: &str) -> Result<BTreeSet<(String, String)>> {
    let mut command: Command = cargo(&["tree", "--workspace", "--all-features", "--target", "all"]);
    command.args(["--locked", "--offline", "--prefix", "none", "--format", "{p}"]);
    command.args(["--edges", edges]).current_dir(&context.root);
    let output = command.output().context("cannot run cargo tree")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("`{}` failed: {errors}", command_line(&command));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(name_and_version).collect())
}

/// Reads `serde v1.0.0 (proc-macro) (*)`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    Some((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree_are_read() {
        let read = |line| name_and_version(line).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(read("serde v1.0.229").as_deref(), Some("serde 1.0.229"));
        assert_eq!(read("syn v3.0.10 (*)").as_deref(), Some("syn 3.0.10"));
        assert_eq!(read("xtask v0.1.0 (path)").as_deref(), Some("xtask 0.1.0"));
        assert_eq!(read(""), None);
    }
}
