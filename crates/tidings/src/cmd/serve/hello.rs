//! What is printed when a hub is there: what it serves, where, and lines to copy.
//! Knows nothing of the hub but its settings and addresses.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::output;
use crate::settings::{Keep, LogFormat, Settings, bytes_text, duration_text};

/// What there is to say.
#[derive(Debug)]
pub(in crate::cmd) struct Hello {
    program: &'static str,
    urls: Vec<String>,
    /// An address that works from this machine.
    url: String,
    log: String,
    lines: Vec<String>,
}

impl Hello {
    /// What to say of a hub on these listeners.
    ///
    /// # Errors
    /// Where a listener has no address.
    pub(in crate::cmd) fn new(
        program: &'static str,
        listeners: &[TcpListener],
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()
            .context("a listener has no address")?;
        let first = addresses.first().context("there is no listener")?;
        let url = format!("http://{}", from_here(*first));
        let urls = addresses.iter().map(|address| format!("http://{address}")).collect();
        let lines = lines(&url, settings);
        Ok(Self { program, urls, url, log: log(settings), lines })
    }

    /// An address that works from this machine.
    pub(in crate::cmd) fn url(&self) -> &str {
        &self.url
    }

    /// Says these lines instead of the usual ones.
    pub(in crate::cmd) fn with_lines(self, lines: Vec<String>) -> Self {
        Self { lines, ..self }
    }

    /// Prints it on stdout. The first line has the address either way, for scripts that wait
    /// for it.
    ///
    /// # Errors
    /// Where stdout can't be written; that nobody reads it is none.
    pub(in crate::cmd) fn print(&self, format: LogFormat) -> anyhow::Result<()> {
        let text = match format {
            LogFormat::Human => self.human(),
            LogFormat::Json => self.json(),
        };
        match output::write(&text) {
            // A server goes on when the script that started it has seen enough.
            Err(error) if error.is::<crate::exit::ReaderGone>() => Ok(()),
            written => written,
        }
    }

    fn first_line(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        format!("{} {version} listening on {}", self.program, self.urls.join(" and "))
    }

    fn human(&self) -> String {
        let mut text = self.first_line();
        // Writing into a String can't fail.
        let _ = writeln!(text, "\nlog: {}\n", self.log);
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn json(&self) -> String {
        let line = serde_json::json!({
            "level": "INFO",
            "message": self.first_line(),
            "urls": self.urls,
            "log": self.log,
        });
        format!("{line}\n")
    }
}

fn lines(url: &str, settings: &Settings) -> Vec<String> {
    let access = settings.access();
    let token = |needed| if needed { "-H \"Authorization: Bearer $TIDINGS_TOKEN\" " } else { "" };
    let publishing = token(access.has_keys() && !access.anonymous_publish);
    let reading = token(!access.anonymous_subscribe);
    vec![
        format!("publish     curl {publishing}-d 'hello' {url}/topics/greetings"),
        format!("subscribe   curl {reading}-N {url}/topics/greetings"),
        format!("look back   curl {reading}-N '{url}/topics/greetings?last=10'"),
        format!("browser     new EventSource(\"{url}/topics/greetings\")"),
        format!("watch       {url}/topics/greetings in a browser's address bar"),
        format!("operate     {url}/healthz /readyz /metrics"),
    ]
}

fn log(settings: &Settings) -> String {
    let kept = format!(
        "keeps {} or {}",
        duration_text(settings.keep_age),
        bytes_text(settings.keep_bytes())
    );
    match &settings.log {
        Keep::Disk(path) => format!("{} (sync {}), {kept}", path.display(), settings.sync),
        Keep::Memory => format!("memory, {kept}, forgotten at exit"),
    }
}

/// An address that listens everywhere is reached from here through loopback.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_line_has_the_real_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hello = Hello::new("tidings", &[listener], &Settings::default()).unwrap();
        for text in [hello.human(), hello.json()] {
            let first = text.lines().next().unwrap();
            assert!(first.contains(&format!("listening on http://{address}")), "{first}");
        }
        assert_eq!(hello.json().lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&hello.json()).unwrap();
        assert_eq!(parsed["urls"][0], format!("http://{address}"));
    }

    #[test]
    fn lines_to_copy_work_from_here() {
        let check = |address: &str, expected: &str| {
            assert_eq!(from_here(address.parse().unwrap()).to_string(), expected);
        };
        check("0.0.0.0:1", "127.0.0.1:1");
        check("[::]:1", "[::1]:1");
        check("10.0.0.1:1", "10.0.0.1:1");
    }
}
