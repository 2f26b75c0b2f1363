//! The terminal: taken over while the view is open, and given back whatever happens.
//!
//! It is given back when the stage is dropped, and before a panic is reported.

use std::{io, time::Duration};

use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use tokio::sync::mpsc;

use super::view::Key;

/// How long the keyboard is listened to before it is asked whether anybody still wants to know.
const LISTEN: Duration = Duration::from_millis(200);

/// A terminal in the state in which it can be drawn on.
pub(super) struct Stage(DefaultTerminal);

impl Stage {
    pub(super) fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                // Half of it may be done. Where even this fails there is nothing left to try.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.0.draw(picture).map(|_| ())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A terminal that is gone has no state to be in.
        let _ = self.0.show_cursor();
        // Before a panic was reported it was given back; once more would put the cursor into the report.
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// What comes from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Key(Key),
    /// The window has another size.
    Resized,
    /// Nothing comes from there any more.
    Gone,
}

/// Hears the terminal on a thread of its own, because reading it blocks. It ends with the receiver.
pub(super) fn listen() -> mpsc::UnboundedReceiver<Input> {
    let (heard, inputs) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while !heard.is_closed() {
            let input =
                match event::poll(LISTEN).and_then(|there| there.then(event::read).transpose()) {
                    Ok(Some(event)) => input(&event),
                    Ok(None) => None,
                    Err(_) => Some(Input::Gone),
                };
            if input.is_some_and(|input| heard.send(input).is_err()) || input == Some(Input::Gone) {
                return;
            }
        }
    });
    inputs
}

fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Key(key) => self::key(key).map(Input::Key),
        Event::Resize(..) => Some(Input::Resized),
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a keyboard has more keys than meanings")]
fn key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    match event.code {
        KeyCode::Char('c' | 'd') if event.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Key::Quit)
        }
        KeyCode::Char('q' | 'Q') => Some(Key::Quit),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Char('p' | 'P') => Some(Key::Freeze),
        KeyCode::Char('?' | 'h') => Some(Key::Help),
        KeyCode::Tab | KeyCode::Right | KeyCode::Down => Some(Key::NextProject),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Up => Some(Key::PreviousProject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        key(&KeyEvent::new(code, modifiers))
    }

    #[test]
    fn q_escape_and_control_c_leave_and_a_plain_c_does_not() {
        let plain = KeyModifiers::NONE;
        assert_eq!(pressed(KeyCode::Char('q'), plain), Some(Key::Quit));
        assert_eq!(pressed(KeyCode::Esc, plain), Some(Key::Escape));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
        assert_eq!(pressed(KeyCode::Char('c'), plain), None);
    }

    #[test]
    fn tab_and_the_arrows_walk_through_the_projects() {
        let plain = KeyModifiers::NONE;
        for code in [KeyCode::Tab, KeyCode::Right, KeyCode::Down] {
            assert_eq!(pressed(code, plain), Some(Key::NextProject));
        }
        assert_eq!(pressed(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Key::PreviousProject));
    }
}
