//! The command line: arguments in, text and an exit code out.
//!
//! Every subcommand but `serve`, `demo` and `simulator`, and `config` and `url` which only read the
//! configuration, is a client of the daemon and nothing more: it opens no ledger, knows no ARGOS and
//! decides nothing; `preflight` is one as long as there is a daemon to ask. `ledger` and
//! `audit --offline` are for when there is none. Each has a file with its
//! arguments, its call and its rendering; what they share is `remote` (the way to the daemon), `wish`
//! (what a link is to say), `screen` (what a reader gets to see), `words` and `json` (how values are
//! written for people and for programs).
//!
//! Refused here: a secret as an argument, because every user of a machine can read arguments; and a
//! URL in any output but that of `lease` and `replace`, and of `url`, whose tokens are made up (P1).

mod audit;
mod bench;
mod completions;
mod config;
mod demo;
mod explain;
mod failure;
mod health;
mod json;
mod lease;
mod leases;
mod ledger;
mod list;
mod log_level;
mod narrowing;
mod pages;
mod pause;
mod preflight;
pub mod progress;
mod reconcile;
mod refill;
mod refusal;
mod release;
mod remote;
mod replace;
mod revoke;
mod screen;
mod serve;
mod show;
mod simulator;
mod status;
#[cfg(test)]
mod tests;
mod tokens;
mod top;
mod url;
mod watch;
mod wish;
mod words;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

pub use self::{
    demo::DemoArgs,
    failure::{Exit, Failure},
    serve::ServeArgs,
    simulator::SimulatorArgs,
};
use self::{
    remote::RemoteArgs,
    screen::{Output, Screen},
};

use crate::api::proto;

/// Name and text of every variable of the process.
pub type Environment = Vec<(OsString, OsString)>;

/// Keeps a stock of one-time ARGOS tokens and lends them out as Liveform URLs.
#[derive(Parser)]
#[command(name = "argospool", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    remote: RemoteArgs,
    /// How to write what was read
    #[arg(long, global = true, value_enum, default_value_t = Output::Table, help_heading = "Output")]
    output: Output,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the daemon, 4 daemon unreachable.
Environment: ARGOSPOOL_ADDRESS, ARGOSPOOL_TOKEN_FILE, ARGOSPOOL_TOKEN, NO_COLOR.";

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// Run simulator and daemon in a temporary directory and walk one token through its life
    Demo(DemoArgs),
    /// Run a simulated ARGOS
    Simulator(SimulatorArgs),
    /// Show how the pools stand, what they plan, and why they rest
    Status(status::StatusArgs),
    /// Show how a pool stands on the whole window, drawn anew while you look
    Top(top::TopArgs),
    /// Fail unless the daemon serves; for probes that run a command
    Health(health::HealthArgs),
    /// Say why the pool stands as it does, where a lease stands, or what a refusal means
    Explain(explain::ExplainArgs),
    /// Lease a token and print its Liveform URL
    Lease(lease::LeaseArgs),
    /// Show one lease, without its URL
    Show(show::ShowArgs),
    /// List leases, without their URLs
    List(list::ListArgs),
    /// List the tokens that hold a slot at ARGOS, without their ids
    Tokens(tokens::TokensArgs),
    /// Give back a lease whose URL was never shown to anybody
    Release(release::ReleaseArgs),
    /// Kill the links of leases, named or narrowed down
    Revoke(revoke::RevokeArgs),
    /// Lease another token for the same wish and kill the first link; print the new URL
    Replace(replace::ReplaceArgs),
    /// Show every change of a lease as it happens, without URLs
    Watch(watch::WatchArgs),
    /// Look at the stock at once and, on request, order tokens beyond the target
    Refill(refill::RefillArgs),
    /// Compare the ids that ARGOS lists with what the daemon holds
    Reconcile(reconcile::ReconcileArgs),
    /// Stop activities until they are resumed; survives a restart
    Pause(pause::PauseArgs),
    /// Resume what was paused
    Resume(pause::ResumeArgs),
    /// Check every promise that can be checked from the records
    Audit(audit::AuditArgs),
    /// Back the ledgers up, or make them of a backup; without a daemon
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Print the URL that a lease would get, with a made-up token; open envelopes; test a sample
    #[command(after_help = url::AFTER_HELP)]
    Url(url::UrlArgs),
    /// Show what the daemon logs, or have it log more for a while
    LogLevel(log_level::LogLevelArgs),
    /// Check the project and its ARGOS before real users come
    Preflight(preflight::PreflightArgs),
    /// Measure how many leases a second the daemon gives; each uses up a token
    Bench(bench::BenchArgs),
    /// Check, print or explain the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs one command line to its end. What failed is written to stderr here and nowhere else.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive as errors too. Whoever closed the pipe wants to hear neither.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let screen = Screen::of_process(cli.output, &environment);
    cli.run(&environment, &screen).await
}

impl Cli {
    async fn run(self, environment: &Environment, screen: &Screen) -> Exit {
        match self.command.run(&self.remote, environment, screen).await {
            Ok(()) => Exit::Done,
            Err(failure) => {
                screen.complain(&failure);
                failure.exit()
            }
        }
    }
}

impl Command {
    async fn run(
        self,
        remote: &RemoteArgs,
        environment: &Environment,
        screen: &Screen,
    ) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => serve::run(args, environment, screen).await,
            Self::Demo(args) => demo::run(args, screen).await,
            Self::Simulator(args) => simulator::run(args, screen).await,
            Self::Status(args) => status::run(args, remote, environment, screen).await,
            Self::Top(args) => top::run(args, remote, environment, screen).await,
            Self::Health(args) => {
                health::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Explain(args) => {
                explain::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Lease(args) => lease::run(args, remote, environment, screen).await,
            Self::Show(args) => show::run(args, remote.connect(environment).await?, screen).await,
            Self::List(args) => list::run(args, remote.connect(environment).await?, screen).await,
            Self::Tokens(args) => {
                tokens::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Release(args) => {
                release::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Revoke(args) => {
                revoke::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Replace(args) => replace::run(args, remote, environment, screen).await,
            Self::Watch(args) => watch::run(args, remote.connect(environment).await?, screen).await,
            Self::Refill(args) => {
                refill::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Reconcile(args) => {
                reconcile::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Pause(args) => {
                pause::pause(args, remote.connect(environment).await?, screen).await
            }
            Self::Resume(args) => {
                pause::resume(args, remote.connect(environment).await?, screen).await
            }
            Self::Audit(args) => audit::run(args, remote, environment, screen).await,
            Self::Ledger(command) => ledger::run(command, remote, environment, screen).await,
            Self::Url(args) => url::run(args, &remote.project, environment, screen),
            Self::LogLevel(args) => {
                log_level::run(args, remote.connect(environment).await?, screen).await
            }
            Self::Preflight(args) => preflight::run(args, remote, environment, screen).await,
            Self::Bench(args) => bench::run(args, remote, environment, screen).await,
            Self::Config(command) => config::run(command, environment, screen),
            Self::Completions(args) => completions::run(&args, screen),
        }
    }
}
