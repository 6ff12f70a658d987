//! Restarts in place under a crowd: whoever listens gets every event, once and in order, and
//! nobody is refused for a moment.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{fs, thread};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tempfile::TempDir;
use tidings_core::sse::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::process::metric;
use crate::support::{PATIENCE, Server, tidings, until};
use crate::wire::{Client, Next, Stream};

const CLIENTS: usize = 5_000;

/// What is published last.
const END: &str = "the end";

/// A hub on disk that can be restarted.
fn start(directory: &TempDir, flags: &[&str]) -> Server {
    let args = ["serve", "--listen", "127.0.0.1:0", "--log", "disk:log", "--sync", "never"];
    Server::start_in(directory.path(), &[&args[..], flags].concat())
}

/// Restarts it, and waits until the new one says that it listens where the old one did.
fn restart(server: &Server) {
    server.running.signal(Signal::USR2);
    let hello = server.running.stdout.find("listening on");
    assert!(hello.contains(&server.url), "{hello}, not {}", server.url);
}

/// As many as the limit of open files allows, here and in the hub.
fn crowd() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let files = maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    let clients = CLIENTS.min(files.saturating_sub(300));
    if clients < CLIENTS {
        eprintln!("only {clients} clients: the limit of open files is {files}");
    }
    clients
}

/// What a crowd is told, and tells.
#[derive(Default)]
struct Crowd {
    address: String,
    /// Streams that have begun.
    opened: AtomicUsize,
    /// Streams that broke off before their head.
    repeated: AtomicUsize,
}

/// Opens the stream after the last event, as often as there is no answer.
async fn open(crowd: &Crowd, last_id: &str) -> (TcpStream, Vec<u8>) {
    loop {
        // Whatever happens later, connecting always works.
        let mut socket = match TcpStream::connect(&*crowd.address).await {
            Ok(socket) => socket,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => panic!("refused"),
            Err(error) => panic!("can't connect: {error}"),
        };
        // HTTP/1.0, so that what comes is the stream as it is.
        let cursor = match last_id {
            "" => String::new(),
            id => format!("Last-Event-ID: {id}\r\n"),
        };
        let accept = "Accept: text/event-stream";
        let request = format!("GET /topics/a HTTP/1.0\r\nHost: h\r\n{accept}\r\n{cursor}\r\n");
        if let Ok(begun) = ask(&mut socket, &request).await {
            crowd.opened.fetch_add(1, Ordering::Relaxed);
            return (socket, begun);
        }
        crowd.repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Sends a request and reads the head; gives what came behind it.
async fn ask(socket: &mut TcpStream, request: &str) -> io::Result<Vec<u8>> {
    socket.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    loop {
        if socket.read_buf(&mut read).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]);
            assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{head}");
            return Ok(read.split_off(end + 4));
        }
    }
}

/// Listens, and comes back after each end of the stream, until the last event has come. Gives how
/// many events there were.
async fn listen(crowd: Arc<Crowd>) -> usize {
    let mut decoder = Decoder::new(1 << 20);
    let mut events = 0;
    loop {
        let last_id = decoder.last_event_id().to_owned();
        let (mut socket, mut bytes) = open(&crowd, &last_id).await;
        decoder = Decoder::resuming(1 << 20, last_id);
        loop {
            decoder.push(&bytes).unwrap();
            for event in decoder.by_ref() {
                if event.data == END {
                    return events;
                }
                assert_eq!(event.data, events.to_string(), "events come in order, once each");
                events += 1;
            }
            bytes.clear();
            match socket.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let retry = decoder.retry_ms().expect("each stream begins with one");
        tokio::time::sleep(Duration::from_millis(retry)).await;
    }
}

/// Publishes one event after the other, each again under the same key until it is answered, until
/// it is told to stop. Gives how many there were.
fn publish(address: &str, stop: &AtomicBool, published: &AtomicUsize) -> usize {
    let mut client: Option<Client> = None;
    let mut number = 0;
    loop {
        let last = stop.load(Ordering::Relaxed);
        let data = if last { END.to_owned() } else { number.to_string() };
        let key = format!("Idempotency-Key: {number}\r\n");
        loop {
            let connected = client.take().map_or_else(|| Client::connect(address), Ok);
            // It is never refused.
            let mut connected = connected.unwrap();
            let answer = connected.request("POST", "/topics/a", &key, data.as_bytes());
            match answer.map(|answer| answer.head.status) {
                Ok(200) => {
                    client = Some(connected);
                    break;
                }
                Ok(status) => assert_eq!(status, 503),
                Err(_) => {}
            }
            thread::sleep(Duration::from_millis(10));
        }
        if last {
            return number;
        }
        number += 1;
        published.store(number, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_crowd_gets_every_event_once_and_nobody_is_refused() {
    let clients = crowd();
    let directory = TempDir::new().unwrap();
    let server = start(&directory, &["--retry", "200ms"]);
    let process = server.running.id();
    let crowd = Arc::new(Crowd { address: server.address().to_owned(), ..Crowd::default() });
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut listening = JoinSet::new();
    for _ in 0..clients {
        listening.spawn_on(listen(Arc::clone(&crowd)), runtime.handle());
    }
    let all_there = |times: usize| {
        until("the crowd is there", || {
            (crowd.opened.load(Ordering::Relaxed) >= times * clients).then_some(())
        });
        until("the hub has it", || {
            (metric(&server, "tidings_subscribers") == clients as u64).then_some(())
        });
    };
    all_there(1);

    let (stop, published) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&crowd.address, &stop, &published));
        let more_events = || {
            let before = published.load(Ordering::Relaxed);
            let after = || published.load(Ordering::Relaxed) > before + 3;
            until("events go on", || after().then_some(()));
        };
        more_events();
        restart(&server);
        // Once while they come back, and once when they are there.
        more_events();
        restart(&server);
        all_there(2);
        more_events();
        restart(&server);
        all_there(3);
        more_events();
        stop.store(true, Ordering::Relaxed);
        publisher.join().unwrap()
    });
    let events = runtime.block_on(async {
        let all = async {
            let mut events = Vec::new();
            while let Some(listened) = listening.join_next().await {
                events.push(listened.unwrap());
            }
            events
        };
        tokio::time::timeout(3 * PATIENCE, all).await.expect("everybody has the last event")
    });
    assert_eq!(events.len(), clients);
    assert!(events.iter().all(|&events| events == count), "of {count}");
    assert_eq!(server.running.id(), process);
    eprintln!(
        "{clients} clients, {count} events, {} streams, {} of them at a second attempt",
        crowd.opened.load(Ordering::Relaxed),
        crowd.repeated.load(Ordering::Relaxed)
    );
}

#[test]
fn an_upgraded_program_takes_over_and_what_would_not_start_does_not() {
    let directory = TempDir::new().unwrap();
    let program = directory.path().join("bin-tidings");
    fs::copy(env!("CARGO_BIN_EXE_tidings"), &program).unwrap();
    let settings = directory.path().join("tidings.toml");
    fs::write(&settings, "log = \"disk:log\"\nlisten = \"127.0.0.1:0\"\n").unwrap();
    let mut command = std::process::Command::new(&program);
    let server = Server::start_by(command.current_dir(directory.path()).arg("serve"));
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();

    fs::write(&settings, "log = \"disk:log\"\nheartbeet = \"1s\"\n").unwrap();
    server.running.signal(Signal::USR2);
    let said = server.running.stderr.find("not restarted");
    assert!(said.contains("heartbeet") && said.contains("heartbeat"), "{said}");
    let mut publisher = Client::connect(server.address()).unwrap();
    assert_eq!(publisher.publish("a", "1").unwrap().head.status, 200);
    let event = stream.event();
    assert_eq!(event.data, "1", "it goes on as it was");

    // The file is replaced by another one, as package managers do.
    let upgraded = directory.path().join("upgraded");
    fs::copy(env!("CARGO_BIN_EXE_tidings"), &upgraded).unwrap();
    fs::rename(&upgraded, &program).unwrap();
    fs::write(&settings, "log = \"disk:log\"\nlisten = \"127.0.0.1:0\"\nretry = \"7s\"\n").unwrap();
    restart(&server);
    assert!(matches!(stream.next(), Next::Ended));
    let executable = fs::read_link(format!("/proc/{}/exe", server.running.id())).unwrap();
    assert_eq!(executable, program, "the new file");
    assert_eq!(publisher_again(&server).publish("a", "2").unwrap().head.status, 200);
    let mut stream = Stream::open(server.address(), "/topics/a", Some(&event.id)).unwrap();
    assert_eq!(stream.event().data, "2");
}

fn publisher_again(server: &Server) -> Client {
    Client::connect(server.address()).unwrap()
}

#[test]
fn a_log_in_memory_is_not_thrown_away() {
    let mut server = Server::start();
    let mut publisher = Client::connect(server.address()).unwrap();
    let id = publisher.publish("a", "1").unwrap().json()["id"].as_str().unwrap().to_owned();
    server.running.signal(Signal::USR2);
    let said = server.running.stderr.find("not restarted");
    assert!(said.contains("in memory") && said.contains("--log disk:"), "{said}");
    let mut stream = Stream::open(server.address(), "/topics/a?since=earliest", None).unwrap();
    assert_eq!(*stream.event().id, *id);
    server.stop();
}

#[test]
fn what_is_under_way_is_finished_first_and_streams_go_on_meanwhile() {
    let directory = TempDir::new().unwrap();
    let server = start(&directory, &[]);
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    let mut slow = Client::connect(server.address()).unwrap();
    let head = "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\
                Expect: 100-continue\r\n\r\n";
    slow.send(head.as_bytes()).unwrap();
    assert_eq!(slow.answer().unwrap().head.status, 100);
    slow.send(b"half").unwrap();
    server.running.signal(Signal::USR2);
    server.running.stderr.find("restarting");
    // This one waits in the queue of the socket, and the next hub answers it; the old one would
    // have to be very quick.
    let mut late = Client::connect(server.address()).unwrap();
    late.send(b"POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nlate").unwrap();
    slow.send(b" done").unwrap();
    assert_eq!(slow.answer().unwrap().head.status, 200);
    let (mut data, mut last_id) = (Vec::new(), None);
    while let Next::Event(event) = stream.next() {
        data.push(event.data);
        last_id = Some(event.id);
    }
    assert!(data.contains(&"half done".to_owned()), "{data:?}");
    assert_eq!(late.answer().unwrap().head.status, 200);
    let mut stream = Stream::open(server.address(), "/topics/a", last_id.as_deref()).unwrap();
    while data.len() < 2 {
        data.push(stream.event().data);
    }
    data.sort_unstable();
    assert_eq!(data, ["half done", "late"]);
}

#[test]
fn sockets_that_are_passed_take_the_place_of_the_default_address() {
    use command_fds::{CommandFdExt, FdMapping};
    let directory = TempDir::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Without LISTEN_PID, which nobody knows before the process is there.
    let mut command = tidings(directory.path());
    command.args(["serve", "--log", "memory"]).env("LISTEN_FDS", "1");
    command.fd_mappings(vec![FdMapping { parent_fd: listener.into(), child_fd: 3 }]).unwrap();
    let server = Server::start_by(&mut command);
    assert_eq!(server.url, format!("http://{address}"));
    assert_eq!(server.get("/readyz").0, 200);
}

#[test]
fn a_unix_socket_outlives_a_restart_and_goes_with_the_hub() {
    let directory = TempDir::new().unwrap();
    let mut server = start(&directory, &["--listen", "unix:hub.sock"]);
    let path = directory.path().join("hub.sock");
    let ask = || {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.write_all(b"GET /healthz HTTP/1.0\r\nHost: h\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("ok\n"), "{answer}");
    };
    ask();
    restart(&server);
    ask();
    restart(&server);
    ask();
    server.stop();
    assert!(!path.exists());
}

#[test]
fn whoever_supervises_it_is_told_how_far_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notify.sock");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut text = [0; 256];
        let bytes = supervisor.recv(&mut text).unwrap();
        String::from_utf8(text[..bytes].to_vec()).unwrap()
    };
    let mut command = tidings(directory.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path);
    let mut server = Server::start_by(&mut command);
    assert_eq!(told(), "READY=1\n");
    restart(&server);
    let restarting = told();
    assert!(restarting.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{restarting}");
    assert_eq!(told(), "READY=1\n");
    fs::write(directory.path().join("tidings.toml"), "nonsense").unwrap();
    server.running.signal(Signal::USR2);
    assert!(told().starts_with("RELOADING=1"));
    assert_eq!(told(), "READY=1\n", "as it was");
    server.stop();
    assert_eq!(told(), "STOPPING=1\n");
}
