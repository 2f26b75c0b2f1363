//! `refill`: rings the bell of the refill and, on request, orders tokens beyond the target.

use clap::Args;
use serde_json::json;

use super::{
    Failure, json,
    proto::{RefillPlan, RefillRequest},
    remote::Remote,
    screen::{Screen, Tone},
    words,
};

#[derive(Args)]
pub(super) struct RefillArgs {
    /// Tokens to order beyond the target, once; the cap still holds
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    extra: u32,
}

pub(super) async fn run(args: RefillArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let message = RefillRequest { project: remote.project.clone(), extra_tokens: args.extra };
    let answer = remote.admin().refill(remote.request(message)).await?.into_inner();
    let plan = answer.plan.unwrap_or_default();
    screen.answer(|| json!({ "plan": json::plan(&plan) }), || render(&plan, screen))
}

fn render(plan: &RefillPlan, screen: &Screen) -> String {
    let short = words::counted(plan.need_tokens as usize, "token");
    let mut text = format!("short of {short}, {} on order", words::count(plan.order_tokens));
    if !plan.rest_reason.is_empty() {
        text.push_str(&format!("; rests: {}", plan.rest_reason));
    }
    if let Some(review) = words::time_of(plan.next_review_time.as_ref()) {
        text.push_str(&format!("; looks again {}", words::relative(review, screen.now)));
    }
    screen.paint(Tone::Plain, &text) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{plain_screen, seconds_ago};

    #[test]
    fn a_plan_tells_what_is_short_and_why_it_rests() {
        let plan = RefillPlan {
            need_tokens: 1_200,
            order_tokens: 1,
            rest_reason: "the budget of the day is used up".into(),
            next_review_time: Some(seconds_ago(-130)),
        };
        assert_eq!(
            render(&plan, &plain_screen()),
            "short of 1,200 tokens, 1 on order; rests: the budget of the day is used up; looks \
             again in 2 min\n"
        );
    }
}
