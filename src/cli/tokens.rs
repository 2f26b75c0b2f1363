//! `tokens`: everything that holds a slot at ARGOS, by reference and never by id.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    Failure, json,
    pages::{self, PageArgs},
    proto::{DoomCause, ListTokensRequest, Token, TokenStage},
    remote::Remote,
    screen::{Output, Screen, Tone},
    words,
};

#[derive(Args)]
pub(super) struct TokensArgs {
    /// Only tokens in this stage; may be repeated
    #[arg(long = "stage", alias = "state", value_name = "STAGE", value_parser = words::choice(
        &["minted", "ready", "drawn", "leased", "doomed"], "TOKEN_STAGE_", TokenStage::from_str_name))]
    stages: Vec<TokenStage>,
    /// Only tokens that have stood in their stage for longer than this, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    #[command(flatten)]
    pages: PageArgs,
}

pub(super) async fn run(args: TokensArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let stages: Vec<_> = args.stages.iter().map(|stage| *stage as i32).collect();
    let mut admin = remote.admin();
    let listing = pages::read(args.pages, async |page_size, page_token| {
        let message = ListTokensRequest {
            project: remote.project.clone(),
            page_size,
            page_token,
            stages: stages.clone(),
            older_than: args.older_than.map(words::to_proto),
        };
        let page = admin.list_tokens(remote.request(message)).await?.into_inner();
        Ok((page.tokens, page.next_page_token))
    })
    .await?;
    screen.answer(
        || {
            let tokens = json::each(&listing.items, json::token);
            json!({ "tokens": tokens, "next_page_token": listing.next_page_token })
        },
        || table(&listing.items, screen),
    )?;
    if screen.output == Output::Table {
        listing.remark("tokens", screen);
    }
    Ok(())
}

fn table(tokens: &[Token], screen: &Screen) -> String {
    let heading = ["TOKEN", "STAGE", "SINCE", "MINTED", "ORDER", "LEASE", "DELETE"];
    let row = |token: &Token| {
        let stage = words::word(token.stage, TokenStage::as_str_name, "TOKEN_STAGE_");
        let delete = match token.delete_attempts {
            0 => "-".to_owned(),
            attempts => words::counted(attempts as usize, "attempt"),
        };
        let doomed = token.stage == TokenStage::Doomed as i32;
        let cause = words::word(token.doom_cause, DoomCause::as_str_name, "DOOM_CAUSE_");
        [
            (Tone::Plain, token.token_ref.clone()),
            (Tone::Plain, if doomed { format!("{stage}: {cause}") } else { stage }),
            (Tone::Plain, words::when(token.stage_time.as_ref(), screen.now)),
            (Tone::Plain, words::when(token.mint_time.as_ref(), screen.now)),
            (Tone::Plain, words::or_dash(&token.order_id)),
            (Tone::Plain, words::or_dash(&token.lease_id)),
            (Tone::Plain, delete),
        ]
    };
    screen.table(heading, tokens.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{plain_screen, seconds_ago};

    #[test]
    fn a_doomed_token_tells_why_and_how_often_its_deletion_was_tried() {
        let tokens = [
            Token {
                token_ref: "t-000017".into(),
                stage: TokenStage::Ready as i32,
                stage_time: Some(seconds_ago(3_700)),
                mint_time: Some(seconds_ago(3_790)),
                order_id: "o-3".into(),
                ..Token::default()
            },
            Token {
                token_ref: "t-000009".into(),
                stage: TokenStage::Doomed as i32,
                doom_cause: DoomCause::LeaseClosed as i32,
                stage_time: Some(seconds_ago(20)),
                mint_time: Some(seconds_ago(90_000)),
                lease_id: "l-9".into(),
                delete_attempts: 1,
                ..Token::default()
            },
        ];
        assert_eq!(
            table(&tokens, &plain_screen()),
            "\
TOKEN     STAGE                 SINCE     MINTED   ORDER  LEASE  DELETE
t-000017  ready                 1 h ago   1 h ago  o-3    -      -
t-000009  doomed: lease closed  20 s ago  1 d ago  -      l-9    1 attempt
"
        );
    }
}
