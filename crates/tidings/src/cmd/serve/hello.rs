//! What is printed when a hub is there: what it serves, where, and lines to copy.
//! Knows nothing of the hub but its settings and addresses.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;

use crate::output;
use crate::settings::{Keep, LogFormat, Settings, bytes_text, duration_text};

use super::bind::{Bound, Name};
use super::tls::Certificate;

/// What there is to say.
#[derive(Debug)]
pub(in crate::cmd) struct Hello {
    program: &'static str,
    urls: Vec<String>,
    here: Here,
    log: String,
    lines: Vec<String>,
}

/// How the hub is reached from this machine.
#[derive(Clone, Debug)]
pub(in crate::cmd) struct Here {
    /// What stands before the URL on a shell's command line.
    pub(in crate::cmd) curl: String,
    pub(in crate::cmd) url: String,
    /// What there is to know about the certificate.
    certificate: Option<String>,
}

impl Here {
    fn new(name: &Name, certificate: Option<&Certificate>) -> Self {
        let here = |curl: String, url: String| Self { curl, url, certificate: None };
        match (name, certificate) {
            (Name::Unix(path), _) => {
                here(format!("curl --unix-socket {path}"), "http://localhost".into())
            }
            (Name::Https(address), Some(Certificate { dev: Some(file), .. })) => {
                let url = format!("https://{}", from_here(*address));
                match file {
                    Some(file) => {
                        let file = file.display();
                        let said = format!(
                            "certificate {file}: made here for localhost. Browsers ask once \
                             whether to go on; others can trust it (SSL_CERT_FILE={file})"
                        );
                        Self {
                            certificate: Some(said),
                            ..here(format!("curl --cacert {file}"), url)
                        }
                    }
                    None => {
                        let said = "certificate made for this run and for localhost: browsers ask \
                                    whether to go on, curl goes on with -k";
                        Self { certificate: Some(said.into()), ..here("curl -k".into(), url) }
                    }
                }
            }
            (Name::Https(address), _) => {
                let said = "certificate read again when it changes; use its own name in place of \
                            the address";
                let url = format!("https://{}", from_here(*address));
                Self { certificate: Some(said.into()), ..here("curl".into(), url) }
            }
            (Name::Http(address), _) => {
                here("curl".into(), format!("http://{}", from_here(*address)))
            }
        }
    }
}

impl Hello {
    /// What to say of a hub that listens there.
    ///
    /// # Errors
    /// Where it listens nowhere.
    pub(in crate::cmd) fn new(
        program: &'static str,
        bound: &Bound,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let first = bound.places.first().context("there is no listener")?;
        let here = Here::new(&first.name, bound.certificate.as_ref());
        let urls = bound.places.iter().map(|place| place.name.to_string()).collect();
        let lines = lines(&here, settings);
        Ok(Self { program, urls, here, log: log(settings), lines })
    }

    /// How the hub is reached from this machine.
    pub(in crate::cmd) fn here(&self) -> &Here {
        &self.here
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
        let _ = writeln!(text, "\nlog: {}", self.log);
        if let Some(certificate) = &self.here.certificate {
            let _ = writeln!(text, "{certificate}");
        }
        text.push('\n');
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

fn lines(here: &Here, settings: &Settings) -> Vec<String> {
    let access = settings.access();
    let token = |needed| if needed { "-H \"Authorization: Bearer $TIDINGS_TOKEN\" " } else { "" };
    let publishing = token(access.has_keys() && !access.anonymous_publish);
    let reading = token(!access.anonymous_subscribe);
    let Here { curl, url, .. } = here;
    vec![
        format!("publish     {curl} {publishing}-d 'hello' {url}/topics/greetings"),
        format!("subscribe   {curl} {reading}-N {url}/topics/greetings"),
        format!("look back   {curl} {reading}-N '{url}/topics/greetings?last=10'"),
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
        #[cfg(feature = "nats")]
        Keep::Nats(address) => format!("{address} (stream {}), {kept}", settings.nats_stream),
        #[cfg(feature = "redis")]
        Keep::Redis(address) => format!("{address} (prefix {}), {kept}", settings.redis_prefix),
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
    use crate::settings::Listen;

    use super::super::bind::bind;
    use super::super::inherited::Inherited;
    use super::*;

    async fn hello(listen: &str, settings: Settings) -> Hello {
        let settings = Settings { listen: vec![Listen::parse(listen).unwrap()], ..settings };
        let bound = bind(&settings, Inherited::default()).await.unwrap();
        Hello::new("tidings", &bound, &settings).unwrap()
    }

    #[tokio::test]
    async fn the_first_line_has_the_real_address() {
        let hello = hello("127.0.0.1:0", Settings::default()).await;
        let url = &hello.here().url;
        assert!(!url.ends_with(":0"), "{url}");
        for text in [hello.human(), hello.json()] {
            let first = text.lines().next().unwrap();
            assert!(first.contains(&format!("listening on {url}")), "{first}");
        }
        assert_eq!(hello.json().lines().count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&hello.json()).unwrap();
        assert_eq!(parsed["urls"][0], *url);
    }

    #[tokio::test]
    async fn what_is_to_be_copied_says_how_to_trust_a_certificate_or_to_find_a_socket() {
        let dev = Settings { dev_tls: true, log: Keep::Memory, ..Settings::default() };
        let secure = hello("127.0.0.1:0", dev.clone()).await.human();
        assert!(secure.contains("listening on https://127.0.0.1:"), "{secure}");
        assert!(secure.contains("curl -k -N https://127.0.0.1:"), "{secure}");
        let plain = hello("http://127.0.0.1:0", dev).await.human();
        assert!(plain.contains("curl -N http://127.0.0.1:"), "{plain}");
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("hub.sock");
        let path = path.display();
        let local = hello(&format!("unix:{path}"), Settings::default()).await.human();
        assert!(local.contains(&format!("curl --unix-socket {path} -N http://local")), "{local}");
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
