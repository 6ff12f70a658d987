//! How a connection is closed so that its client gets the answer.
//! Knows nothing of what was answered.

use tidings_core::limits::{LINGER_BYTES_MAX, LINGER_TIME_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::socket::Socket;

/// Ends a connection so that the answer arrives: closing while the client still sends would
/// reset it, and the answer with it.
pub(super) async fn linger(mut stream: Socket) {
    // TLS says its goodbye first, for which a client that reads nothing may leave no room.
    let Ok(Ok(())) = tokio::time::timeout(LINGER_TIME_MAX, stream.shutdown()).await else {
        return;
    };
    let drain = async {
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES_MAX;
        while let Ok(bytes @ 1..) = stream.read(&mut scratch).await {
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME_MAX, drain).await;
}
