//! Makes command-line flags out of the table of settings.
//! Knows nothing of the commands that carry them.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::table::{Scope, Shape};
use super::{Given, Origin, Setting, Settings, TABLE};

/// What stands over the flags of all commands in their help.
pub(crate) const GLOBAL_HEADING: &str = "Options of all commands";

/// The flags of one group of settings, as they were given.
#[derive(Clone, Debug)]
pub(crate) struct Flags<G> {
    pub(crate) given: Vec<Given>,
    group: PhantomData<G>,
}

/// A group of settings that a command carries as flags.
pub(crate) trait Group {
    /// Whether this setting belongs to it.
    fn has(setting: &Setting) -> bool;

    /// What holds where nothing is said.
    fn defaults() -> Settings {
        Settings::default()
    }

    /// Whether the file and the environment count too.
    const FLAGS_ONLY: bool = false;

    /// Whether all commands below take the flags too.
    const GLOBAL: bool = false;
}

/// The flags of commands that talk to a hub.
#[derive(Clone, Debug)]
pub(crate) enum Client {}

/// The flags of `demo`.
#[derive(Clone, Debug)]
pub(crate) enum Demo {}

/// The flags of all commands.
#[derive(Clone, Debug)]
pub(crate) enum Everywhere {}

/// The flags of `serve`.
#[derive(Clone, Debug)]
pub(crate) enum Serve {}

impl Group for Client {
    fn has(setting: &Setting) -> bool {
        setting.scope == Scope::Client
    }
}

impl Group for Demo {
    fn has(setting: &Setting) -> bool {
        setting.scope == Scope::ServeAndDemo
    }

    fn defaults() -> Settings {
        Settings { log: super::Keep::Memory, ..Settings::default() }
    }

    const FLAGS_ONLY: bool = true;
}

impl Group for Everywhere {
    fn has(setting: &Setting) -> bool {
        setting.scope == Scope::Everywhere
    }

    const GLOBAL: bool = true;
}

impl Group for Serve {
    fn has(setting: &Setting) -> bool {
        matches!(setting.scope, Scope::Serve | Scope::ServeAndDemo)
    }
}

impl<G: Group> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        let defaults = G::defaults();
        command.args(TABLE.iter().filter(|setting| G::has(setting)).map(|setting| {
            let arg = Arg::new(setting.key).long(setting.key).global(G::GLOBAL);
            let arg = match setting.shape {
                Shape::Many(value) => arg.value_name(value).action(ArgAction::Append),
                Shape::One(value) | Shape::Secret(value) => {
                    arg.value_name(value).action(ArgAction::Set)
                }
                Shape::Switch => arg.action(ArgAction::SetTrue),
            };
            let default = match (setting.shape, (setting.show)(&defaults)) {
                (Shape::Switch, _) => String::new(),
                (_, shown) if shown.is_empty() => shown,
                (_, shown) => format!(" [default: {shown}]"),
            };
            let arg = if G::GLOBAL { arg.help_heading(GLOBAL_HEADING) } else { arg };
            let variable = match G::FLAGS_ONLY {
                true => String::new(),
                false => format!(" [env: {}]", setting.variable()),
            };
            arg.help(format!("{}{default}{variable}", setting.help))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<G: Group> FromArgMatches for Flags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for setting in TABLE.iter().filter(|setting| G::has(setting)) {
            let values: Vec<String> = match setting.shape {
                Shape::Switch if matches.get_flag(setting.key) => vec!["true".into()],
                Shape::Switch => Vec::new(),
                Shape::Many(_) | Shape::One(_) | Shape::Secret(_) => matches
                    .get_many::<String>(setting.key)
                    .map_or_else(Vec::new, |values| values.cloned().collect()),
            };
            if !values.is_empty() {
                let origin = Origin::Flag(format!("--{}", setting.key));
                given.push(Given { setting, values, origin });
            }
        }
        Ok(Self { given, group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
