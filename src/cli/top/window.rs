//! What counters did in the last minute, and how the stock stood in the last minutes, made of successive answers.
//!
//! Pure: time comes in as an argument, in milliseconds since the view was opened.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::cli::proto::{Latencies, ProjectChronicle};

/// How far back rates and percentiles look, in milliseconds.
const WINDOW: i64 = 60_000;
/// Less than this, in seconds, says nothing about a rate.
const SPAN_MIN: f64 = 0.5;
/// How far back the stock is known, in milliseconds.
pub(super) const STOCK_KEPT: i64 = 3_600_000;
/// What one column of the stock stands for, in milliseconds.
pub(super) const COLUMN: i64 = 10_000;
/// How long a point holds where none follows, in milliseconds: the daemon keeps one every half minute.
const HOLDS: i64 = 45_000;

/// Readings of something that only grows, as far back as the window.
#[derive(Clone, Debug)]
pub(super) struct Window<T>(VecDeque<(i64, T)>);

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

/// Two readings, and the seconds between them.
pub(super) struct Span<'a, T> {
    pub(super) earlier: &'a T,
    pub(super) later: &'a T,
    pub(super) seconds: f64,
}

impl<T> Window<T> {
    /// Takes a reading over. Of those that are older than the window the newest stays, so that the whole window is
    /// covered.
    pub(super) fn read(&mut self, at: i64, reading: T) {
        self.0.push_back((at, reading));
        while self.0.get(1).is_some_and(|(second, _)| *second <= at - WINDOW) {
            self.0.pop_front();
        }
    }

    /// The first and the last reading; `None` before they are some time apart.
    pub(super) fn span(&self) -> Option<Span<'_, T>> {
        let ((began, earlier), (ended, later)) = (self.0.front()?, self.0.back()?);
        #[expect(clippy::cast_precision_loss, reason = "minutes, in milliseconds")]
        let seconds = (ended - began) as f64 / 1_000.0;
        (seconds >= SPAN_MIN).then_some(Span { earlier, later, seconds })
    }
}

/// What a project has counted at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    refused: BTreeMap<String, u64>,
    created: u64,
    argos_calls: u64,
    commits: Latencies,
}

impl Reading {
    pub(super) fn of(told: &ProjectChronicle) -> Self {
        let refused = told.answers.iter().filter(|answers| answers.code != "OK");
        Self {
            refused: refused.map(|it| (it.reason.clone(), it.count)).collect(),
            created: told.created_leases,
            argos_calls: told.argos_calls,
            commits: told.commits.clone().unwrap_or_default(),
        }
    }
}

/// What a project did in the last minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// How many seconds were looked at.
    pub(super) seconds: f64,
    pub(super) created_per_second: f64,
    /// By reason, the most frequent first.
    pub(super) refused_per_second: Vec<(String, f64)>,
    pub(super) argos_calls_per_second: f64,
    pub(super) commits: Percentiles,
}

impl Rates {
    pub(super) fn of(window: &Window<Reading>) -> Option<Self> {
        let Span { earlier, later, seconds } = window.span()?;
        #[expect(clippy::cast_precision_loss, reason = "what a daemon does in a minute")]
        let rate = |earlier: u64, later: u64| later.saturating_sub(earlier) as f64 / seconds;
        let refused = later.refused.iter().map(|(reason, count)| {
            let before = earlier.refused.get(reason).copied().unwrap_or_default();
            (reason.clone(), rate(before, *count))
        });
        let mut refused: Vec<_> = refused.filter(|(_, rate)| *rate > 0.0).collect();
        refused.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Some(Self {
            seconds,
            created_per_second: rate(earlier.created, later.created),
            refused_per_second: refused,
            argos_calls_per_second: rate(earlier.argos_calls, later.argos_calls),
            commits: Percentiles::between(&earlier.commits, &later.commits),
        })
    }
}

/// How long something took, for half of the cases and for 99 of 100. `None` where there was no case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Percentiles {
    pub(super) p50: Option<Took>,
    pub(super) p99: Option<Took>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Took {
    /// Between the edges of a bucket, by the share of its cases below.
    About(Duration),
    /// More than the last edge.
    MoreThan(Duration),
}

impl Percentiles {
    pub(super) fn of(window: &Window<Latencies>) -> Self {
        let between = |span: Span<'_, Latencies>| Self::between(span.earlier, span.later);
        window.span().map(between).unwrap_or_default()
    }

    fn between(earlier: &Latencies, later: &Latencies) -> Self {
        Self { p50: quantile(earlier, later, 0.5), p99: quantile(earlier, later, 0.99) }
    }
}

/// What this share of the cases between two readings took at most, as Prometheus would say it.
#[expect(clippy::cast_precision_loss, reason = "what a daemon does in a minute")]
fn quantile(earlier: &Latencies, later: &Latencies, share: f64) -> Option<Took> {
    let cases = later.count.checked_sub(earlier.count).filter(|cases| *cases > 0)?;
    let wanted = share * cases as f64;
    let (mut edge, mut below) = (0.0, 0.0);
    for (number, bucket) in later.buckets.iter().enumerate() {
        let before = earlier.buckets.get(number).map_or(0, |bucket| bucket.count);
        let within = bucket.count.saturating_sub(before) as f64;
        if within >= wanted && within > below {
            let part = (wanted - below) / (within - below);
            return Some(Took::About(span(edge + (bucket.upper_bound_seconds - edge) * part)));
        }
        (edge, below) = (bucket.upper_bound_seconds, within);
    }
    Some(Took::MoreThan(span(edge)))
}

/// What no clock shows is nothing.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// How the stock stood at moments, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Stock(VecDeque<(i64, u32)>);

impl Stock {
    /// Takes points over that are not older than those which are there.
    pub(super) fn extend(&mut self, points: impl IntoIterator<Item = (i64, u32)>) {
        for (at, leasable) in points {
            if self.0.back().is_none_or(|(last, _)| *last < at) {
                self.0.push_back((at, leasable));
            }
        }
        let newest = self.0.back().map_or(0, |(at, _)| *at);
        while self.0.front().is_some_and(|(at, _)| *at < newest - STOCK_KEPT) {
            self.0.pop_front();
        }
    }

    /// The lowest stock of each of the last columns, the oldest first; `None` where nothing is known.
    pub(super) fn columns(&self, now: i64, columns: usize) -> Vec<Option<u32>> {
        let last = now.div_euclid(COLUMN);
        let first = last - i64::try_from(columns).unwrap_or(i64::MAX) + 1;
        let mut lowest = vec![None; columns];
        let mut held: Option<(i64, u32)> = None;
        let mut points = self.0.iter().peekable();
        for (column, slot) in (first..).zip(&mut lowest) {
            while let Some((at, leasable)) =
                points.next_if(|(at, _)| at.div_euclid(COLUMN) <= column)
            {
                if at.div_euclid(COLUMN) == column {
                    *slot = Some(slot.map_or(*leasable, |low: u32| low.min(*leasable)));
                }
                held = Some((*at, *leasable));
            }
            let holds = |(at, _): &(i64, u32)| column * COLUMN <= at + HOLDS;
            *slot = slot.or(held.filter(holds).map(|(_, leasable)| leasable));
        }
        lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::proto::{LatencyBucket, LeaseAnswers};

    /// Of a histogram with edges at 1, 10 and 100 ms.
    fn latencies(counts: [u64; 3], count: u64) -> Latencies {
        let buckets = [0.001, 0.01, 0.1]
            .into_iter()
            .zip(counts)
            .map(|(upper_bound_seconds, count)| LatencyBucket { upper_bound_seconds, count });
        Latencies { buckets: buckets.collect(), count }
    }

    fn about(millis: f64) -> Option<Took> {
        Some(Took::About(Duration::from_secs_f64(millis / 1_000.0)))
    }

    #[test]
    fn a_percentile_is_of_what_happened_between_two_answers_and_not_before() {
        let (earlier, later) = (latencies([0, 0, 900], 900), latencies([50, 100, 1_000], 1_000));
        let told = Percentiles::between(&earlier, &later);
        assert_eq!((told.p50, told.p99), (about(1.0), about(9.82)));
    }

    #[test]
    fn what_took_longer_than_the_last_bucket_is_said_to_be_more() {
        let told = Percentiles::between(&latencies([0; 3], 0), &latencies([0, 0, 0], 4));
        assert_eq!(told.p50, Some(Took::MoreThan(Duration::from_millis(100))));
    }

    #[test]
    fn nothing_that_happened_has_no_percentile() {
        let still = latencies([5, 6, 7], 7);
        assert_eq!(Percentiles::between(&still, &still), Percentiles::default());
    }

    fn read(window: &mut Window<Reading>, at: i64, created: u64, empty: u64) {
        let told = ProjectChronicle {
            created_leases: created,
            answers: vec![
                LeaseAnswers { code: "OK".into(), reason: "none".into(), count: created },
                LeaseAnswers {
                    code: "ResourceExhausted".into(),
                    reason: "pool_empty".into(),
                    count: empty,
                },
            ],
            ..ProjectChronicle::default()
        };
        window.read(at, Reading::of(&told));
    }

    #[test]
    fn a_rate_is_of_the_last_minute_and_forgets_what_was_before() {
        let mut window = Window::default();
        read(&mut window, 0, 0, 0);
        assert_eq!(Rates::of(&window), None);
        read(&mut window, 2_000, 1_000, 0);
        assert_eq!(Rates::of(&window).unwrap().created_per_second, 500.0);
        for second in (4..=70).step_by(2) {
            read(&mut window, second * 1_000, 1_000 + second.unsigned_abs(), 10);
        }
        let rates = Rates::of(&window).unwrap();
        assert_eq!((rates.seconds, rates.created_per_second), (60.0, 1.0));
        assert!(rates.refused_per_second.is_empty(), "{rates:?}");
        read(&mut window, 72_000, 1_072, 70);
        assert_eq!(Rates::of(&window).unwrap().refused_per_second, [("pool_empty".into(), 1.0)]);
    }

    #[test]
    fn a_column_shows_the_lowest_stock_of_its_ten_seconds() {
        let mut stock = Stock::default();
        stock.extend([(-5_000, 90), (1_000, 80), (2_000, 20), (9_999, 70), (10_000, 60)]);
        assert_eq!(stock.columns(12_000, 3), [Some(90), Some(20), Some(60)]);
    }

    #[test]
    fn half_a_minute_between_two_samples_is_no_gap_and_an_outage_is_one() {
        let mut stock = Stock::default();
        stock.extend([(0, 50), (30_000, 40), (150_000, 30)]);
        let told = stock.columns(150_000, 16);
        let (known, gap) = (Some(40), None);
        assert_eq!(told[..4], [Some(50), Some(50), Some(50), known]);
        assert_eq!(told[4..8], [known, known, known, known]);
        assert_eq!(told[8..], [gap, gap, gap, gap, gap, gap, gap, Some(30)]);
    }

    #[test]
    fn what_the_daemon_remembers_does_not_overwrite_what_was_seen() {
        let mut stock = Stock::default();
        stock.extend([(0, 50), (20_000, 40)]);
        stock.extend([(15_000, 1), (30_000, 30)]);
        assert_eq!(stock.columns(30_000, 4), [Some(50), Some(50), Some(40), Some(30)]);
    }

    #[test]
    fn no_more_of_the_stock_is_kept_than_an_hour() {
        let mut stock = Stock::default();
        stock.extend((0..20_000).map(|second| (second * 1_000, 7)));
        assert!(stock.0.len() <= 3_601, "{}", stock.0.len());
    }
}
