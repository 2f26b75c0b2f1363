//! `top` on a terminal: what a person sees there, and that the terminal is given back.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use argospool::sim::{Simulator, SimulatorOptions};
use rustix::{
    fs::{Mode, OFlags, open},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{InputModes, LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::daemon::{Home, binary, text, until};

const COLUMNS: u16 = 80;
const ROWS: u16 = 24;
const LEAVE: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// A window with `top` in it.
struct Window {
    child: Child,
    /// The end at which a person sits.
    person: File,
    /// The end that the process was given.
    terminal: OwnedFd,
    /// Everything that was written there.
    written: Arc<Mutex<Vec<u8>>>,
    modes_before: (InputModes, OutputModes, LocalModes),
}

impl Window {
    fn open(address: &str) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(Path::new(&name), flags, Mode::empty()).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let modes_before = modes(&terminal);
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let child = Command::new(binary())
            .args(["--address", address, "top", "--every", "100ms"])
            .env_clear()
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let person = File::from(person);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (mut reader, heard) = (person.try_clone().unwrap(), written.clone());
        // Ends with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                heard.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { child, person, terminal, written, modes_before }
    }

    fn press(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until this stands somewhere in the window; gives the window.
    async fn shows(&self, what: &str) -> String {
        let mut last = String::new();
        let shown = super::daemon::looking(async || {
            last = picture(&self.written());
            last.contains(what).then_some(())
        })
        .await;
        assert!(shown.is_some(), "never: {what:?}; last:\n{last}");
        last
    }

    async fn ended(&mut self) -> ExitStatus {
        until("top ends", async || self.child.try_wait().unwrap()).await
    }

    /// Waits until what was written last gives the terminal back.
    async fn is_given_back(&self) {
        assert_eq!(modes(&self.terminal), self.modes_before, "the modes of the terminal");
        until("the other page is left and the cursor shown", async || {
            let written = self.written();
            let (_, after) = written.rsplit_once(LEAVE)?;
            (!after.contains("\x1b[?1049h") && written.contains(SHOW_CURSOR)).then_some(())
        })
        .await;
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn modes(terminal: &OwnedFd) -> (InputModes, OutputModes, LocalModes) {
    let now = tcgetattr(terminal).unwrap();
    (now.input_modes, now.output_modes, now.local_modes)
}

/// What stands in the window after all this was written: of what a terminal obeys, only where to write and what to
/// erase matters here.
fn picture(written: &str) -> String {
    let mut rows = vec![vec![' '; usize::from(COLUMNS)]; usize::from(ROWS)];
    let (mut row, mut column) = (0, 0);
    let mut letters = written.chars();
    while let Some(letter) = letters.next() {
        if letter != '\x1b' {
            if let Some(cell) = rows.get_mut(row).and_then(|row| row.get_mut(column)) {
                *cell = letter;
            }
            column += 1;
            continue;
        }
        if letters.next() != Some('[') {
            continue;
        }
        let mut numbers = String::new();
        let command = letters.by_ref().find(|letter| {
            numbers.push(*letter);
            letter.is_ascii_alphabetic()
        });
        match command {
            Some('H') => {
                let mut place = numbers.trim_end_matches('H').split(';');
                let mut next =
                    || place.next().and_then(|it| it.parse::<usize>().ok()).unwrap_or(1) - 1;
                (row, column) = (next(), next());
            }
            Some('J') => rows.iter_mut().for_each(|row| row.fill(' ')),
            Some(_) | None => (),
        }
    }
    let lines = rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n");
    lines.collect()
}

#[tokio::test]
async fn top_shows_the_stock_waits_for_a_daemon_that_is_away_and_gives_the_terminal_back() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    // A port of its own, because the daemon comes back to it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = Home::beside(&simulator).with("grpc.listen", text(free));
    let daemon = home.serve().await;
    daemon.filled().await;
    let mut window = Window::open(daemon.address());
    let shown = window.shows("can lease  yes; 1,000 of 1,000 tokens").await;
    for part in ["project default", "ARGOS (the simulator)", "register", "settled", "q: quit"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    daemon.lease().await.unwrap();
    window.shows("can lease  yes; 999 of 1,000 tokens").await;
    window.shows("CreateLease p50 ").await;

    window.press("?");
    window.shows("freezes the view").await;
    window.press("?");
    window.shows("can lease").await;

    daemon.stop().await;
    let shown = window.shows("NO ANSWER for").await;
    assert!(shown.contains("999 of 1,000"), "{shown}");
    let daemon = home.serve().await;
    window.shows("every 100ms").await;

    let shown = window.written();
    assert!(!shown.contains("token=") && !shown.contains("ap-"), "P1: {shown}");
    window.press("q");
    assert_eq!(window.ended().await.code(), Some(0));
    window.is_given_back().await;
    daemon.stop().await;
}

#[tokio::test]
async fn top_gives_the_terminal_back_when_it_is_told_to_end() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut window = Window::open(&format!("http://{nobody}"));
    window.shows("cannot reach the daemon").await;
    let pid = Pid::from_child(&window.child);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(window.ended().await.code(), Some(0));
    window.is_given_back().await;
}
