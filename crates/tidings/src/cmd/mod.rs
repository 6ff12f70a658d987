//! The commands, one file or folder each; and what they have in common: settings, log, runtime.
//! Knows nothing of what they do.

mod bench;
mod completions;
mod config;
pub(crate) mod demo;
mod demo_command;
mod keygen;
mod publish;
mod serve;
mod subscribe;
mod token;

use std::future::Future;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command, GlobalArgs};
use crate::exit::Interrupted;
use crate::settings::{self, Given, Loaded, Settings};
use crate::signals::Signals;
use crate::{client, logging};

/// Runs what was typed.
///
/// # Errors
/// Whatever ends the command other than its work being done.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli { command, everywhere } = cli;
    match command {
        Command::Serve(args) => {
            let inherited = serve::Inherited::take()?;
            let loaded = load(&everywhere, args.flags.given)?;
            logging::start(&loaded.settings)?;
            let runtime = server_runtime(&loaded.settings)?;
            let successor = runtime.block_on(serve::run(&loaded, inherited))?;
            drop(runtime);
            successor.map_or(Ok(()), |successor| Err(successor.start()))
        }
        Command::Demo(args) => {
            let given = [everywhere.given(), args.flags.given].concat();
            let settings = settings::load_demo(&given)?.settings;
            logging::start(&settings)?;
            let inherited = serve::Inherited::take()?;
            let runtime = server_runtime(&settings)?;
            #[cfg(feature = "redis")]
            if let Some(nodes) = args.nodes {
                return runtime.block_on(demo_command::run_nodes(nodes, &settings, inherited));
            }
            runtime.block_on(demo_command::run(&settings, inherited))
        }
        Command::Publish(args) => {
            let settings = client_settings(&everywhere, &args.client.given)?;
            let client = client::Client::new(&settings.url, &settings.credential)?;
            run_client(publish::run(&client, args))
        }
        Command::Subscribe(args) => {
            let settings = client_settings(&everywhere, &args.client.given)?;
            let client = client::Client::new(&settings.url, &settings.credential)?;
            run_client(subscribe::run(&client, args))
        }
        Command::Bench(args) => {
            let settings = client_settings(&everywhere, &args.given())?;
            let client = client::Client::new(&settings.url, &settings.credential)?;
            run_client(bench::run(&client, args))
        }
        Command::Token(args) => token::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Config(args) => config::run(&everywhere, args),
        Command::Completions(args) => completions::run(args),
    }
}

fn load(everywhere: &GlobalArgs, flags: Vec<Given>) -> anyhow::Result<Loaded> {
    let given = [everywhere.given(), flags].concat();
    Ok(settings::load(&given, everywhere.config.as_deref())?)
}

fn client_settings(everywhere: &GlobalArgs, flags: &[Given]) -> anyhow::Result<Settings> {
    let settings = load(everywhere, flags.to_vec())?.settings;
    logging::start(&settings)?;
    Ok(settings)
}

fn server_runtime(settings: &Settings) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(settings.workers.get()).enable_all();
    builder.build().context("can't start the runtime")
}

/// Runs a client command until it is done or a signal comes. What it was doing is dropped then,
/// and a child of it ends with it.
fn run_client(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime =
        Builder::new_current_thread().enable_all().build().context("can't start the runtime")?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = command => ended,
            received = signals.next() => Err(Interrupted { signal: received.number }.into()),
        }
    });
    // A read of stdin can't be taken back, and must not keep the program.
    runtime.shutdown_background();
    ended
}
