//! Whether ARGOS tells by webhook what it decides.
//!
//! Judged as the alert `ArgospoolWebhooksSilent` judges it, from what this process saw: the alert
//! remembers webhooks from before a restart, and this does not.

use std::{collections::VecDeque, time::Duration};

use crate::domain::{
    pool::{Event, Heard},
    time::Timestamp,
};

/// So long no webhook, while so many decisions are learned of in the same time …
const WINDOW: Duration = Duration::from_secs(15 * 60);
const DECISIONS: usize = 3;
/// … and some news came by webhook as lately as this: otherwise none are configured, and none missed.
const USUAL: Duration = Duration::from_secs(24 * 3_600);

/// What was heard, and what was learned by whatever way.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// When a webhook about something of ours came last, and one that told news.
    last: Option<Timestamp>,
    last_news: Option<Timestamp>,
    /// When the last decisions were learned of, the oldest first.
    decisions: VecDeque<Timestamp>,
}

impl Hearing {
    /// What a commit made durable: what webhooks came to, and what happened.
    pub(super) fn committed(&mut self, heard: &[Heard], events: &[Event], now: Timestamp) {
        for heard in heard {
            match heard {
                Heard::News => (self.last, self.last_news) = (Some(now), Some(now)),
                Heard::Known | Heard::Asked => self.last = Some(now),
                Heard::TooLate | Heard::Foreign | Heard::Unnamed => (),
            }
        }
        for _ in events.iter().filter(|event| tells_a_decision(event)) {
            self.decisions.push_back(now);
            if self.decisions.len() > DECISIONS {
                self.decisions.pop_front();
            }
        }
    }

    /// When a webhook about something of ours came last.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Whether webhooks are missed.
    pub(super) fn is_silent(&self, now: Timestamp) -> bool {
        let within = |at: &Timestamp, span| now.since(*at) < span;
        let decides = self.decisions.len() == DECISIONS
            && self.decisions.front().is_some_and(|at| within(at, WINDOW));
        let usual = self.last_news.as_ref().is_some_and(|at| within(at, USUAL));
        decides && usual && !self.last.as_ref().is_some_and(|at| within(at, WINDOW))
    }
}

/// Whether ARGOS was heard to decide, as `argospool_decisions_total` counts it.
fn tells_a_decision(event: &Event) -> bool {
    matches!(event, Event::LateFact { decided: Some(_), .. })
        || matches!(event, Event::Closed { line, .. } if line.decided().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000)
    }

    /// Webhooks until minute 10, decisions from then on, one a minute.
    fn silent_from_minute_ten() -> Hearing {
        let mut hearing = Hearing::default();
        hearing.committed(&[Heard::News], &[], minutes(10));
        hearing.decisions.extend([minutes(22), minutes(23), minutes(24)]);
        hearing
    }

    #[test]
    fn a_quarter_of_an_hour_without_a_webhook_is_silence_where_argos_decides() {
        let mut hearing = silent_from_minute_ten();
        assert!(!hearing.is_silent(minutes(24)), "the quarter of an hour is not over");
        assert!(hearing.is_silent(minutes(25)));
        assert!(!hearing.is_silent(minutes(37)), "ARGOS may have nothing to tell");
        hearing.committed(&[Heard::Foreign], &[], minutes(25));
        assert!(hearing.is_silent(minutes(25)), "it was about nobody we know");
        hearing.committed(&[Heard::Known], &[], minutes(25));
        assert!(!hearing.is_silent(minutes(26)));
    }

    #[test]
    fn where_no_webhook_ever_came_none_is_missed() {
        let mut hearing = silent_from_minute_ten();
        hearing.last_news = None;
        assert!(!hearing.is_silent(minutes(25)));
        hearing.last_news = Some(minutes(10));
        hearing.decisions = [1_450, 1_451, 1_452].map(minutes).into();
        assert!(!hearing.is_silent(minutes(1_453)), "a day ago is long ago");
    }

    #[test]
    fn the_alert_judges_alike() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml");
        let rules = std::fs::read_to_string(path).unwrap();
        let (_, alert) = rules.split_once("alert: ArgospoolWebhooksSilent").unwrap();
        let (expression, _) = alert.split_once("for:").unwrap();
        let squeezed = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            format!(
                "increase(argospool_decisions_total[{}m])) >= {DECISIONS}",
                WINDOW.as_secs() / 60
            ),
            format!("result=~\"recorded|known|asked\" }}[{}m])) == 0", WINDOW.as_secs() / 60),
            format!("{{result=\"recorded\"}}[{}d])) > 0", USUAL.as_secs() / 86_400),
        ] {
            assert!(squeezed.contains(&part), "{part}\n{squeezed}");
        }
    }
}
