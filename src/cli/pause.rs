//! `pause` and `resume`: stop activities, and let them go on. Both answer with the project's strip.

use clap::Args;
use serde_json::json;

use super::{
    Failure, json,
    proto::{Activity, PauseRequest, ProjectStatus, ResumeRequest},
    remote::Remote,
    screen::Screen,
    status, words,
};

const ACTIVITIES: &[&str] = &["leasing", "refill", "purge"];

#[derive(Args)]
pub(super) struct PauseArgs {
    /// What to stop [default: leasing]
    #[arg(value_name = "ACTIVITY",
        value_parser = words::choice(ACTIVITIES, "ACTIVITY_", Activity::from_str_name))]
    activities: Vec<Activity>,
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

#[derive(Args)]
pub(super) struct ResumeArgs {
    /// What to resume [default: everything that is paused]
    #[arg(value_name = "ACTIVITY",
        value_parser = words::choice(ACTIVITIES, "ACTIVITY_", Activity::from_str_name))]
    activities: Vec<Activity>,
}

pub(super) async fn pause(args: PauseArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let message = PauseRequest {
        project: remote.project.clone(),
        activities: numbers(&args.activities),
        reason: args.reason,
    };
    let answer = remote.admin().pause(remote.request(message)).await?.into_inner();
    tell(answer.status, screen)
}

pub(super) async fn resume(
    args: ResumeArgs,
    remote: Remote,
    screen: &Screen,
) -> Result<(), Failure> {
    let activities = numbers(&args.activities);
    let message = ResumeRequest { project: remote.project.clone(), activities };
    let answer = remote.admin().resume(remote.request(message)).await?.into_inner();
    tell(answer.status, screen)
}

fn numbers(activities: &[Activity]) -> Vec<i32> {
    activities.iter().map(|activity| *activity as i32).collect()
}

fn tell(status: Option<ProjectStatus>, screen: &Screen) -> Result<(), Failure> {
    let status = status.unwrap_or_default();
    screen.answer(
        || json!({ "status": json::project(&status) }),
        || status::projects(std::slice::from_ref(&status), screen),
    )
}
