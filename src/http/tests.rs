//! The probes from outside.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{
    api::stand::{Stand, eventually},
    domain::{ids::Sequence, pause::Activity},
};

/// Sends a request as it stands; the status and the body of the answer.
pub(super) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses a body may close before it has all of it.
    let _ = stream.write_all(request.as_ref()).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_default(), body.to_owned())
}

async fn probed(stand: &Stand) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = probes(Probes {
        pools: stand.pools.clone(),
        metrics: stand.metrics.clone(),
        clock: stand.clock.clone(),
    });
    tokio::spawn(serve(listener, router, stand.stop.clone()));
    address
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere_and_what_it_reads_gives_no_token_away() {
    let stand = Stand::ready().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let chronicle = stand.metrics.chronicle().clone();
    let overview = Overview {
        pools: stand.pools.clone(),
        chronicle: chronicle.clone(),
        clock: stand.clock.clone(),
        version: "1.2.3",
    };
    tokio::spawn(serve(listener, page(overview), stand.stop.clone()));
    let (status, html) = get(address, "/").await;
    assert_eq!(status, 200);
    for elsewhere in ["src=", "href=", "http://", "https://", "@import", "url("] {
        let own = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(elsewhere), "{elsewhere}");
    }

    tokio::spawn(chronicle.clone().keep(
        stand.pools.clone(),
        stand.clock.clone(),
        stand.stop.clone(),
    ));
    let project = stand.handle("default").project().clone();
    eventually(async || !chronicle.samples(&project).is_empty()).await;
    let (status, body) = get(address, "/status.json").await;
    assert_eq!(status, 200);
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    let default = &told["projects"][0];
    assert_eq!(default["status"]["leasable"], 20);
    assert_eq!(default["samples"][0][1], 20);
    assert!(default["status"]["explained"].as_array().unwrap().len() > 3, "{body}");
    let tokens = stand.handle("default").tokens(Sequence::ZERO, 1_000, |_| true).await.unwrap();
    assert!(!tokens.items.is_empty());
    for token in tokens.items {
        assert!(!body.contains(token.id.expose()));
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn a_process_that_opens_its_ledger_is_alive_and_not_ready() {
    let stand = Stand::closed(&["default"]);
    let address = probed(&stand).await;
    assert_eq!(get(address, "/livez").await.0, 200);
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (503, "process: ok\ndefault: the ledger is being opened\n")
    );
    stand.open().await;
    assert_eq!(get(address, "/readyz").await, (200, "process: ok\ndefault: ok\n".to_owned()));
}

#[tokio::test]
async fn a_pause_stops_leasing_and_not_the_process() {
    let stand = Stand::ready_with(&["default", "other"]).await;
    let address = probed(&stand).await;
    assert_eq!(get(address, "/readyz?lease").await.0, 200);
    let other = stand.handle("other");
    other.pause(vec![Activity::Leasing], String::new(), "test".to_owned()).await.unwrap();
    assert_eq!(get(address, "/readyz").await.0, 200);
    let (status, body) = get(address, "/readyz?lease").await;
    assert_eq!(status, 503);
    assert_eq!(body, "process: ok\ndefault: ok\nother: cannot lease: paused\n");
    assert_eq!(get(address, "/readyz?lease=default").await.0, 200);
    assert_eq!(get(address, "/readyz?lease=other").await.0, 503);
    assert_eq!(get(address, "/readyz?lease=third").await.0, 503);
}

#[tokio::test]
async fn a_process_that_stops_is_alive_and_not_ready() {
    let stand = Stand::ready().await;
    let address = probed(&stand).await;
    stand.pools.begin_stop();
    let (status, body) = get(address, "/readyz").await;
    assert_eq!((status, body.as_str()), (503, "process: stopping\ndefault: ok\n"));
    assert_eq!(get(address, "/livez").await.0, 200);
}

#[tokio::test]
async fn a_ledger_that_never_answers_is_worth_a_new_process() {
    let stand = Stand::ready().await;
    let address = probed(&stand).await;
    stand.disk("default").hang_commit();
    let handle = stand.handle("default").clone();
    tokio::spawn(async move {
        handle.pause(vec![Activity::Refill], String::new(), "test".to_owned()).await
    });
    eventually(async || {
        use crate::port::Clock as _;
        !stand.handle("default").vitals().stalled_for(stand.clock.now()).is_zero()
    })
    .await;
    assert_eq!(get(address, "/livez").await.0, 200);
    stand.clock.jump(Duration::from_secs(61));
    let (status, body) = get(address, "/livez").await;
    assert_eq!(status, 503);
    assert!(body.starts_with("default: the ledger has not answered a commit for 6"), "{body}");
    stand.disk("default").release();
    eventually(async || get(address, "/livez").await.0 == 200).await;
}

#[tokio::test]
async fn metrics_are_text_that_prometheus_reads() {
    let stand = Stand::ready().await;
    let address = probed(&stand).await;
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("# TYPE argospool_leasable_tokens gauge\n"), "{body}");
    assert!(body.contains("argospool_leasable_tokens{project=\"default\"} 20\n"), "{body}");
}
