//! Webhooks out: what is sent, and what may happen to it on the way.
//!
//! The outbox only decides (lost, twice, late, in another order, sealed); `delivery` carries out. Luck
//! is drawn from a seed in the order in which webhooks are made, so that the same run has the same
//! luck.

mod body;
mod chance;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::{
    body::{Flavour, TokenKey},
    chance::Chance,
};
use super::{
    faults::Times,
    sealed::Cipher,
    submissions::{Status, Submission},
    wire::Millis,
    witness::Counters,
};

/// Bodies kept for the state dump.
const SHOWN_MAX: usize = 1_000;
/// A late webhook lets up to so many later ones go first.
const OVERTAKEN_BY: u64 = 32;
/// It waits for them for this long at most.
const LATE_AT_MOST: Millis = 5_000;
/// Tries of a delivery unless the settings say otherwise.
const TRIES: u32 = 3;

/// A change to the webhook settings of one project; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSettings {
    /// `None`: the first project.
    pub pid: Option<String>,
    /// Where to; the empty text switches webhooks off.
    pub url: Option<String>,
    /// How many of the next ones are never sent.
    pub drop: Option<Times>,
    /// How many of the next ones are sent twice.
    pub duplicate: Option<Times>,
    /// How many of the next ones are kept until all of them are there, then sent newest first.
    /// 0 sends what is kept.
    pub reorder: Option<u32>,
    /// How many of a hundred are never sent. This and the next two are drawn for each webhook.
    pub drop_percent: Option<f64>,
    /// How many of a hundred are sent twice.
    pub duplicate_percent: Option<f64>,
    /// How many of a hundred arrive only after one to 32 later ones have been carried out, at most
    /// five seconds. Of one that is sent twice as well, only the second copy is late.
    pub late_percent: Option<f64>,
    /// What the rates are drawn from; naming it starts the luck afresh.
    pub seed: Option<u64>,
    pub delay_ms: Option<u64>,
    /// How often a webhook is tried that is not answered 2xx, the first time included; at least 1.
    pub tries: Option<u32>,
    /// Whether decisions carry `tokenId` and `userid`; the newest sample does not (contract 3.3).
    pub identify: Option<bool>,
    /// Whether bodies are `{"data":"<ciphertext>"}`, sealed under the API key (contract 3.4). The rule
    /// `secure_transfer` seals them whatever stands here.
    pub sealed: Option<bool>,
    pub flavour: Option<Flavour>,
}

/// One webhook on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub pid: String,
    /// Deliveries of the same lane keep their order: it is the token they are about.
    pub lane: String,
    pub url: String,
    pub body: String,
    pub delay: Duration,
    /// How often it is tried.
    pub tries: u32,
}

/// What a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Created,
    Retry,
    Submit,
    Approved,
    Rejected,
    Updated,
    Delete,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Retry => "retry",
            Self::Submit => "submit",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Updated => "updated",
            Self::Delete => "delete",
        }
    }

    /// The one trigger of `submit`, `approved`, `rejected` that goes with a decision.
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Incomplete => Self::Created,
            Status::Pending => Self::Submit,
            Status::Approved => Self::Approved,
            Status::Rejected => Self::Rejected,
        }
    }
}

/// Why a token expired (contract 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Count {
        at: Millis,
    },
    /// A scheduled time: it may lie ahead.
    Time {
        expected_at: Millis,
    },
}

/// The webhooks of one project that wait to be carried out.
pub(super) struct Outbox {
    pid: String,
    /// Seals bodies, with the cipher.
    key: String,
    cipher: Cipher,
    /// Everything between ARGOS and its customer is sealed.
    secure_transfer: bool,
    url: Option<String>,
    drop: Times,
    duplicate: Times,
    reorder: usize,
    rates: Rates,
    chance: Chance,
    delay: Duration,
    tries: u32,
    identify: bool,
    sealed: bool,
    flavour: Flavour,
    kept: Vec<Letter>,
    /// Late ones, by the number of ended deliveries that lets them go, and their own number.
    late: BTreeMap<(u64, u64), Late>,
    due: Vec<Delivery>,
    shown: VecDeque<String>,
    tally: Tally,
    /// The last look of the clock, which looks before every act.
    now: Millis,
}

#[derive(Clone, Copy, Default)]
struct Rates {
    drop: f64,
    duplicate: f64,
    late: f64,
}

/// A body and the lane it goes by.
#[derive(Clone)]
struct Letter {
    lane: String,
    body: String,
}

struct Late {
    letter: Letter,
    until: Millis,
}

#[derive(Default)]
struct Tally {
    made: u64,
    sealed: u64,
    dropped: u64,
    duplicated: u64,
    late: u64,
    posted: u64,
    ended: u64,
}

impl Outbox {
    /// Without a key: [`Outbox::secure`] names it.
    pub(super) fn new(pid: &str, url: Option<String>) -> Self {
        Self {
            pid: pid.to_owned(),
            key: String::new(),
            cipher: Cipher::Ecb,
            secure_transfer: false,
            url,
            drop: Times::Next(0),
            duplicate: Times::Next(0),
            reorder: 0,
            rates: Rates::default(),
            chance: Chance::new(0),
            delay: Duration::ZERO,
            tries: TRIES,
            identify: true,
            sealed: false,
            flavour: Flavour::default(),
            kept: Vec::new(),
            late: BTreeMap::new(),
            due: Vec::new(),
            shown: VecDeque::new(),
            tally: Tally::default(),
            now: 0,
        }
    }

    pub(super) fn change(&mut self, settings: WebhookSettings) {
        if let Some(url) = settings.url {
            self.url = Some(url).filter(|url| !url.is_empty());
        }
        self.drop = settings.drop.unwrap_or(self.drop);
        self.duplicate = settings.duplicate.unwrap_or(self.duplicate);
        self.rates = Rates {
            drop: settings.drop_percent.unwrap_or(self.rates.drop),
            duplicate: settings.duplicate_percent.unwrap_or(self.rates.duplicate),
            late: settings.late_percent.unwrap_or(self.rates.late),
        };
        if let Some(seed) = settings.seed {
            self.chance = Chance::new(seed);
        }
        self.delay = settings.delay_ms.map_or(self.delay, Duration::from_millis);
        self.tries = settings.tries.map_or(self.tries, |tries| tries.max(1));
        self.identify = settings.identify.unwrap_or(self.identify);
        self.sealed = settings.sealed.unwrap_or(self.sealed);
        self.flavour = settings.flavour.unwrap_or(self.flavour);
        if let Some(window) = settings.reorder {
            self.reorder = window as usize;
            self.release();
        }
    }

    /// With what further bodies are sealed, and whether all of them are.
    pub(super) fn secure(&mut self, key: &str, cipher: Cipher, secure_transfer: bool) {
        key.clone_into(&mut self.key);
        self.cipher = cipher;
        self.secure_transfer = secure_transfer;
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The bodies made last, unsealed, newest last.
    pub(super) fn shown(&self) -> &VecDeque<String> {
        &self.shown
    }

    /// Writes down what became of the webhooks before they left.
    pub(super) fn count(&self, counters: &mut Counters) {
        let Tally { made, sealed, dropped, duplicated, late, posted, ended } = self.tally;
        counters.webhooks_made = made;
        counters.webhooks_sealed = sealed;
        counters.webhooks_dropped = dropped;
        counters.webhooks_duplicated = duplicated;
        counters.webhooks_late = late;
        counters.webhooks_waiting =
            posted.saturating_sub(ended) + (self.late.len() + self.kept.len()) as u64;
    }

    pub(super) fn take(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.due)
    }

    /// A delivery ended, one way or the other; whoever waited for it may go.
    pub(super) fn ended(&mut self) {
        self.tally.ended += 1;
        while self.late.first_key_value().is_some_and(|((after, _), _)| *after <= self.tally.ended)
        {
            self.let_late_go();
        }
    }

    /// Lets go what was late for long enough.
    pub(super) fn advance(&mut self, now: Millis) {
        self.now = now;
        while self.late.first_key_value().is_some_and(|(_, late)| late.until <= now) {
            self.let_late_go();
        }
    }

    pub(super) fn about(&mut self, trigger: Trigger, submission: &Submission, now: Millis) {
        let body = body::about(trigger, submission, now, self.identify, self.flavour);
        self.hand_in(&submission.token, &body);
    }

    pub(super) fn token_expired(&mut self, token: &str, expiry: Expiry) {
        let key = self.flavour.token_key;
        self.hand_in(token, &body::token_expired(token, expiry, "idCheck", key));
        if self.flavour.face_auth {
            self.hand_in(token, &body::token_expired(token, expiry, "faceAuth", key));
        }
    }

    /// Sends any body; for shapes that no step of the Liveform makes.
    pub(super) fn send(&mut self, body: &Value) {
        self.hand_in("", body);
    }

    fn hand_in(&mut self, lane: &str, body: &Value) {
        let mut body = body.to_string();
        if self.shown.len() == SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(body.clone());
        if self.sealed || self.secure_transfer {
            body = json!({"data": self.cipher.seal(body.as_bytes(), &self.key)}).to_string();
            self.tally.sealed += 1;
        }
        self.tally.made += 1;
        // Always all four, so that a rate does not change the luck of the others.
        let drop = self.chance.percent(self.rates.drop);
        let duplicate = self.chance.percent(self.rates.duplicate);
        let late = self.chance.percent(self.rates.late);
        let overtaken_by = self.chance.up_to(OVERTAKEN_BY);
        let letter = Letter { lane: lane.to_owned(), body };
        if self.drop.take() || drop {
            self.tally.dropped += 1;
        } else if self.reorder > 0 {
            self.kept.push(letter);
            if self.kept.len() >= self.reorder {
                self.reorder = 0;
                self.release();
            }
        } else if late {
            if duplicate {
                self.tally.duplicated += 1;
                self.post(letter.clone());
            }
            self.hold(letter, overtaken_by);
        } else {
            if duplicate {
                self.tally.duplicated += 1;
                self.post(letter.clone());
            }
            self.post(letter);
        }
    }

    /// So many more have to end than were posted before this one: at least so many later ones.
    fn hold(&mut self, letter: Letter, overtaken_by: u64) {
        self.tally.late += 1;
        let after = self.tally.posted + overtaken_by;
        let until = self.now.saturating_add(LATE_AT_MOST);
        self.late.insert((after, self.tally.made), Late { letter, until });
    }

    fn let_late_go(&mut self) {
        if let Some((_, late)) = self.late.pop_first() {
            self.post(late.letter);
        }
    }

    /// Sends what was kept, newest first, unless more is awaited.
    fn release(&mut self) {
        if self.reorder > self.kept.len() {
            return;
        }
        for letter in std::mem::take(&mut self.kept).into_iter().rev() {
            self.post(letter);
        }
    }

    fn post(&mut self, letter: Letter) {
        let Some(url) = self.url.clone() else { return };
        let Letter { lane, body } = letter;
        let (pid, delay, tries) = (self.pid.clone(), self.delay, self.tries);
        let delivery = Delivery { pid, lane, url, body, delay, tries };
        if self.duplicate.take() {
            self.tally.duplicated += 1;
            self.tally.posted += 1;
            self.due.push(delivery.clone());
        }
        self.tally.posted += 1;
        self.due.push(delivery);
    }
}

#[cfg(test)]
mod tests;
