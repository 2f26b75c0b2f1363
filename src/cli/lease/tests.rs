use clap::Parser;

use super::*;
use crate::cli::tests::{plain_screen, seconds_ago};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    lease: LeaseArgs,
}

fn args(line: &str) -> LeaseArgs {
    Line::try_parse_from(std::iter::once("lease").chain(line.split_whitespace())).unwrap().lease
}

#[test]
fn fresh_request_ids_are_as_many_as_the_leases_and_never_the_same() {
    let ids = args("--count 500").request_ids().unwrap();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (500, 500));
}

#[test]
fn given_request_ids_are_used_and_must_match_the_count() {
    let ids = "--request-id 7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2 \
               --request-id 0b6f6a0e-1f53-4f0c-8f0a-6e9f0c4d7b11";
    assert_eq!(args(ids).request_ids().unwrap().len(), 2);
    assert_eq!(args(&format!("{ids} --count 2")).request_ids().unwrap().len(), 2);
    assert!(args(&format!("{ids} --count 3")).request_ids().is_err());
}

#[test]
fn on_a_terminal_the_url_stands_alone_on_its_line() {
    let lease = Lease {
        lease_id: "l-1".into(),
        url: "https://form.example/?token=t".into(),
        request_id: "7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2".into(),
        expire_time: Some(seconds_ago(-600)),
        ..Lease::default()
    };
    let closed = Lease { url: String::new(), ..lease.clone() };
    assert_eq!(
        render(&[lease, closed], &plain_screen()),
        "\
https://form.example/?token=t
lease l-1, request id 7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2, unused it closes in 10 min
(closed: its URL is gone)
lease l-1, request id 7d9f3c1e-62a1-4a43-9d4b-0a3f8ab5d1c2, unused it closes in 10 min
"
    );
}
