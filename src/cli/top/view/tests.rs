use super::*;
use crate::cli::top::tests::{answer, moment, told, troubled, well};

fn rates(view: &View, at: i64) -> Option<Rates> {
    let (known, now) = view.shown(moment(at));
    known.project(view.selected(), now).unwrap().rates
}

#[test]
fn rates_are_of_two_answers_and_the_first_one_has_none() {
    let mut view = View::default();
    view.hear(0, Ok(answer(vec![well("default")], 1_000)));
    assert_eq!(rates(&view, 0), None);
    let rates = rates(&told(&[well("default")]), 10).unwrap();
    assert_eq!((rates.seconds, rates.created_per_second), (10.0, 10.0));
    let refused: Vec<_> = rates.refused_per_second.iter().map(|(it, _)| it.as_str()).collect();
    assert_eq!(refused, ["pool_empty", "paused"]);
}

#[test]
fn a_daemon_that_started_anew_counts_from_zero_and_the_stock_before_is_still_known() {
    let mut view = told(&[well("default")]);
    let mut restarted = answer(vec![well("default")], 3);
    restarted.status.start_time.as_mut().unwrap().seconds += 60;
    view.hear(20_000, Ok(restarted));
    assert_eq!(rates(&view, 20), None);
    let (known, now) = view.shown(moment(20));
    let stock = known.project("default", now).unwrap().stock.columns(now.at, 3);
    assert!(stock.iter().all(Option::is_some), "{stock:?}");
}

#[test]
fn without_an_answer_the_last_one_stands_and_grows_old() {
    let mut view = told(&[well("default")]);
    view.hear(12_000, Err("error: cannot reach the daemon\n".into()));
    let (known, now) = view.shown(moment(25));
    assert_eq!(known.answer().unwrap().0, 10_000);
    assert!(known.missed.as_ref().unwrap().contains("cannot reach"));
    let calls = known.project("default", now).unwrap().calls;
    assert_eq!(calls[0].0, Duration::from_secs(3 + 15), "a call grows old as well");
    view.hear(26_000, Ok(answer(vec![well("default")], 1_200)));
    assert_eq!(view.shown(moment(26)).0.missed, None);
}

#[test]
fn the_keys_walk_through_the_projects_in_a_circle() {
    let mut view = told(&[well("default"), well("kyc"), well("web")]);
    let mut shown = vec![view.selected().to_owned()];
    for key in [Key::NextProject, Key::NextProject, Key::NextProject, Key::PreviousProject] {
        assert!(!view.press(key, moment(11)));
        shown.push(view.selected().to_owned());
    }
    assert_eq!(shown, ["default", "kyc", "web", "default", "web"]);
    // The one that is shown stays, also when another answer comes, until it is gone.
    view.hear(12_000, Ok(answer(vec![well("default"), well("web")], 1_200)));
    assert_eq!(view.selected(), "web");
    view.hear(14_000, Ok(answer(vec![well("default")], 1_200)));
    assert_eq!(view.selected(), "default");
}

#[test]
fn a_frozen_view_stands_still_and_loses_nothing() {
    let mut view = told(&[well("default")]);
    view.press(Key::Freeze, moment(11));
    view.hear(12_000, Ok(answer(vec![troubled("default")], 2_000)));
    let (known, now) = view.shown(moment(30));
    assert_eq!((now, known.answer().unwrap().0), (moment(11), 10_000));
    assert_eq!(view.frozen_since(), Some(11_000));
    view.press(Key::Freeze, moment(30));
    let (known, now) = view.shown(moment(30));
    assert_eq!((now, known.answer().unwrap().0), (moment(30), 12_000));
    assert!(rates(&view, 30).unwrap().created_per_second > 80.0);
}

#[test]
fn escape_closes_the_help_first_and_then_the_view() {
    let mut view = View::default();
    view.press(Key::Help, moment(0));
    assert!(view.help && !view.press(Key::Escape, moment(0)));
    assert!(!view.help && view.press(Key::Escape, moment(0)));
    assert!(view.press(Key::Quit, moment(0)));
}

#[test]
fn why_does_not_repeat_what_is_told_as_a_problem() {
    let mut status = well("default");
    status.problems = vec![crate::cli::proto::Problem {
        reason: "ARGOS_DOWN".into(),
        ..crate::cli::proto::Problem::default()
    }];
    let view = told(&[status]);
    let (known, now) = view.shown(moment(10));
    let why = known.project("default", now).unwrap().why;
    assert_eq!(why, ["Leasing works: 4812 tokens can be leased."]);
}

#[test]
fn a_daemon_of_a_release_without_a_chronicle_is_shown_without_rates() {
    let mut view = View::default();
    for at in [0, 10_000] {
        let told = Answer { chronicle: None, ..answer(vec![well("default")], 1_000) };
        view.hear(at, Ok(told));
    }
    let (known, now) = view.shown(moment(10));
    let shown = known.project("default", now).unwrap();
    assert!(shown.rates.is_none() && shown.calls.is_empty());
    assert_eq!(shown.stock.columns(now.at, 1), [Some(4_812)]);
}
