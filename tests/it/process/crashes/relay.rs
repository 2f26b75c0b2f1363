//! Carries webhooks from the simulator to whichever daemon lives, and remembers what was answered 200.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, sync::DropGuard};

/// What a daemon has acknowledged about a token.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) token: String,
    pub(super) trigger: String,
}

pub(super) struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Way {
    /// Host and port, and the path, of the daemon that lives.
    target: Mutex<(String, String)>,
    told: Mutex<Vec<Told>>,
}

impl Relay {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, way) = (listener.local_addr().unwrap(), Arc::new(Way::default()));
        let carrier = Arc::clone(&way);
        let carry = async move |body: Bytes| carrier.carry(&body).await;
        let router = Router::new().route("/", post(carry));
        let stop = CancellationToken::new();
        let serve =
            axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(async move { serve.await.unwrap() });
        Self { address, way, _stop: stop.drop_guard() }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on to this address.
    pub(super) fn leads_to(&self, url: &str) {
        let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        *self.way.target.lock().unwrap() = (host.to_owned(), path.to_owned());
    }

    /// What was acknowledged from this place of the list on.
    pub(super) fn told(&self, from: usize) -> Vec<Told> {
        self.way.told.lock().unwrap()[from..].to_vec()
    }
}

impl Way {
    /// Written down before the sender knows of it.
    async fn carry(&self, body: &[u8]) -> StatusCode {
        let Some(status) = self.deliver(body).await else { return StatusCode::BAD_GATEWAY };
        if status == StatusCode::OK {
            let said: Value = serde_json::from_slice(body).unwrap();
            let word = |name: &str| said[name].as_str().map(str::to_owned);
            if let (Some(token), Some(trigger)) = (word("tokenId"), word("webhook_trigger")) {
                self.told.lock().unwrap().push(Told { token, trigger });
            }
        }
        status
    }

    /// The answer of the daemon; nothing when it died before it gave one.
    async fn deliver(&self, body: &[u8]) -> Option<StatusCode> {
        let (host, path) = self.target.lock().unwrap().clone();
        let mut stream = TcpStream::connect(&host).await.ok()?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let status = String::from_utf8(answer).ok()?.split(' ').nth(1)?.parse().ok()?;
        StatusCode::from_u16(status).ok()
    }
}
