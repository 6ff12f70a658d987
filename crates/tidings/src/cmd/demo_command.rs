//! `tidings demo`: a hub, or several that are one, with the demo's pages and events on top.
//! Knows nothing of what these are.

use anyhow::Context;
use tidings_core::topic::{Selector, Selectors};
use tidings_server::auth::Access;
use tidings_server::{Config, Hub, api};
use tokio::sync::watch;

use crate::settings::Settings;
use crate::signals::Signals;

use super::demo;
use super::serve::{self, Hello, Here, Inherited, SharedTickets};

/// Runs one hub until a signal comes and all is closed.
///
/// # Errors
/// As `serve`.
pub(super) async fn run(settings: &Settings, inherited: Inherited) -> anyhow::Result<()> {
    let bound = serve::bind(settings, inherited).await?;
    let logs = serve::open_logs(settings, &SharedTickets::default()).await?;
    let selector = Selector::parse(demo::TOPIC).context("the demo's topic")?;
    let selectors = Selectors::parse(vec![selector], 1).context("the demo's topic")?;
    let config = Config { default_selectors: Some(selectors), ..settings.hub() };
    let config = serve::within_open_files(config);
    let hub = Hub::start_partitioned(logs, config).context("can't start the hub")?;
    let router = api::router(hub.clone(), Access::open())
        .merge(demo::router(hub.clone()))
        .merge(demo::alone(hub.clone()));
    let signals = Signals::new()?;
    let hello = Hello::new("tidings demo", &bound, settings)?;
    let lines = lines(hello.here());
    hello.with_lines(lines).print(settings.log_format)?;
    let _driver = drive(&hub);
    serve::until_closed(bound, router, hub, signals, None).await.map(drop)
}

/// Runs several hubs on a Redis server of their own, until a signal comes and all is closed. What
/// the demo publishes goes into their log beside them; nobody subscribes here.
///
/// # Errors
/// As `serve`, and where a child can't be started, or the server ends.
#[cfg(feature = "redis")]
pub(super) async fn run_nodes(
    count: u8,
    settings: &Settings,
    inherited: Inherited,
) -> anyhow::Result<()> {
    use demo::nodes::{self, Engine, Nodes};

    let bound = serve::bind(settings, inherited).await?;
    // Declared first, so that it goes last.
    let directory = nodes::directory()?;
    let mut engine = Engine::start(directory.path())?;
    let log = crate::settings::Keep::Redis(engine.address()?);
    // The server's memory is this machine's too: as much as one hub would keep there.
    let keep_bytes = Some(settings.keep_bytes());
    let settings = &Settings { log, keep_bytes, ..settings.clone() };
    let shared = SharedTickets::default();
    let logs = tokio::select! {
        logs = serve::open_logs(settings, &shared) => logs?,
        ended = engine.ended() => return Err(ended),
    };
    let config = serve::within_open_files(settings.hub());
    let hub = Hub::start_partitioned(logs, config).context("can't start the hub")?;
    let nodes = Nodes::new(count.into(), directory.path(), settings);
    let router = demo::router(hub.clone()).merge(nodes::router(nodes.clone()));
    let signals = Signals::new()?;
    let serving = async {
        nodes.ready().await;
        let hello = Hello::new("tidings demo", &bound, settings)?;
        let mut lines = lines(hello.here());
        lines.push(nodes.line());
        hello.with_lines(lines).print(settings.log_format)?;
        let _driver = drive(&hub);
        serve::until_closed(bound, router, hub.clone(), signals, None).await.map(drop)
    };
    // None of these is spawned: children end with the thread that has started them, and this one
    // lives as long as the program.
    let running = async {
        // It ends first: streams through the front end with the nodes that they are on.
        tokio::try_join!(nodes.run(&hub), serving).map(drop)
    };
    let ended = tokio::select! {
        ended = running => ended,
        ended = engine.ended() => Err(ended),
    };
    engine.stop().await;
    ended
}

/// Publishes the demo's stream until it is dropped.
fn drive(hub: &Hub) -> Driver {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(demo::drive(hub.clone(), stopped));
    Driver { _stop: stop }
}

/// Its driver stops when its sender is gone.
struct Driver {
    _stop: watch::Sender<bool>,
}

fn lines(here: &Here) -> Vec<String> {
    let Here { curl, url, .. } = here;
    vec![
        format!("open        {url}/"),
        format!("subscribe   {curl} -N {url}/events"),
        format!("publish     {curl} -d 'hello' {url}/topics/demo/notifications"),
    ]
}
