//! A server that is away, and one that has forgotten: what publishers, subscribers and operators
//! are told.

use crate::kept::{Kept, start_on};
use crate::proxy::Proxy;
use crate::support::{Server, until};
use crate::wire::{Client, Next, Stream};

fn publish(server: &Server, data: &str) -> u16 {
    publish_at(server.address(), data)
}

fn publish_at(address: &str, data: &str) -> u16 {
    let mut client = Client::connect(address).unwrap();
    client.publish("a", data).unwrap().head.status
}

fn metric(server: &Server, name: &str) -> String {
    let (_, text) = server.get("/metrics");
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {text}")).rsplit(' ').next().unwrap().to_owned()
}

on_every_server! {
    subscribers_stay_publishers_wait_and_all_goes_on,
    a_hub_ends_although_its_server_is_away,
    a_short_break_is_noticed_by_nobody,
    a_server_that_forgot_all_is_told_to_everybody,
}

fn subscribers_stay_publishers_wait_and_all_goes_on<K: Kept>() {
    let kept = K::forgetful();
    let proxy = Proxy::to(kept.port());
    let server = start_on::<K>(proxy.port);
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    assert_eq!(publish(&server, "before"), 200);
    assert_eq!(stream.event().data, "before");
    proxy.cut();
    until("not ready, and why", || {
        let (status, reason) = server.get("/readyz");
        (status == 503 && reason.contains(K::PLACE)).then_some(())
    });
    assert_eq!(server.get("/healthz").0, 200, "to restart it would help nobody");
    until("the metric says it", || (metric(&server, "tidings_log_available") == "0").then_some(()));
    let mut client = Client::connect(server.address()).unwrap();
    let refused = client.publish("a", "refused").unwrap();
    assert_eq!(refused.head.status, 503, "{refused:?}");
    assert!(refused.head.get("retry-after").is_some(), "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains(K::PLACE), "{refused:?}");
    assert_eq!(refused.json()["limit"], "append_time_max", "{refused:?}");
    let counted = metric(&server, "tidings_limits_hit_total{limit=\"append_time_max\"}");
    assert_eq!(counted, "1");
    assert_eq!(stream.chunk().unwrap().unwrap(), b":\n", "a heartbeat");
    proxy.mend();
    until("it is ready again", || (server.get("/readyz").0 == 200).then_some(()));
    assert_eq!(publish(&server, "after"), 200);
    assert_eq!(stream.event().data, "after", "on the same stream, and nothing that was refused");
}

fn a_hub_ends_although_its_server_is_away<K: Kept>() {
    let kept = K::forgetful();
    let proxy = Proxy::to(kept.port());
    let mut server = start_on::<K>(proxy.port);
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    proxy.cut();
    until("not ready", || (server.get("/readyz").0 == 503).then_some(()));
    server.running.signal(rustix::process::Signal::TERM);
    assert!(matches!(stream.next(), Next::Ended));
    server.running.ends_with(0);
}

fn a_short_break_is_noticed_by_nobody<K: Kept>() {
    let kept = K::forgetful();
    let proxy = Proxy::to(kept.port());
    let server = start_on::<K>(proxy.port);
    let mut stream = Stream::open(server.address(), "/topics/a", None).unwrap();
    let address = server.address();
    for number in 0..10 {
        proxy.cut();
        let mending = std::thread::scope(|scope| {
            let publishing = scope.spawn(|| publish_at(address, &number.to_string()));
            std::thread::sleep(std::time::Duration::from_millis(20));
            proxy.mend();
            publishing.join().unwrap()
        });
        assert_eq!(mending, 200);
    }
    for number in 0..10 {
        assert_eq!(stream.event().data, number.to_string());
    }
}

fn a_server_that_forgot_all_is_told_to_everybody<K: Kept>() {
    let mut kept = K::forgetful();
    let nodes = [start_on::<K>(kept.port()), start_on::<K>(kept.port())];
    let mut streams: Vec<Stream> =
        nodes.iter().map(|node| Stream::open(node.address(), "/topics/a", None).unwrap()).collect();
    assert_eq!(publish(&nodes[0], "before"), 200);
    let ids: Vec<String> = streams.iter_mut().map(|s| s.event().id.to_string()).collect();
    kept.kill();
    kept.up();
    for (stream, node) in streams.iter_mut().zip(&nodes) {
        match stream.next() {
            Next::Ended | Next::Cut => {}
            Next::Event(event) => panic!("nothing was published: {event:?}"),
        }
        let mut back = Stream::open(node.address(), "/topics/a", Some(&ids[0])).unwrap();
        assert_eq!(back.head.get("tidings-resume"), Some("reset"));
        assert_eq!(back.event().event_type, "tidings.reset");
        assert_eq!(publish(node, "after"), 200);
        let event = back.event();
        assert_eq!(event.data, "after");
        assert_ne!(event.id.split('-').next(), ids[0].split('-').next(), "another log");
    }
}
