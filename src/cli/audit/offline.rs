//! `audit --offline`: what is in the ledgers of a data directory, and what is wrong with them.

use serde_json::{Value, json};

use crate::{
    app::{self, Audit, Books, Breach, Inventory, Remembered, World},
    cli::{
        Failure, json, ledger,
        screen::{Screen, Tone},
        serve, words,
    },
    config::Settings,
};

/// What to do about a ledger that breaks a promise.
const WAY_OUT: &str = "a daemon starts all the same and serves everything but new leases: look at what \
                       is told here, then `argospool resume leasing`, or import a backup";

pub(super) async fn run(settings: Settings, screen: &Screen) -> Result<(), Failure> {
    let audit = app::audit(settings, World::system()).await.map_err(|error| serve::told(&error))?;
    screen.answer(|| to_json(&audit), || render(&audit, screen))?;
    verdict(&audit)
}

fn render(audit: &Audit, screen: &Screen) -> String {
    let mut rows = Vec::new();
    for (project, books) in &audit.projects {
        let mut row = |tone, what: &str, found: String| {
            rows.push([(Tone::Plain, project.clone()), (tone, what.to_owned()), (tone, found)]);
        };
        match books {
            Books::Empty => row(Tone::Quiet, "ledger", "nothing yet".to_owned()),
            Books::Closed(sentence, remembered) => {
                row(Tone::Bad, "ledger", sentence.clone());
                let remembered = remembered.as_ref().map_or_else(
                    || "there is none that could be read".to_owned(),
                    what_it_remembers,
                );
                row(Tone::Plain, "witness", remembered);
            }
            Books::Open(inventory, breaches) => {
                for (what, found) in facts(inventory, screen) {
                    row(Tone::Plain, what, found);
                }
                let (tone, said) = ledger::standing(inventory);
                row(tone, "witness", said);
                for breach in breaches {
                    row(Tone::Bad, breach.promise, breach.evidence.clone());
                }
                if breaches.is_empty() {
                    row(Tone::Good, "promises", "every one holds".to_owned());
                }
            }
        }
    }
    for project in &audit.unconfigured {
        let told = "has a ledger here and is not configured".to_owned();
        rows.push([
            (Tone::Plain, project.clone()),
            (Tone::Caution, "ledger".to_owned()),
            (Tone::Caution, told),
        ]);
    }
    screen.table(["PROJECT", "WHAT", "FOUND"], rows)
}

fn facts(inventory: &Inventory, screen: &Screen) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("tokens", ledger::tokens(inventory)),
        ("orders", format!("{} open", inventory.orders)),
        ("history", words::counted(usize::try_from(inventory.lines).unwrap_or(usize::MAX), "line")),
        ("last commit", {
            let when = ledger::moment(inventory.last_commit, screen);
            format!("{when}, revision {}", inventory.revision)
        }),
        ("sequences", {
            let Inventory { next, granted, .. } = inventory;
            format!("{next} minted, none from {granted} on was leased")
        }),
    ];
    if !inventory.pauses.is_empty() {
        facts.push(("paused", inventory.pauses.join(", ")));
    }
    facts
}

/// Where the ledger says nothing: what can be said for certain.
fn what_it_remembers(remembered: &Remembered) -> String {
    let Remembered { revision, next, granted } = remembered;
    let came = match revision {
        Some(revision) => format!("it came to revision {revision}"),
        None => "it was an older past already".to_owned(),
    };
    format!("{came}; {next} sequences were minted, none from {granted} on was leased")
}

fn to_json(audit: &Audit) -> Value {
    let breach = |breach: &Breach| json!({"promise": breach.promise, "evidence": breach.evidence});
    let project = |(project, books): &(String, Books)| match books {
        Books::Empty => json!({ "project": project, "ledger": null }),
        Books::Open(inventory, breaches) => json!({
            "project": project,
            "ledger": ledger::inventory(inventory),
            "breaches": json::each(breaches, breach),
        }),
        Books::Closed(sentence, remembered) => json!({
            "project": project,
            "unusable": sentence,
            "witness": remembered.map(|Remembered { revision, next, granted }| {
                json!({ "revision": revision, "next": next, "granted": granted })
            }),
        }),
    };
    json!({
        "projects": json::each(&audit.projects, project),
        "unconfigured": audit.unconfigured,
    })
}

fn verdict(audit: &Audit) -> Result<(), Failure> {
    let (mut unusable, mut broken) = (0, 0);
    for (_, books) in &audit.projects {
        match books {
            Books::Empty => (),
            Books::Open(_, breaches) => broken += breaches.len(),
            Books::Closed(..) => unusable += 1,
        }
    }
    match (unusable, broken) {
        (0, 0) => Ok(()),
        (0, 1) => Err(Failure::failed("1 promise is broken").hint(WAY_OUT)),
        (0, broken) => Err(Failure::failed(format!("{broken} promises are broken")).hint(WAY_OUT)),
        (unusable, _) => {
            let ledgers = words::counted(unusable, "ledger");
            Err(Failure::failed(format!("{ledgers} cannot be used")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::Standing,
        cli::{Exit, tests::plain_screen},
    };

    fn inventory() -> Inventory {
        Inventory {
            project: "default".to_owned(),
            ready: 960,
            leased: 40,
            lines: 1,
            last_commit: 1_799_999_880_000,
            revision: 61,
            next: 1_000,
            granted: 40,
            witness: Some(Standing::Current),
            ..Inventory::default()
        }
    }

    fn audit(books: Books) -> Audit {
        Audit { projects: vec![("default".to_owned(), books)], unconfigured: Vec::new() }
    }

    #[test]
    fn a_clean_ledger_is_told_in_numbers_and_is_no_failure() {
        let audit = audit(Books::Open(Box::new(inventory()), Vec::new()));
        assert_eq!(
            render(&audit, &plain_screen()),
            "PROJECT  WHAT         FOUND\n\
             default  tokens       0 minted, 960 ready, 40 leased, 0 doomed\n\
             default  orders       0 open\n\
             default  history      1 line\n\
             default  last commit  2 min ago, revision 61\n\
             default  sequences    1000 minted, none from 40 on was leased\n\
             default  witness      the ledger is the newest there was\n\
             default  promises     every one holds\n"
        );
        assert!(verdict(&audit).is_ok());
    }

    #[test]
    fn a_broken_promise_fails_the_command_and_the_way_out_is_named() {
        let evidence = "sequence 3 is leased beyond the mark".to_owned();
        let breaches = vec![Breach { promise: "L1", evidence }];
        let audit = audit(Books::Open(Box::new(inventory()), breaches));
        let text = render(&audit, &plain_screen());
        assert!(text.contains("L1           sequence 3 is leased beyond the mark"), "{text}");
        let told = verdict(&audit).unwrap_err();
        assert_eq!(told.exit(), Exit::Failed);
        assert!(told.to_text().contains("argospool resume leasing"), "{}", told.to_text());
    }

    #[test]
    fn of_a_ledger_that_does_not_open_the_witness_is_what_is_left() {
        let remembered = Remembered { revision: Some(61), next: 1_000, granted: 256 };
        let closed = audit(Books::Closed("it cannot be opened".to_owned(), Some(remembered)));
        let text = render(&closed, &plain_screen());
        assert!(text.contains("it came to revision 61; 1000 sequences were minted"), "{text}");
        assert_eq!(verdict(&closed).unwrap_err().exit(), Exit::Failed);
        let value = to_json(&closed);
        assert_eq!(value["projects"][0]["witness"]["granted"], 256);
    }
}
