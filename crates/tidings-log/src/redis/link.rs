//! Connections to the server, and commands over them.
//! The one file that knows the client library; knows nothing of the log.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, TlsCertificates, Value,
};
use tokio::time::timeout;

use super::options::{RedisAddress, RedisError, RedisOptions, Way};
use super::scripts::{self, Answer, Keys, Script, text};
use super::sizes::{CONNECT_TIME_MAX, LEADS_MAX};

/// Makes connections.
#[derive(Debug)]
pub(super) struct Dialer {
    /// The server; or one for each of those who say where it is.
    clients: Vec<Client>,
    /// Whom of the cluster's servers to ask first: who answered last.
    first: AtomicUsize,
    address: RedisAddress,
    authority: Option<Vec<u8>>,
    /// A key of the log. The server that has it has all of them.
    key: String,
}

/// Why a command was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// For the operator.
    pub(super) reason: String,
    /// The connection is of no use any more: nobody knows whether the command was done.
    pub(super) broken: bool,
    /// The server has not seen this script yet.
    unknown_script: bool,
    /// Who has the key, as `host:port`.
    lead: Option<String>,
}

impl Fault {
    /// The server is there, and something is not as it has to be.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), broken: false, unknown_script: false, lead: None }
    }

    /// The server is not there.
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), broken: true, unknown_script: false, lead: None }
    }
}

impl From<redis::RedisError> for Fault {
    fn from(error: redis::RedisError) -> Self {
        // What the server itself says leaves the connection as it was, unless the server is going,
        // or is one that takes no writes any more: behind its address may be another one by now.
        // In a cluster, the log may be on its way to another server.
        let code = error.code().map(str::to_owned);
        let code = code.as_deref();
        let elsewhere = matches!(code, Some("MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN"));
        let gone = matches!(code, Some("LOADING" | "MASTERDOWN" | "READONLY"));
        let lead = error.redirect_node().filter(|_| code == Some("MOVED"));
        let reason = if elsewhere {
            format!(
                "the log is at another server of its cluster or on its way there, to which only \
                 redis+cluster:// leads ({error})"
            )
        } else {
            error.to_string()
        };
        Self {
            reason,
            broken: code.is_none() || gone || elsewhere,
            unknown_script: code == Some("NOSCRIPT"),
            lead: lead.map(|(place, _slot)| place.to_owned()),
        }
    }
}

impl Dialer {
    pub(super) fn new(options: &RedisOptions, keys: &Keys) -> Result<Self, RedisError> {
        let address = options.address.clone();
        let authority = options.authority.clone();
        let infos = match &address.way {
            Way::Straight => std::slice::from_ref(&*address.info),
            Way::Sentinels { hosts, .. } => hosts,
            Way::Cluster(seeds) => seeds,
        };
        let clients = infos.iter().map(|info| client(info.clone(), authority.as_deref()));
        let clients = clients
            .collect::<Result<_, _>>()
            .map_err(|error| RedisError::Authority { reason: error.to_string() })?;
        let key = keys.log.clone();
        Ok(Self { clients, first: AtomicUsize::new(0), address, authority, key })
    }

    /// Where the server is, without the password.
    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// Makes a connection whose commands are answered within this time.
    pub(super) async fn dial(&self, answer_time_max: Duration) -> Result<Link, Fault> {
        match &self.address.way {
            Way::Straight => connect(&self.clients[0], answer_time_max).await,
            Way::Sentinels { name, .. } => self.dial_primary(name, answer_time_max).await,
            Way::Cluster(_) => self.dial_cluster(answer_time_max).await,
        }
    }

    async fn dial_primary(&self, name: &str, answer_time_max: Duration) -> Result<Link, Fault> {
        let mut reason = String::new();
        for client in &self.clients {
            match self.ask_sentinel(client, name).await {
                Ok(primary) => return connect(&primary, answer_time_max).await,
                Err(fault) => reason = fault.reason,
            }
        }
        Err(Fault::broken(format!("no Sentinel says where {name} is: {reason}")))
    }

    async fn dial_cluster(&self, answer_time_max: Duration) -> Result<Link, Fault> {
        let first = self.first.load(Ordering::Relaxed);
        let mut reason = String::new();
        for at in (first..first + self.clients.len()).map(|at| at % self.clients.len()) {
            match self.be_led(&self.clients[at], answer_time_max).await {
                Ok(link) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(link);
                }
                // It is there, and others of its cluster would say the same.
                Err(fault) if !fault.broken => return Err(fault),
                Err(fault) => reason = fault.reason,
            }
        }
        Err(Fault::broken(format!("no server of the cluster leads to the log: {reason}")))
    }

    /// Connects to a server of the cluster, and from there to the one that it says has the log.
    async fn be_led(&self, seed: &Client, answer_time_max: Duration) -> Result<Link, Fault> {
        let mut link = connect(seed, answer_time_max).await?;
        let mut host = host(seed.get_connection_info());
        let mut command = redis::cmd("EXISTS");
        command.arg(&self.key);
        for _ in 0..LEADS_MAX {
            // Not only by its word: who was cut off from the others leads to where the log was.
            let Err(fault) = link.command(&command).await else { return Ok(link) };
            let Some((named, port)) = fault.lead.as_deref().and_then(|at| at.rsplit_once(':'))
            else {
                return Err(fault);
            };
            let Ok(port) = port.parse() else { return Err(fault) };
            if named == "?" {
                return Err(Fault::refused(
                    "a server of the cluster does not know its name: set its \
                     cluster-announce-hostname",
                ));
            }
            // Without a name it is the one that was asked, on another port.
            host = if named.is_empty() { host } else { named.to_owned() };
            link = connect(&self.client_at(host.clone(), port)?, answer_time_max).await?;
        }
        Err(Fault::broken(format!("its servers lead to one another ({LEADS_MAX} times)")))
    }

    /// Asks a Sentinel for the primary.
    async fn ask_sentinel(&self, sentinel: &Client, name: &str) -> Result<Client, Fault> {
        let link = connect(sentinel, CONNECT_TIME_MAX).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(name);
        let answer = link.command(&command).await?;
        let mut parts = scripts::array(answer).unwrap_or_default().into_iter();
        let (host, port) = (parts.next().and_then(text), parts.next().and_then(text));
        let (Some(host), Some(port)) = (host, port.and_then(|port| port.parse().ok())) else {
            return Err(Fault::refused("it knows no primary of this name"));
        };
        self.client_at(host, port)
    }

    /// The server that is there, with what the address says beside its place.
    fn client_at(&self, host: String, port: u16) -> Result<Client, Fault> {
        let place = match self.address.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => ConnectionAddr::Tcp(host, port),
            _ => return Err(Fault::refused("it speaks of a place of another kind")),
        };
        let info = ConnectionInfo::clone(&self.address.info).set_addr(place);
        client(info, self.authority.as_deref()).map_err(|error| Fault::refused(error.to_string()))
    }
}

fn host(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

fn client(info: ConnectionInfo, authority: Option<&[u8]>) -> redis::RedisResult<Client> {
    // Off by default, and each append and each event would wait for what comes after it.
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = info.set_tcp_settings(tcp);
    match authority {
        None => Client::open(info),
        Some(pem) => {
            let root_cert = Some(pem.to_vec());
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
    }
}

/// Makes a connection whose commands are answered within this time.
async fn connect(client: &Client, answer_time_max: Duration) -> Result<Link, Fault> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIME_MAX))
        // Ours below; the library's own would not tell us that the connection is of no use.
        .set_response_timeout(None);
    let dialing = client.get_multiplexed_async_connection_with_config(&config);
    let connection = match timeout(CONNECT_TIME_MAX, dialing).await {
        Err(_) => return Err(Fault::broken(format!("no connection in {CONNECT_TIME_MAX:?}"))),
        Ok(connection) => connection.map_err(|error| Fault::broken(error.to_string()))?,
    };
    Ok(Link { connection, answer_time_max })
}

/// One connection. Clones share it; what is asked first is answered first.
#[derive(Clone, Debug)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    answer_time_max: Duration,
}

impl Link {
    /// Sends a command and waits for its answer. It is on its way once the future was polled.
    ///
    /// Dropping the future does not take the command back.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, Fault> {
        let mut connection = self.connection.clone();
        let answering = connection.send_packed_command(command);
        match timeout(self.answer_time_max, answering).await {
            Err(_) => Err(Fault::broken(format!("no answer in {:?}", self.answer_time_max))),
            Ok(answer) => Ok(answer?.extract_error()?),
        }
    }

    /// Runs a script.
    pub(super) async fn run(
        &self,
        script: &'static Script,
        keys: &Keys,
        arguments: &[&[u8]],
    ) -> Result<Answer, Fault> {
        self.run_prepared(self.prepare(script, keys, arguments)).await
    }

    /// What is needed to run a script.
    pub(super) fn prepare(
        &self,
        script: &'static Script,
        keys: &Keys,
        arguments: &[&[u8]],
    ) -> Call {
        Call { script, command: call("EVALSHA", &script.sha1, &keys.all(), arguments) }
    }

    /// Runs a script that has keys and an answer of its own.
    pub(super) async fn evaluate(
        &self,
        script: &'static Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, Fault> {
        let command = call("EVALSHA", &script.sha1, keys, arguments);
        self.evaluate_prepared(Call { script, command }).await
    }

    /// Runs a script. The server is told its text where it does not know it.
    pub(super) async fn run_prepared(&self, call: Call) -> Result<Answer, Fault> {
        Answer::parse(self.evaluate_prepared(call).await?)
    }

    async fn evaluate_prepared(&self, call: Call) -> Result<Value, Fault> {
        let Call { script, command } = call;
        match self.command(&command).await {
            Err(fault) if fault.unknown_script => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(&script.text);
                self.command(&load).await?;
                self.command(&command).await
            }
            value => value,
        }
    }
}

/// A script with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    script: &'static Script,
    command: Cmd,
}

fn call(command: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(keys.len());
    for key in keys {
        call.arg(*key);
    }
    for argument in arguments {
        call.arg(*argument);
    }
    call
}
