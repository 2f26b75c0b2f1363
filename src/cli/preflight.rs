//! `preflight`: ARGOS's own list for going live, checked by the daemon, or without one by this process.

use std::{fs, path::Path, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Environment, Exit, Failure,
    config::{self, LayerArgs},
    json,
    proto::{PreflightCheck, PreflightRequest, PreflightResponse, PreflightResult},
    remote::{Remote, RemoteArgs},
    screen::{Screen, Tone},
    serve, words,
};
use crate::app::{self, World};

/// Every wait of the checks is bounded, and all of them together by this.
const CHECKS_MAX: Duration = Duration::from_secs(300);

#[derive(Args)]
#[command(after_help = "\
Asks the daemon that serves from the configured data directory, or the one at --address. Without one
the checks run here, over the same ledger. One token is registered, read back and deleted; nothing
else changes.")]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    layers: LayerArgs,
}

pub(super) async fn run(
    args: PreflightArgs,
    remote: &RemoteArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let response = if remote.names_an_address(environment)? {
        ask(remote.connect(environment).await?).await?
    } else {
        let settings = config::load(&args.layers.sources(environment), screen)?.settings;
        match serving(&settings.data_dir, remote, environment).await? {
            Some(daemon) => ask(daemon).await?,
            None => app::preflight(settings, World::system(), remote.project())
                .await
                .map_err(|error| serve::told(&error))?,
        }
    };
    screen.answer(|| to_json(&response), || render(&response, screen))?;
    verdict(&response)
}

async fn ask(daemon: Remote) -> Result<PreflightResponse, Failure> {
    let daemon = daemon.allowing(CHECKS_MAX);
    let message = PreflightRequest { project: daemon.project.clone() };
    Ok(daemon.admin().preflight(daemon.request(message)).await?.into_inner())
}

/// The daemon that serves from this directory, as far as it left word and answers the door. One that
/// does not is found out by the lock of the ledger.
async fn serving(
    data_dir: &Path,
    remote: &RemoteArgs,
    environment: &Environment,
) -> Result<Option<Remote>, Failure> {
    let Ok(text) = fs::read(data_dir.join("addresses.json")) else { return Ok(None) };
    let Ok(found) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
    let tcp = found["grpc"].as_str().map(|address| format!("http://{address}"));
    let unix = found["unix_socket"].as_str().map(|path| format!("unix:{path}"));
    let Some(address) = unix.or(tcp) else { return Ok(None) };
    // Word that a process left behind that was killed is no failure.
    let daemon = remote.connect_to(&address, environment).await;
    match daemon {
        Err(failure) if failure.exit() == Exit::Unreachable => Ok(None),
        found => found.map(Some),
    }
}

fn render(response: &PreflightResponse, screen: &Screen) -> String {
    let row = |check: &PreflightCheck| {
        let (tone, result) = match check.result() {
            PreflightResult::Passed => (Tone::Good, "passed"),
            PreflightResult::Failed => (Tone::Bad, "failed"),
            PreflightResult::NotCheckable => (Tone::Quiet, "by hand"),
            PreflightResult::Unspecified => (Tone::Caution, "unknown"),
        };
        let told = match check.advice.as_str() {
            "" => check.summary.clone(),
            advice => format!("{}\n→ {advice}", check.summary),
        };
        let name = check.name.replace('_', " ");
        [(Tone::Plain, name), (tone, result.to_owned()), (Tone::Plain, told)]
    };
    let table = screen.table(["CHECK", "RESULT", "FINDING"], response.checks.iter().map(row));
    let count = |result| response.checks.iter().filter(|check| check.result() == result).count();
    let (passed, failed) = (count(PreflightResult::Passed), count(PreflightResult::Failed));
    let by_hand = count(PreflightResult::NotCheckable);
    let sum = format!("{passed} passed, {failed} failed, {by_hand} by hand");
    format!("{table}\n{}\n", screen.paint(Tone::Quiet, &sum))
}

fn to_json(response: &PreflightResponse) -> Value {
    let check = |check: &PreflightCheck| {
        json!({
            "name": check.name,
            "result": check.result().as_str_name(),
            "summary": check.summary,
            "advice": check.advice,
        })
    };
    json!({ "checks": json::each(&response.checks, check) })
}

/// What only a person can see is no failure; what was not looked at is.
fn verdict(response: &PreflightResponse) -> Result<(), Failure> {
    let failed =
        response.checks.iter().filter(|check| check.result() == PreflightResult::Failed).count();
    match (failed, response.checks.is_empty()) {
        (0, false) => Ok(()),
        (0, true) => Err(Failure::failed("no check was made; the log of the daemon tells why")),
        (failed, _) => Err(Failure::failed(format!("{} failed", words::counted(failed, "check")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::plain_screen;

    fn check(name: &str, result: PreflightResult, advice: &str) -> PreflightCheck {
        let (name, summary) = (name.to_owned(), "it is so".to_owned());
        PreflightCheck { name, result: result.into(), summary, advice: advice.to_owned() }
    }

    fn response(results: &[PreflightResult]) -> PreflightResponse {
        PreflightResponse { checks: results.iter().map(|it| check("clock", *it, "")).collect() }
    }

    #[test]
    fn every_check_has_a_line_and_its_advice_below() {
        let checks = vec![
            check("api_key", PreflightResult::Passed, ""),
            check("webhook_url", PreflightResult::Failed, "correct it"),
            check("liveform", PreflightResult::NotCheckable, "open it"),
        ];
        assert_eq!(
            render(&PreflightResponse { checks }, &plain_screen()),
            "CHECK        RESULT   FINDING\n\
             api key      passed   it is so\n\
             webhook url  failed   it is so\n                      → correct it\n\
             liveform     by hand  it is so\n                      → open it\n\
             \n1 passed, 1 failed, 1 by hand\n"
        );
    }

    #[test]
    fn a_failed_check_fails_the_command_and_one_for_a_person_does_not() {
        use PreflightResult::{Failed, NotCheckable, Passed};
        assert!(verdict(&response(&[Passed, NotCheckable])).is_ok());
        for bad in [&[Passed, Failed][..], &[]] {
            assert_eq!(verdict(&response(bad)).unwrap_err().exit(), Exit::Failed);
        }
    }

    #[test]
    fn json_names_results_as_the_proto_does() {
        let value = to_json(&response(&[PreflightResult::NotCheckable]));
        assert_eq!(value["checks"][0]["result"], "PREFLIGHT_RESULT_NOT_CHECKABLE");
        assert_eq!(value["checks"][0]["name"], "clock");
    }
}
