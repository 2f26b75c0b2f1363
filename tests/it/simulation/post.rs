//! Webhooks on their way from ARGOS to the receiver: lost, doubled, late, out of order, sent again when
//! they were not acknowledged.
//!
//! What was acknowledged is remembered, because it must be known for ever after (W1).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use argospool::sim::Delivery;
use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
};
use tower::Service as _;

use super::{
    outside::{Event, Outside, Shared},
    process::SECRET,
};

/// A webhook on its way.
#[derive(Clone)]
pub struct Letter {
    number: u64,
    /// The token that it is about, and whether it tells a decision.
    token: String,
    decides: bool,
    body: String,
    tries_left: u32,
}

/// What was sent, and what of it was acknowledged.
#[derive(Default)]
pub struct Mail {
    sent: BTreeMap<String, BTreeSet<u64>>,
    acknowledged: BTreeSet<u64>,
    number: u64,
}

impl Mail {
    /// Whether everything that was told about a token was acknowledged.
    pub fn is_complete(&self, token: &str) -> bool {
        self.sent.get(token).is_none_or(|letters| letters.is_subset(&self.acknowledged))
    }
}

impl Outside {
    /// Takes the webhooks that ARGOS has made, each with its fate.
    pub fn collect_mail(&mut self) {
        for delivery in self.argos.take_deliveries() {
            let Delivery { lane, body, tries, .. } = delivery;
            self.mail.number += 1;
            let number = self.mail.number;
            self.mail.sent.entry(lane.clone()).or_default().insert(number);
            self.tally.webhooks += 1;
            let decides = !body.contains(r#""webhook_trigger":"created""#)
                && !body.contains(r#""webhook_trigger":"retry""#);
            let letter = Letter { number, token: lane, decides, body, tries_left: tries };
            let soon = self.below(200);
            if !self.chance.percent(f64::from(self.weather.webhooks)) {
                self.after(soon, Event::Deliver(letter));
                continue;
            }
            let late = self.below(600_000);
            match self.below(3) {
                0 => (),
                1 => self.after(late, Event::Deliver(letter)),
                _ => {
                    self.after(soon, Event::Deliver(letter.clone()));
                    self.after(late, Event::Deliver(letter));
                }
            }
        }
    }

    fn acknowledged(&mut self, letter: &Letter, status: StatusCode) {
        self.trace(&[2, letter.number, u64::from(status.as_u16())]);
        let taken = [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE];
        self.demand(taken.contains(&status), "W1: a webhook of ARGOS is refused");
        if status == StatusCode::OK {
            let known = self.books.known(&letter.token);
            let durable =
                known.is_none_or(|(started, decided)| started && (decided || !letter.decides));
            self.demand(durable, "W1: what is acknowledged is not written down");
            self.mail.acknowledged.insert(letter.number);
        } else {
            self.send_again(letter.clone());
        }
    }

    fn send_again(&mut self, mut letter: Letter) {
        letter.tries_left -= 1;
        if letter.tries_left > 0 {
            self.after(250, Event::Deliver(letter));
        }
    }
}

/// Brings a webhook to the daemon, if there is one.
pub fn deliver(outside: &Shared, letter: Letter) {
    let mut this = outside.lock();
    let Some(live) = this.live.clone() else { return this.send_again(letter) };
    drop(this);
    let mut carried = Carried { outside: outside.clone(), letter: Some(letter) };
    let mut receiver = live.receiver;
    tokio::spawn(async move {
        let response = receiver.call(carried.request()).await.unwrap();
        if let Some(letter) = carried.letter.take() {
            carried.outside.lock().acknowledged(&letter, response.status());
        }
    });
}

/// A webhook whose receiver dies over it is sent again.
struct Carried {
    outside: Shared,
    letter: Option<Letter>,
}

impl Carried {
    fn request(&self) -> Request {
        let body = self.letter.as_ref().map(|letter| letter.body.clone()).unwrap_or_default();
        let mut request =
            Request::post(format!("/webhooks/argos/{SECRET}")).body(Body::from(body)).unwrap();
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let Some(letter) = self.letter.take() {
            self.outside.lock().send_again(letter);
        }
    }
}
