//! The demo runs with one command and shows something.

use tempfile::TempDir;

use crate::harness::Server;

#[test]
fn shows_a_page_and_events() {
    let directory = TempDir::new().unwrap();
    // A real hub's settings are not the demo's: its log must not fill with made-up events.
    std::fs::write(directory.path().join("tidings.toml"), "log = \"disk:real\"").unwrap();
    let mut server = Server::start_in(directory.path(), &["demo", "--listen", "127.0.0.1:0"]);
    let open = server.running.stdout.find("open");
    assert!(open.contains(&server.url), "{open}");
    let (status, page) = server.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("EventSource") || page.contains("<html"), "{page}");
    assert_eq!(server.events("demo", 2).len(), 2);
    assert!(!directory.path().join("real").exists());
    server.stop();
}
