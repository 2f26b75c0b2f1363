//! `top`: how a pool stands, drawn anew every two seconds on the whole window, for an SRE at three in the morning.
//!
//! `view` folds what the daemon tells and what keys say, `draw` makes a picture of it, `terminal` takes the window
//! over and gives it back; what asks and what waits is here. The daemon is asked by the same API as by everybody, so
//! the view works wherever `status` does. A daemon that is away is waited for.

mod draw;
mod panels;
mod terminal;
mod view;
mod window;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::Args;
use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tonic::Code;

use self::{
    draw::Scene,
    terminal::{Input, Stage},
    view::{Answer, Moment, View},
};
use super::{
    Environment, Exit, Failure,
    proto::{ExplainRequest, GetChronicleRequest, GetStatusRequest, ProjectStatus},
    remote::{Remote, RemoteArgs},
    screen::{Output, Screen},
    status, words,
};

/// How long one question may take before the view says that there is no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How far back the stock is asked for at first, and beyond what was missed later.
const PAST: Duration = Duration::from_millis(window::STOCK_KEPT.unsigned_abs());
const OVERLAP: Duration = Duration::from_secs(30);
/// Ages grow while nothing is heard.
const DRAW_EVERY: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
Keys: Tab and arrows choose the project, p freezes the view and lets it go on, ? explains it, q leaves.
What is drawn comes from AdminService alone; a caller needs the role admin, as for `status`.")]
pub(super) struct TopArgs {
    /// How often the daemon is asked
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = status::interval)]
    every: Duration,
}

pub(super) async fn run(
    args: TopArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    must_be_drawable(environment, screen)?;
    let (selected, wanted) = watch::channel(String::new());
    let mut asker = Asker { remote, environment, connected: None, answered: None };
    // Whoever is refused is told so at the shell; a daemon that is not there may come.
    let first = match asker.ask("").await {
        Err(failure) if failure.exit() != Exit::Unreachable => return Err(failure),
        first => first,
    };
    let (tell, heard) = mpsc::channel(1);
    let cannot = |error| Failure::failed(format!("cannot draw on the terminal: {error}"));
    let stage = Stage::open().map_err(cannot)?;
    let show = Show { stage, began: Instant::now(), every: args.every, color: screen.color };
    tokio::select! {
        ended = show.go_on(first, heard, &selected) => ended.map_err(cannot),
        () = asker.keep_asking(args.every, wanted, tell) => Ok(()),
    }
}

fn must_be_drawable(environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let dumb = environment.iter().any(|(name, value)| name == "TERM" && value == "dumb");
    if screen.output == Output::Table && screen.terminal && io::stdin().is_terminal() && !dumb {
        return Ok(());
    }
    Err(Failure::usage("top draws on a terminal, and there is none that it can draw on")
        .hint("`argospool status --watch` tells the same again and again, line by line")
        .hint("`argospool status --output json` is for programs, with --watch a line each time"))
}

/// Asks the daemon, and connects anew when it is gone.
struct Asker<'a> {
    remote: &'a RemoteArgs,
    environment: &'a Environment,
    connected: Option<Remote>,
    /// When the last answer came.
    answered: Option<Instant>,
}

impl Asker<'_> {
    /// Asks again and again, and at once when another project is wanted, until nobody hears it.
    async fn keep_asking(
        mut self,
        every: Duration,
        mut wanted: watch::Receiver<String>,
        tell: mpsc::Sender<Result<Answer, Failure>>,
    ) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => (),
                changed = wanted.changed() => if changed.is_err() { return },
            }
            let project = wanted.borrow_and_update().clone();
            let answer = self.ask(&project).await;
            if tell.send(answer).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&mut self, wanted: &str) -> Result<Answer, Failure> {
        let remote = match self.connected.take() {
            Some(remote) => remote,
            None => self.remote.connect(self.environment).await?.answering_within(ANSWER_WITHIN),
        };
        let missed = self.answered.map_or(PAST, |at| at.elapsed().saturating_add(OVERLAP));
        let answer = answer(&remote, wanted, missed.min(PAST)).await?;
        self.connected = Some(remote);
        self.answered = Some(Instant::now());
        Ok(answer)
    }
}

/// How all pools stand, what happened in the time that was missed, and why one of them stands as it does.
async fn answer(remote: &Remote, wanted: &str, missed: Duration) -> Result<Answer, Failure> {
    let mut admin = remote.admin();
    let asked = GetStatusRequest { project: remote.project.clone() };
    let status = admin.get_status(remote.request(asked)).await?.into_inner();
    let asked = GetChronicleRequest {
        project: remote.project.clone(),
        window: Some(words::to_proto(missed)),
    };
    let chronicle = match admin.get_chronicle(remote.request(asked)).await {
        Ok(chronicle) => Some(chronicle.into_inner()),
        Err(refused) if refused.code() == Code::Unimplemented => None,
        Err(refused) => return Err(refused.into()),
    };
    let mut projects = status.projects.iter();
    let project = projects.clone().find(|it| it.project == wanted).or_else(|| projects.next());
    // Whatever cannot be looked at explains nothing, and would be waited for; that stands among its problems.
    let why = match project.filter(|project| project.argos.is_some()) {
        None => None,
        Some(ProjectStatus { project, .. }) => {
            let asked = ExplainRequest { project: project.clone(), ..ExplainRequest::default() };
            let told = admin.explain(remote.request(asked)).await.ok();
            told.map(|told| (project.clone(), told.into_inner().lines))
        }
    };
    Ok(Answer { status, chronicle, why })
}

/// The open view.
struct Show {
    stage: Stage,
    began: Instant,
    every: Duration,
    color: bool,
}

impl Show {
    /// Draws what is heard until a key, a signal or the end of the terminal ends it.
    async fn go_on(
        mut self,
        first: Result<Answer, Failure>,
        mut heard: mpsc::Receiver<Result<Answer, Failure>>,
        selected: &watch::Sender<String>,
    ) -> io::Result<()> {
        let mut view = View::default();
        let mut inputs = terminal::listen();
        let mut clock = interval(DRAW_EVERY);
        let signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
        let [mut terminated, mut hung_up, mut interrupted] = {
            let [one, two, three] = signals.map(signal);
            [one?, two?, three?]
        };
        view.hear(self.now().at, first.map_err(|failure| failure.to_text()));
        loop {
            selected.send_if_modified(|name| {
                let other = name != view.selected();
                if other {
                    view.selected().clone_into(name);
                }
                other
            });
            let scene =
                Scene { view: &view, now: self.now(), every: self.every, color: self.color };
            self.stage.draw(|frame| draw::draw(frame, &scene))?;
            tokio::select! {
                Some(answer) = heard.recv() => {
                    view.hear(self.now().at, answer.map_err(|failure| failure.to_text()));
                }
                input = inputs.recv() => match input {
                    Some(Input::Key(key)) => if view.press(key, self.now()) { return Ok(()) },
                    Some(Input::Resized) => (),
                    Some(Input::Gone) | None => return Ok(()),
                },
                _ = clock.tick() => (),
                _ = terminated.recv() => return Ok(()),
                _ = hung_up.recv() => return Ok(()),
                _ = interrupted.recv() => return Ok(()),
            }
        }
    }

    fn now(&self) -> Moment {
        let at = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        Moment { at, wall: Timestamp::now() }
    }
}

#[cfg(test)]
mod tests;
