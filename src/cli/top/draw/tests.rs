use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::*;
use crate::cli::{
    proto::ProjectStatus,
    top::{
        tests::{moment, told, troubled, well},
        view::Key,
    },
};

fn painted(view: &View, width: u16, height: u16, color: bool) -> Buffer {
    painted_at(view, 12, (width, height), color)
}

fn painted_at(view: &View, seconds: i64, (width, height): (u16, u16), color: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let scene = Scene { view, now: moment(seconds), every: Duration::from_secs(2), color };
    terminal.draw(|frame| draw(frame, &scene)).unwrap();
    terminal.backend().buffer().clone()
}

/// What stands in the window, line by line, without the blanks at the ends.
fn picture(view: &View, width: u16, height: u16) -> String {
    let buffer = painted(view, width, height, true);
    let lines = buffer.content.chunks(usize::from(width)).map(|row| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

/// Holds the picture against the one that is kept.
fn looks_like(name: &str, picture: &str) {
    let path = format!("{}/tests/golden/top_{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("ARGOSPOOL_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, picture).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(picture, kept, "ARGOSPOOL_WRITE_GOLDEN=1 writes {name} anew");
}

fn many(names: &[&str]) -> Vec<ProjectStatus> {
    names.iter().map(|name| well(name)).collect()
}

#[test]
fn a_project_that_is_well_fits_a_window_of_80_by_24() {
    looks_like("80x24", &picture(&told(&[well("default")]), 80, 24));
}

#[test]
fn trouble_stands_first_and_its_advice_with_it() {
    looks_like("trouble", &picture(&told(&[troubled("kyc"), well("web")]), 80, 24));
}

#[test]
fn a_large_window_shows_the_parts_side_by_side_and_why() {
    looks_like("130x32", &picture(&told(&[well("default")]), 130, 32));
}

#[test]
fn a_window_that_is_too_small_says_what_is_missing() {
    let text = picture(&told(&[well("default")]), 40, 10);
    assert!(text.starts_with("This window has 40 columns and 10 rows.\n"), "{text}");
    for size in [(1, 1), (63, 24), (80, 21), (9, 200), (300, 2)] {
        picture(&told(&[well("default")]), size.0, size.1);
    }
}

#[test]
fn every_size_that_is_large_enough_shows_the_stock_and_the_keys() {
    for (width, height) in [(64, 22), (64, 80), (129, 24), (130, 22), (140, 40), (250, 70)] {
        for projects in [vec![well("kyc")], vec![troubled("kyc"), well("web")]] {
            let text = picture(&told(&projects), width, height);
            for part in ["can lease", "─ ARGOS", "budget", "refused", "q: quit"] {
                assert!(text.contains(part), "{width}x{height}: {part}\n{text}");
            }
        }
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_shown_with_the_age_of_what_stands_below() {
    let mut view = told(&[well("default")]);
    view.hear(11_000, Err("error: cannot reach the daemon at unix:/a\nhint: is it?\n".into()));
    let text = picture(&view, 80, 24);
    assert!(text.lines().next().unwrap().ends_with("NO ANSWER for 2s"), "{text}");
    let told = "! NO ANSWER for 2s, so what follows is old: cannot reach the daemon at unix:/a\n";
    assert!(text.contains(told), "{text}");
    assert!(text.contains("4,812 of 5,000"), "{text}");
}

#[test]
fn a_daemon_that_lets_a_question_hang_is_noticed_before_it_counts_as_no_answer() {
    let first_line = |seconds| -> String {
        let buffer = painted_at(&told(&[well("default")]), seconds, (80, 24), true);
        buffer.content[..80].iter().map(|cell| cell.symbol()).collect()
    };
    assert!(first_line(13).ends_with("every 2s"), "{}", first_line(13));
    assert!(first_line(14).ends_with("last answer 4s ago"), "{}", first_line(14));
}

#[test]
fn before_the_first_answer_stands_why_there_is_none_and_what_to_try() {
    let mut view = View::default();
    view.hear(0, Err("error: cannot reach the daemon\nhint: is it running?\n".into()));
    let text = picture(&view, 80, 24);
    assert!(text.contains("\nerror: cannot reach the daemon\nhint: is it running?\n"), "{text}");
}

#[test]
fn a_frozen_view_says_so() {
    let mut view = told(&[well("default")]);
    view.press(Key::Freeze, moment(11));
    let text = picture(&view, 80, 24);
    assert!(text.lines().next().unwrap().ends_with("FROZEN 1s ago"), "{text}");
}

#[test]
fn the_help_explains_keys_and_figures() {
    let mut view = told(&[well("default")]);
    view.press(Key::Help, moment(11));
    let text = picture(&view, 80, 24);
    for part in ["freezes the view", "p50, p99", "lowest stock of 10 s", "q: quit"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn of_more_projects_than_fit_the_one_that_is_shown_is_among_the_names() {
    let names: Vec<_> = (0..30).map(|number| format!("project_{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut view = told(&many(&names));
    view.press(Key::PreviousProject, moment(11));
    let line = picture(&view, 80, 24).lines().nth(1).unwrap().to_owned();
    assert!(line.starts_with('‹') && line.ends_with("[project_29]"), "{line}");
}

#[test]
fn an_empty_pool_is_blank_and_what_is_not_known_is_dots() {
    let mut empty = well("default");
    (empty.leasable_tokens, empty.can_lease) = (0, false);
    let mut view = View::default();
    let answer = |projects| super::super::view::Answer {
        chronicle: None,
        ..crate::cli::top::tests::answer(projects, 1)
    };
    view.hear(0, Ok(answer(vec![empty])));
    let text = picture(&view, 80, 24);
    assert!(text.contains(&format!("{}\n", "·".repeat(78))), "{text}");
    assert!(
        text.contains("can lease  NO, leasing is refused; 0 of 5,000 tokens, 4,812 ready\n"),
        "{text}"
    );
}

#[test]
fn without_colour_everything_is_said_all_the_same() {
    let view = told(&[troubled("kyc"), well("web")]);
    let buffer = painted(&view, 80, 24, false);
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let colored = painted(&view, 80, 24, true);
    assert!(colored.content.iter().any(|cell| cell.fg == Color::Red));
    let symbols =
        |buffer: &Buffer| -> String { buffer.content.iter().map(|it| it.symbol()).collect() };
    assert_eq!(symbols(&buffer), symbols(&colored));
}

#[test]
fn what_other_people_wrote_cannot_command_the_terminal() {
    let mut status = troubled("kyc");
    status.pauses[0].reason = "a\x1b[31mb".into();
    let text = picture(&told(&[status]), 80, 40);
    assert!(text.contains("because: a\u{fffd}[31mb\n") && !text.contains('\x1b'), "{text}");
}
