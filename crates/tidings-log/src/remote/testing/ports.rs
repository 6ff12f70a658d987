//! Free ports for servers that tests kill and start again. The tests of the program have this file
//! too. Knows nothing of any server.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

/// Not those that the system gives out by itself: while a server is away somebody else would get
/// its port, or the client that tries to connect would get it for its own end and talk to itself.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port that nobody has, and that no other test gets as long as this process lives.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests that run at the same time in other processes pass over a port whose UDP side is taken:
    // a server on TCP may go and come back meanwhile.
    static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    for _ in 0..COUNT {
        let offset = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) * 7 + std::process::id();
        let port = FIRST + (offset % u32::from(COUNT)) as u16;
        let Ok(taken) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            TAKEN.lock().unwrap().push(taken);
            return port;
        }
    }
    panic!("no free port");
}
