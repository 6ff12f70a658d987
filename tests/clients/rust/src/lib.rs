//! What both drivers have in common: the command line of the drivers, and the line for each event.

/// The address to listen to. What follows it is for clients that have to name types.
pub fn url() -> anyhow::Result<String> {
    std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("usage: URL"))
}

/// Prints an event.
pub fn report(id: &str, event: &str, data: &str) {
    println!("{}", serde_json::json!({ "id": id, "event": event, "data": data }));
}
