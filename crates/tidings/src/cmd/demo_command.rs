//! `tidings demo`: a hub with the demo's pages and events on top.
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

/// Runs until a signal comes and all is closed.
///
/// # Errors
/// As `serve`.
pub(super) async fn run(settings: &Settings, inherited: Inherited) -> anyhow::Result<()> {
    let bound = serve::bind(settings, inherited).await?;
    let log = serve::open_log(settings, &SharedTickets::default()).await?;
    let selector = Selector::parse(demo::TOPIC).context("the demo's topic")?;
    let selectors = Selectors::parse(vec![selector], 1).context("the demo's topic")?;
    let config = Config { default_selectors: Some(selectors), ..settings.hub() };
    let config = serve::within_open_files(config);
    let hub = Hub::start(log, config).context("can't start the hub")?;
    let router = api::router(hub.clone(), Access::open()).merge(demo::router(hub.clone()));
    let signals = Signals::new()?;
    let hello = Hello::new("tidings demo", &bound, settings)?;
    let lines = lines(hello.here());
    hello.with_lines(lines).print(settings.log_format)?;
    let (stop, stopped) = watch::channel(false);
    let driver = tokio::spawn(demo::drive(hub.clone(), stopped));
    let ended = serve::until_closed(bound, router, hub, signals, None).await;
    stop.send_replace(true);
    driver.abort();
    ended.map(drop)
}

fn lines(here: &Here) -> Vec<String> {
    let Here { curl, url, .. } = here;
    vec![
        format!("open        {url}/"),
        format!("subscribe   {curl} -N {url}/events"),
        format!("publish     {curl} -d 'hello' {url}/topics/demo/notifications"),
    ]
}
