//! `list`: leases, narrowed down, without their URLs.

use clap::Args;
use serde_json::json;

use super::{
    Failure, json, leases,
    narrowing::{OriginArgs, StandingArgs},
    pages::{self, PageArgs},
    proto::ListLeasesRequest,
    remote::Remote,
    screen::{Output, Screen},
};

#[derive(Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    standing: StandingArgs,
    #[command(flatten)]
    origin: OriginArgs,
    #[command(flatten)]
    pages: PageArgs,
}

pub(super) async fn run(args: ListArgs, remote: Remote, screen: &Screen) -> Result<(), Failure> {
    let filter = args.standing.narrow(args.origin.filter(screen.now));
    let mut pool = remote.pool();
    let listing = pages::read(args.pages, async |page_size, page_token| {
        let message = ListLeasesRequest {
            project: remote.project.clone(),
            page_size,
            page_token,
            filter: Some(filter.clone()),
        };
        let page = pool.list_leases(remote.request(message)).await?.into_inner();
        Ok((page.leases, page.next_page_token))
    })
    .await?;
    screen.answer(
        || {
            let leases = json::each(&listing.items, json::lease);
            json!({ "leases": leases, "next_page_token": listing.next_page_token })
        },
        || leases::table(&listing.items, screen),
    )?;
    if screen.output == Output::Table {
        listing.remark("leases", screen);
    }
    Ok(())
}
