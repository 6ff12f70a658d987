//! `tidings config check`: every setting, its value, and where that comes from.
//! Knows nothing of what the settings do.

use std::sync::Arc;

use crate::cli::{ConfigArgs, ConfigCheckArgs, ConfigCommand, GlobalArgs};
use crate::output;
use crate::settings::{self, Loaded, TABLE};

use super::serve;

/// # Errors
/// Everything that is wrong with the settings, at once.
pub(super) fn run(everywhere: &GlobalArgs, args: ConfigArgs) -> anyhow::Result<()> {
    let ConfigCommand::Check(ConfigCheckArgs { file, flags }) = args.command;
    let given = [everywhere.given(), flags.given].concat();
    let file = file.as_deref().or(everywhere.config.as_deref());
    let loaded = settings::load(&given, file)?;
    serve::check(&loaded.settings)?;
    serve::load_access(&loaded.settings, &Arc::default())?;
    output::write(&report(&loaded))
}

fn report(loaded: &Loaded) -> String {
    let rows: Vec<[String; 3]> = TABLE
        .iter()
        .map(|setting| {
            let value = (setting.show)(&loaded.settings);
            [setting.key.into(), value, loaded.origin(setting).to_string()]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (keys, values) = (width(0), width(1));
    let mut report = match &loaded.file {
        Some(file) => format!("OK: {}\n\n", file.display()),
        None => "OK (no tidings.toml here)\n\n".into(),
    };
    for [key, value, origin] in &rows {
        report.push_str(&format!("{key:keys$}  {value:values$}  {origin}\n"));
    }
    report
}
