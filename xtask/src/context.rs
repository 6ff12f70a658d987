//! Where the repository and its build output are, and what every step shares.
//! Knows nothing of any particular check.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::process::Runner;

/// What every step is handed.
pub(crate) struct Context {
    /// The directory with the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds; honours `CARGO_TARGET_DIR`.
    pub(crate) target: PathBuf,
    /// The workspace's own packages, without their dependencies.
    pub(crate) workspace: Metadata,
    /// Starts programs in the repository's root.
    pub(crate) runner: Runner,
}

impl Context {
    /// Finds the repository that this program was built from.
    ///
    /// # Errors
    ///
    /// When `cargo metadata` fails, or signals cannot be caught.
    pub(crate) fn new() -> Result<Self> {
        let root = root();
        let workspace = MetadataCommand::new()
            .current_dir(&root)
            .no_deps()
            .exec()
            .context("cannot read the workspace")?;
        let target = workspace.target_directory.clone().into_std_path_buf();
        let runner = Runner::new(root.clone())?;
        Ok(Self { root, target, workspace, runner })
    }

    /// The binary that the step `release` builds and the browser's and clients' tests run.
    pub(crate) fn release_binary(&self) -> PathBuf {
        self.target.join("release").join(format!("tidings{}", env::consts::EXE_SUFFIX))
    }

    /// The Python virtual environment that the step `install` makes.
    pub(crate) fn venv(&self) -> PathBuf {
        self.target.join("venv")
    }
}

/// The repository's root: the parent of this package. Cargo tells where that is at run time,
/// as a checkout may be moved after it was built.
pub(crate) fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The cargo that started us, so that all steps use one toolchain.
///
/// What `cargo run` told us of this package is not passed on: build scripts that read it would
/// run again each time a person's own `cargo build` and ours take turns.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Looks a program up in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The Chromium to test with: `CHROMIUM` where it is set, otherwise the first in `PATH`.
pub(crate) fn find_chromium() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os("CHROMIUM").map(PathBuf::from) {
        return chosen.is_file().then_some(chosen);
    }
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find_program)
}
