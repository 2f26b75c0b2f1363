//! The picture: what the panels say, laid out for the window there is. A pure function of scene and size.
//!
//! From [`WIDE`] columns on the parts stand side by side. What is left of the height goes to the calls, then to
//! why, then to more calls. Open problems push out calls, the ledger and most of the picture, and no other figure.

use std::time::Duration;

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span, Text},
    widgets::{Block, Borders, Paragraph, Sparkline},
};

use super::{
    panels::{self, Row},
    view::{Known, Moment, Shown, View},
    window::COLUMN,
};
use crate::cli::{screen::Tone, words};

/// Below this nothing can be read.
const WIDTH_MIN: u16 = 64;
const HEIGHT_MIN: u16 = 22;
const WIDE: u16 = 130;
/// Columns between two parts side by side.
const GAP: u16 = 2;
/// Rows of the picture of the stock.
const STOCK_LEAN: u16 = 1;
const STOCK_MIN: u16 = 2;
const STOCK_MAX: u16 = 16;
/// Calls that stand before why does.
const CALLS_FIRST: usize = 8;
/// Milliseconds beyond the next question without an answer that are worth a word.
const SILENCE: i64 = 1_500;
/// Letters of a name that are shown.
const NAME: usize = 24;

/// What is drawn, and how.
pub(super) struct Scene<'a> {
    pub(super) view: &'a View,
    pub(super) now: Moment,
    /// How often the daemon is asked.
    pub(super) every: Duration,
    pub(super) color: bool,
}

pub(super) fn draw(frame: &mut Frame, scene: &Scene<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!(
            "This window has {} columns and {} rows.\nargospool top needs {WIDTH_MIN} and {HEIGHT_MIN}: make it \
             larger, or press q\nand use `argospool status --watch`.",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let (known, now) = scene.view.shown(scene.now);
    let several = known.projects().nth(1).is_some();
    let [head, names, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::from(several)),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    let [left, right] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(28)]).areas(head);
    frame.render_widget(scene.line(&title(known, scene.view, now)), left);
    frame.render_widget(scene.line(&news(known, scene)).alignment(Alignment::Right), right);
    if several {
        let width = usize::from(names.width);
        frame.render_widget(scene.line(&tabs(known, scene.view.selected(), width)), names);
    }
    let keys = match several {
        true => "Tab, arrows: project  p: freeze  ?: help  q: quit",
        false => "p: freeze  ?: help  q: quit",
    };
    frame.render_widget(scene.line(&vec![(Tone::Quiet, keys.to_owned())]), foot);
    if scene.view.help {
        scene.section(frame, body, "Help", &panels::help(usize::from(body.width)));
    } else {
        scene.body(frame, body, known, now, several);
    }
}

impl Scene<'_> {
    fn body(&self, frame: &mut Frame, area: Rect, known: &Known, now: Moment, several: bool) {
        let width = usize::from(area.width);
        let Some((_, told)) = known.answer() else {
            let why = known.missed.as_deref().unwrap_or("asking");
            let text: Vec<_> = why.lines().map(panels::clean).map(Line::from).collect();
            frame.render_widget(Paragraph::new(text), area);
            return;
        };
        let shown = known.project(self.view.selected(), now);
        let alerts = panels::alerts(known, shown.as_ref(), now, width);
        let Some(shown) = shown else {
            frame.render_widget(self.text(&alerts), area);
            return;
        };
        let argos = shown.status.argos.unwrap_or_default();
        let wide = area.width >= WIDE;
        let half = usize::from(area.width - GAP) / 2;
        let fitted = |rows| panels::fitted(rows, if wide { half } else { width });
        let parts = Parts {
            stock: fitted(panels::stock(shown.status, now)),
            demand: fitted(panels::demand(&shown, several)),
            demand_title: format!("Demand, {}", panels::past(shown.rates.as_ref())),
            argos: fitted(panels::argos(&argos, shown.rates.as_ref(), now)),
            argos_title: if argos.simulated { "ARGOS (the simulator)" } else { "ARGOS" },
            ledger: fitted(vec![panels::ledger(&shown)]),
            ledger_title: format!("Ledger, {}", words::size(told.ledger_bytes)),
            why: panels::why(&shown, width),
            shown,
            now,
        };
        if wide {
            self.side_by_side(frame, area, &alerts, &parts);
        } else {
            self.one_below_another(frame, area, &alerts, &parts);
        }
    }

    fn one_below_another(&self, frame: &mut Frame, area: Rect, alerts: &[Row], parts: &Parts<'_>) {
        let needed = |lean: Lean| parts.left_rows(lean) + parts.argos_rows(0);
        let lean = Lean::enough_for(rows(alerts), area.height, needed);
        let alerts = at_most(alerts, area.height.saturating_sub(needed(lean)).max(1));
        let left = area.height.saturating_sub(needed(lean) + rows(&alerts));
        let room = Room::share(usize::from(left), parts);
        let [top, stock, demand, argos, ledger, why] = Layout::vertical([
            Constraint::Length(rows(&alerts)),
            Constraint::Length(parts.stock_rows(lean.picture())),
            Constraint::Length(parts.demand_rows()),
            Constraint::Length(parts.argos_rows(room.calls)),
            Constraint::Length(parts.ledger_rows(lean)),
            Constraint::Min(0),
        ])
        .areas(area);
        frame.render_widget(self.text(&alerts), top);
        self.stock(frame, stock, parts);
        self.section(frame, demand, &parts.demand_title, &parts.demand);
        self.section(frame, argos, parts.argos_title, &parts.argos_and_calls(room.calls));
        self.section(frame, ledger, &parts.ledger_title, &parts.ledger);
        if room.why {
            self.section(frame, why, "Why", &parts.why);
        }
    }

    fn side_by_side(&self, frame: &mut Frame, area: Rect, alerts: &[Row], parts: &Parts<'_>) {
        let needed = |lean: Lean| parts.left_rows(lean);
        let lean = Lean::enough_for(rows(alerts), area.height, needed);
        let alerts = at_most(alerts, area.height.saturating_sub(needed(lean)).max(1));
        let left = area.height.saturating_sub(needed(lean) + rows(&alerts));
        let why = rows(&parts.why) + 1;
        let why = if left >= why && why > 1 { why } else { 0 };
        let [top, middle, below] = Layout::vertical([
            Constraint::Length(rows(&alerts)),
            Constraint::Min(0),
            Constraint::Length(why),
        ])
        .areas(area);
        let [one, _, other] =
            Layout::horizontal([Constraint::Fill(1), Constraint::Length(GAP), Constraint::Fill(1)])
                .areas(middle);
        let picture = lean.picture() + middle.height.saturating_sub(needed(lean));
        let [stock, demand, ledger] = Layout::vertical([
            Constraint::Length(parts.stock_rows(picture.min(STOCK_MAX))),
            Constraint::Length(parts.demand_rows()),
            Constraint::Length(parts.ledger_rows(lean)),
        ])
        .areas(one);
        frame.render_widget(self.text(&alerts), top);
        self.stock(frame, stock, parts);
        self.section(frame, demand, &parts.demand_title, &parts.demand);
        self.section(frame, ledger, &parts.ledger_title, &parts.ledger);
        let calls = other.height.saturating_sub(parts.argos_rows(0));
        self.section(frame, other, parts.argos_title, &parts.argos_and_calls(calls.into()));
        if why > 0 {
            self.section(frame, below, "Why", &parts.why);
        }
    }

    /// Can it lease, how the stock stood, how long it lasts and what is ordered.
    fn stock(&self, frame: &mut Frame, area: Rect, parts: &Parts<'_>) {
        let Some((verdict, below)) = parts.stock.split_first() else { return };
        let columns = parts.shown.stock.columns(parts.now.at, usize::from(area.width));
        let most = columns.iter().flatten().copied().max().unwrap_or(0);
        let top = most.max(parts.shown.status.target_tokens).max(1);
        let seconds = u64::from(area.width) * COLUMN.unsigned_abs() / 1_000;
        let past = words::duration(Duration::from_secs(seconds / 60 * 60));
        let title = format!("Stock, last {past}, up to {}", words::count(top));
        let inside = self.titled(frame, area, &title);
        let [first, picture, rest] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(rows(below)),
        ])
        .areas(inside);
        frame.render_widget(self.line(verdict), first);
        let bars = columns.iter().map(|leasable| leasable.map(u64::from));
        let bars = Sparkline::default()
            .data(bars.collect::<Vec<_>>())
            .max(top.into())
            .absent_value_symbol(" ")
            .style(if self.color { Style::new().fg(Color::Blue) } else { Style::new() });
        frame.render_widget(bars, picture);
        // An empty pool has no bar either, so that what is not known needs a mark of its own.
        let foot = picture.bottom().saturating_sub(1);
        for (x, _) in (picture.left()..).zip(&columns).filter(|(_, known)| known.is_none()) {
            if let Some(cell) = frame.buffer_mut().cell_mut((x, foot)) {
                cell.set_symbol("·").set_style(self.style(Tone::Quiet));
            }
        }
        frame.render_widget(self.text(below), rest);
    }

    fn section(&self, frame: &mut Frame, area: Rect, title: &str, rows: &[Row]) {
        let inside = self.titled(frame, area, title);
        frame.render_widget(self.text(rows), inside);
    }

    /// Draws a title over the area and gives what is below it.
    fn titled(&self, frame: &mut Frame, area: Rect, title: &str) -> Rect {
        let title = Span::styled(format!(" {title} "), Style::new().add_modifier(Modifier::BOLD));
        let block = Block::new()
            .borders(Borders::TOP)
            .border_style(self.style(Tone::Quiet))
            .title_top(Line::from(vec![Span::raw("─"), title]));
        let inside = block.inner(area);
        frame.render_widget(block, area);
        inside
    }

    fn text(&self, rows: &[Row]) -> Text<'static> {
        rows.iter().map(|row| self.line(row)).collect::<Vec<_>>().into()
    }

    fn line(&self, row: &Row) -> Line<'static> {
        let span =
            |(tone, text): &(Tone, String)| Span::styled(panels::clean(text), self.style(*tone));
        row.iter().map(span).collect::<Vec<_>>().into()
    }

    fn style(&self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain | Tone::Good | Tone::Caution => Style::new(),
            Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
            Tone::Quiet => Style::new().add_modifier(Modifier::DIM),
        };
        match tone {
            Tone::Good if self.color => style.fg(Color::Green),
            Tone::Caution if self.color => style.fg(Color::Yellow),
            Tone::Bad if self.color => style.fg(Color::Red),
            Tone::Plain | Tone::Quiet | Tone::Good | Tone::Caution | Tone::Bad => style,
        }
    }
}

/// What the panels say of one project.
struct Parts<'a> {
    shown: Shown<'a>,
    now: Moment,
    /// Its first row stands above the picture.
    stock: Vec<Row>,
    demand: Vec<Row>,
    demand_title: String,
    argos: Vec<Row>,
    argos_title: &'static str,
    ledger: Vec<Row>,
    ledger_title: String,
    why: Vec<Row>,
}

impl Parts<'_> {
    fn stock_rows(&self, picture: u16) -> u16 {
        1 + rows(&self.stock) + picture
    }

    fn demand_rows(&self) -> u16 {
        1 + rows(&self.demand)
    }

    fn ledger_rows(&self, lean: Lean) -> u16 {
        if lean == Lean::Most { 0 } else { 1 + rows(&self.ledger) }
    }

    /// All but ARGOS and why.
    fn left_rows(&self, lean: Lean) -> u16 {
        self.stock_rows(lean.picture()) + self.demand_rows() + self.ledger_rows(lean)
    }

    fn argos_rows(&self, calls: usize) -> u16 {
        1 + rows(&self.argos) + u16::try_from(calls).unwrap_or(u16::MAX)
    }

    fn argos_and_calls(&self, calls: usize) -> Vec<Row> {
        [self.argos.clone(), panels::calls(&self.shown.calls, calls)].concat()
    }
}

/// What is left out so that all open problems can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lean {
    /// Nothing but calls, which take what is left.
    Not,
    /// Most of the picture of the stock.
    Some,
    /// The ledger as well.
    Most,
}

impl Lean {
    fn enough_for(alerts: u16, height: u16, needed: impl Fn(Self) -> u16) -> Self {
        let steps = [Self::Not, Self::Some, Self::Most];
        steps.into_iter().find(|lean| needed(*lean) + alerts <= height).unwrap_or(Self::Most)
    }

    fn picture(self) -> u16 {
        match self {
            Self::Not => STOCK_MIN,
            Self::Some | Self::Most => STOCK_LEAN,
        }
    }
}

/// Who gets what is left of the height.
struct Room {
    calls: usize,
    why: bool,
}

impl Room {
    fn share(left: usize, parts: &Parts<'_>) -> Self {
        let wanted = parts.shown.calls.len().max(1);
        let calls = wanted.min(CALLS_FIRST).min(left);
        let why = parts.why.len() + 1;
        let fits = why > 1 && left - calls >= why;
        let left = if fits { left - why } else { left };
        Self { calls: wanted.min(left), why: fits }
    }
}

fn rows(rows: &[Row]) -> u16 {
    u16::try_from(rows.len()).unwrap_or(u16::MAX)
}

/// The first of them, and a word where there are more.
fn at_most(rows: &[Row], most: u16) -> Vec<Row> {
    let most = usize::from(most);
    if rows.len() <= most {
        return rows.to_vec();
    }
    let mut kept = rows[..most.saturating_sub(1)].to_vec();
    let more = rows.len() - kept.len();
    kept.push(vec![(Tone::Bad, format!("! {more} more lines: `argospool status` has them all"))]);
    kept
}

fn title(known: &Known, view: &View, now: Moment) -> Row {
    let Some((_, status)) = known.answer() else {
        return vec![(Tone::Plain, "argospool".to_owned())];
    };
    let mut text = format!("argospool {}", status.version);
    if known.projects().nth(1).is_none() && !view.selected().is_empty() {
        text.push_str(&format!(", project {}", short(view.selected())));
    }
    if let Some(start) = words::time_of(status.start_time.as_ref()) {
        text.push_str(&format!(", started {}", words::relative(start, now.wall)));
    }
    let mut row = vec![(Tone::Plain, text)];
    match (status.draining, status.ready) {
        (true, _) => row.push((Tone::Caution, ", stopping".to_owned())),
        (false, false) => row.push((Tone::Bad, ", NOT READY".to_owned())),
        (false, true) => (),
    }
    row
}

/// How fresh the picture is.
fn news(known: &Known, scene: &Scene<'_>) -> Row {
    if let Some(at) = scene.view.frozen_since() {
        return vec![(Tone::Caution, format!("FROZEN {} ago", panels::since(scene.now, at)))];
    }
    match (&known.missed, known.answer()) {
        (Some(_), Some((at, _))) => {
            vec![(Tone::Bad, format!("NO ANSWER for {}", panels::since(scene.now, at)))]
        }
        (Some(_), None) => vec![(Tone::Bad, "NO ANSWER yet".to_owned())],
        (None, Some((at, _))) if scene.now.at - at > SILENCE + millis(scene.every) => {
            vec![(Tone::Caution, format!("last answer {} ago", panels::since(scene.now, at)))]
        }
        (None, _) => {
            let every = humantime::format_duration(scene.every).to_string();
            vec![(Tone::Quiet, format!("every {every}"))]
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2)
}

/// The names of all projects: the one that is shown in brackets, a mark at those with open problems. Where there are
/// too many for the width, the first are left out.
fn tabs(known: &Known, selected: &str, width: usize) -> Row {
    let mut parts = Vec::new();
    let mut shown_until = 0;
    for project in known.projects() {
        let mark = if project.problems.is_empty() { "" } else { "!" };
        let name = short(&project.project) + mark;
        let tone = match (project.can_lease, mark) {
            (false, _) => Tone::Bad,
            (true, "") => Tone::Plain,
            (true, _) => Tone::Caution,
        };
        let is_shown = project.project == selected;
        parts.push((tone, if is_shown { format!("[{name}] ") } else { format!(" {name}  ") }));
        if is_shown {
            shown_until = parts.len();
        }
    }
    let wide = |parts: &[(Tone, String)]| -> usize {
        parts.iter().map(|(_, text)| text.chars().count()).sum()
    };
    let mut first = 0;
    while first + 1 < shown_until && wide(&parts[first..shown_until]) + 1 > width {
        first += 1;
    }
    let left_out = (first > 0).then(|| (Tone::Quiet, "‹".to_owned()));
    left_out.into_iter().chain(parts.drain(first..)).collect()
}

fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}

#[cfg(test)]
mod tests;
