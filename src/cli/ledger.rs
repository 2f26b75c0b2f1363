//! `ledger`: backs the ledgers of a data directory up, and makes them of a backup.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Environment, Failure,
    config::{self, LayerArgs},
    json,
    remote::RemoteArgs,
    screen::{Screen, Tone},
    serve, words,
};
use crate::app::{self, Imported, Inventory, Standing, World};

#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Write the ledgers of a data directory that no daemon serves from into one file
    #[command(after_help = "\
The file holds tokens, links and keys: it is written for its owner alone, and whoever has it can use
what is in it. It is a past: everything that is leased after it makes it older.")]
    Export {
        #[command(flatten)]
        layers: LayerArgs,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
        /// The file to write
        #[arg(value_name = "OUT")]
        to: PathBuf,
    },
    /// Make the ledgers of a data directory that has none out of such a file
    #[command(after_help = "\
Tokens that may have been shown since the file was made are taken out of use at the next start. The
witness of the lost ledger says up to where; leave it where it is. Without it that is all of them.")]
    Import {
        #[command(flatten)]
        layers: LayerArgs,
        /// The file to read
        #[arg(value_name = "IN")]
        from: PathBuf,
    },
}

pub(super) async fn run(
    command: LedgerCommand,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    match command {
        LedgerCommand::Export { layers, force, to } => {
            let settings = config::load(&layers.sources(environment), screen)?.settings;
            if to.exists() && !force {
                let told = format!("{} is there already", to.display());
                return Err(Failure::failed(told).hint("replace it with --force"));
            }
            let named = remote.project().to_owned();
            let written = app::export(settings, World::system(), named, to.clone(), force).await;
            let written = written.map_err(|error| serve::told(&error))?;
            screen.answer(
                || json!({ "ledgers": json::each(&written, inventory) }),
                || exported(&written, &to),
            )
        }
        LedgerCommand::Import { layers, from } => {
            let settings = config::load(&layers.sources(environment), screen)?.settings;
            let imported = app::import(settings, from).await;
            let imported = imported.map_err(|error| serve::told(&error))?;
            screen.answer(|| to_json(&imported), || render(&imported, screen))
        }
    }
}

fn exported(written: &[Inventory], to: &std::path::Path) -> String {
    let each = written.iter().map(|it| format!("{}: {}\n", it.project, contents(it)));
    let keep = "keep it as you keep the API key: it holds tokens and links";
    format!("{}wrote {}; {keep}\n", each.collect::<String>(), to.display())
}

fn render(imported: &Imported, screen: &Screen) -> String {
    let Imported { made, version, ledgers } = imported;
    let mut text = format!("a backup of {}, made by {version}\n", moment(*made, screen));
    for ledger in ledgers {
        let (tone, cost) = standing(ledger);
        let cost = screen.paint(tone, &cost);
        text += &format!(
            "{}: {}\n{}: witness: {cost}\n",
            ledger.project,
            contents(ledger),
            ledger.project
        );
    }
    text
}

fn to_json(imported: &Imported) -> Value {
    json!({
        "made": time(imported.made).map(|made| made.to_string()),
        "version": imported.version,
        "ledgers": json::each(&imported.ledgers, inventory),
    })
}

/// One ledger as JSON.
pub(super) fn inventory(inventory: &Inventory) -> Value {
    json!({
        "project": inventory.project,
        "tokens": {
            "minted": inventory.minted,
            "ready": inventory.ready,
            "leased": inventory.leased,
            "doomed": inventory.doomed,
        },
        "orders": inventory.orders,
        "lines": inventory.lines,
        "pauses": inventory.pauses,
        "last_commit": time(inventory.last_commit).map(|at| at.to_string()),
        "revision": inventory.revision,
        "next": inventory.next,
        "granted": inventory.granted,
        "witness": witness(inventory.witness),
        "tokens_taken_out_of_use": inventory.taken_out,
    })
}

/// Tokens by stage: `0 minted, 960 ready, 40 leased, 0 doomed`.
pub(super) fn tokens(inventory: &Inventory) -> String {
    let Inventory { minted, ready, leased, doomed, .. } = inventory;
    format!("{minted} minted, {ready} ready, {leased} leased, {doomed} doomed")
}

/// What the witness says about a ledger, and what that costs at the next start.
pub(super) fn standing(inventory: &Inventory) -> (Tone, String) {
    let said = match inventory.witness {
        None | Some(Standing::Current) => {
            return (Tone::Good, "the ledger is the newest there was".to_owned());
        }
        Some(Standing::Behind { revisions }) => {
            format!("the ledger is an older past, {revisions} revisions behind")
        }
        Some(Standing::Doubted) => "an older past was opened, and nothing was done yet".to_owned(),
        Some(Standing::PowerLost) => {
            "the machine went down before the ledger was closed".to_owned()
        }
        Some(Standing::Missing) => "missing".to_owned(),
        Some(Standing::Illegible) => "illegible".to_owned(),
        Some(Standing::Copied) => "a copy, as old as the ledger beside it".to_owned(),
        Some(Standing::OfAnotherLedger) => "of another ledger".to_owned(),
    };
    let cost = words::counted(inventory.taken_out, "token");
    (Tone::Caution, format!("{said}; the next start takes {cost} out of use"))
}

/// How long ago that was, or a dash for never.
pub(super) fn moment(millis: u64, screen: &Screen) -> String {
    time(millis).map_or_else(|| "-".to_owned(), |at| words::relative(at, screen.now))
}

fn contents(inventory: &Inventory) -> String {
    let lines = words::counted(usize::try_from(inventory.lines).unwrap_or(usize::MAX), "line");
    format!("{}, {} orders, {lines} of history", tokens(inventory), inventory.orders)
}

fn witness(standing: Option<Standing>) -> &'static str {
    match standing {
        None | Some(Standing::Current) => "current",
        Some(Standing::Behind { .. }) => "behind",
        Some(Standing::Doubted) => "doubted",
        Some(Standing::PowerLost) => "power_lost",
        Some(Standing::Missing) => "missing",
        Some(Standing::Illegible) => "illegible",
        Some(Standing::Copied) => "copied",
        Some(Standing::OfAnotherLedger) => "of_another_ledger",
    }
}

fn time(millis: u64) -> Option<Timestamp> {
    let millis = i64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    Timestamp::from_millisecond(millis).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::plain_screen;

    fn ledger() -> Inventory {
        Inventory {
            project: "default".to_owned(),
            ready: 960,
            leased: 40,
            lines: 12,
            witness: Some(Standing::Missing),
            taken_out: 960,
            ..Inventory::default()
        }
    }

    #[test]
    fn an_import_says_what_it_costs() {
        let imported = Imported {
            made: 1_799_996_400_000,
            version: "1.2.3".to_owned(),
            ledgers: vec![ledger()],
        };
        assert_eq!(
            render(&imported, &plain_screen()),
            "a backup of 1 h ago, made by 1.2.3\n\
             default: 0 minted, 960 ready, 40 leased, 0 doomed, 0 orders, 12 lines of history\n\
             default: witness: missing; the next start takes 960 tokens out of use\n"
        );
        assert_eq!(to_json(&imported)["ledgers"][0]["tokens_taken_out_of_use"], 960);
    }

    #[test]
    fn every_standing_has_its_words_and_only_the_newest_ledger_costs_nothing() {
        let told = |standing| super::standing(&Inventory { witness: Some(standing), ..ledger() });
        assert_eq!(told(Standing::Current).0, Tone::Good);
        for standing in [
            Standing::Behind { revisions: 7 },
            Standing::Doubted,
            Standing::PowerLost,
            Standing::Missing,
            Standing::Illegible,
            Standing::Copied,
            Standing::OfAnotherLedger,
        ] {
            let (tone, text) = told(standing);
            assert!(tone == Tone::Caution && text.contains("960 tokens out of use"), "{text}");
        }
    }
}
