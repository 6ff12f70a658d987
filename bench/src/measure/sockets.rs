//! What the kernel holds for single sockets, as `ss` of iproute2 tells it.
//! Knows nothing of what is sent through them.

use std::process::Command;

use anyhow::{Context, ensure};

/// The server's end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerSocket {
    /// The port at the other end.
    pub peer_port: u16,
    /// Whether neither side has closed it.
    pub established: bool,
    /// What the kernel holds for it in either direction, unused room included.
    pub bytes: u64,
}

/// The server's ends of all connections to a port of this machine.
///
/// # Errors
/// Where there is no `ss`, or it says something else.
pub fn server_sockets(port: u16) -> anyhow::Result<Vec<ServerSocket>> {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss").args(["-tanmHO", &filter]).output();
    let output = output.context("can't run ss (of iproute2)")?;
    ensure!(output.status.success(), "ss ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let connections = text.lines().filter(|line| !line.starts_with("LISTEN"));
    connections.map(|line| parse(line).with_context(|| format!("ss said {line:?}"))).collect()
}

fn parse(line: &str) -> Option<ServerSocket> {
    let mut words = line.split_whitespace();
    let established = words.next()? == "ESTAB";
    let peer_port = words.nth(3)?.rsplit_once(':')?.1.parse().ok()?;
    // One that waits for the end of its time has no memory of its own.
    let memory = words.find_map(|word| word.strip_prefix("skmem:("));
    let fields = memory.unwrap_or_default().trim_end_matches(')').split(',');
    // Received, queued for sending, and set aside for either: `r`, `w` and `f`.
    let held = fields.filter_map(|field| match field.as_bytes().first()? {
        b'r' | b'w' | b'f' => field[1..].parse::<u64>().ok(),
        _ => None,
    });
    Some(ServerSocket { peer_port, established, bytes: held.sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_peer_and_the_bytes() {
        let line = "ESTAB 0 84270 127.0.0.1:3000 127.0.0.1:41234 \
                    skmem:(r8,rb131072,t0,tb2626560,f3000,w93000,o0,bl0,d0)";
        let expected = ServerSocket { peer_port: 41234, established: true, bytes: 96_008 };
        assert_eq!(parse(line), Some(expected));
        let line = "TIME-WAIT 0 0 [::ffff:127.0.0.1]:3000 [::ffff:127.0.0.1]:7";
        let expected = ServerSocket { peer_port: 7, established: false, bytes: 0 };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("nonsense"), None);
    }
}
