//! What a reader gets to see: plain text, tables and JSON on stdout, complaints on stderr.
//!
//! Colour only on a terminal and never with `NO_COLOR`. Nothing that came from the daemon reaches a
//! terminal with its control characters: labels and reasons are written by other people.

use std::{
    cell::RefCell,
    io::{self, IsTerminal as _, Write},
};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table, presets::NOTHING};
use jiff::Timestamp;
use serde_json::Value;

use super::{Environment, Failure};

/// Spaces between two columns.
const GAP: u16 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// What a text means to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Caution,
    Bad,
    /// Not for the first look.
    Quiet,
}

/// Where output goes and what may be assumed about whoever reads it.
pub(super) struct Screen {
    pub(super) output: Output,
    /// Whether a person looks at stdout.
    pub(super) terminal: bool,
    pub(super) color: bool,
    /// Letters per line; `None` lets lines be as long as they are.
    pub(super) width: Option<u16>,
    /// What "ago" counts from.
    pub(super) now: Timestamp,
    pub(super) stdout: RefCell<Box<dyn Write>>,
    pub(super) stderr: RefCell<Box<dyn Write>>,
}

impl Screen {
    pub(super) fn of_process(output: Output, environment: &Environment) -> Self {
        let terminal = io::stdout().is_terminal();
        let says = |name: &str, text: fn(&str) -> bool| {
            environment.iter().any(|(key, value)| key == name && value.to_str().is_none_or(text))
        };
        let color = terminal
            && !says("NO_COLOR", |text| !text.is_empty())
            && !says("TERM", |text| text == "dumb");
        Self {
            output,
            terminal,
            color,
            width: Table::new().width(),
            now: Timestamp::now(),
            stdout: RefCell::new(Box::new(io::stdout())),
            stderr: RefCell::new(Box::new(io::stderr())),
        }
    }

    /// Writes one answer: as JSON where that was asked for, else as `text` puts it.
    pub(super) fn answer(
        &self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Output::Json => self.print(&format!("{:#}\n", value())),
            Output::Table => self.print(&text()),
        }
    }

    /// Writes to stdout as it is. A reader who has left is no failure: `argospool list | head`.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_on(text).map(|_| ())
    }

    /// The same, for what goes on while somebody reads: false when the reader has left.
    pub(super) fn print_on(&self, text: &str) -> Result<bool, Failure> {
        let mut stdout = self.stdout.borrow_mut();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::failed(format!("cannot write to stdout: {error}"))),
        }
    }

    /// Writes a remark to stderr, where it does not get between a program and its data.
    pub(super) fn remark(&self, text: &str) {
        // When even stderr is gone, there is nobody to tell.
        let _ = self.stderr.borrow_mut().write_all(text.as_bytes());
    }

    pub(super) fn complain(&self, failure: &Failure) {
        self.remark(&without_controls(&failure.to_text()));
    }

    /// The text in the colour of its tone, for what stands outside of tables.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let text = without_controls(text);
        match tone.code() {
            Some(code) if self.color => format!("\x1b[{code}m{text}\x1b[0m"),
            Some(_) | None => text,
        }
    }

    /// Rows under a heading, in columns, each line without trailing spaces and ended.
    pub(super) fn table<const N: usize>(
        &self,
        heading: [&str; N],
        rows: impl IntoIterator<Item = [(Tone, String); N]>,
    ) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING).force_no_tty();
        if self.color {
            table.enforce_styling();
        }
        if let Some(width) = self.width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(heading.map(|word| self.cell(Tone::Quiet, word)));
        for row in rows {
            table.add_row(row.map(|(tone, text)| self.cell(tone, &text)));
        }
        let last = N.saturating_sub(1);
        for column in table.column_iter_mut() {
            let gap = if column.index == last { 0 } else { GAP };
            column.set_padding((0, gap));
        }
        // The first column is what people copy, so it is never folded.
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        table.trim_fmt() + "\n"
    }

    fn cell(&self, tone: Tone, text: &str) -> Cell {
        let cell = Cell::new(without_controls(text));
        match tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(comfy_table::Color::DarkGreen),
            Tone::Caution => cell.fg(comfy_table::Color::DarkYellow),
            Tone::Bad => cell.fg(comfy_table::Color::DarkRed).add_attribute(Attribute::Bold),
            Tone::Quiet => cell.add_attribute(Attribute::Dim),
        }
    }
}

impl Tone {
    /// The parameters of the escape sequence.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Caution => Some("33"),
            Self::Bad => Some("1;31"),
            Self::Quiet => Some("2"),
        }
    }
}

/// A terminal obeys control characters, so none but the line feed gets there.
pub(super) fn without_controls(text: &str) -> String {
    let shown =
        |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
    text.chars().map(shown).collect()
}
