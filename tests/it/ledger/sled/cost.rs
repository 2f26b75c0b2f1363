//! What a lease costs the disk, counted: figures that no machine changes.

use argospool::{
    port::{Group, Ledger as _},
    store::sled::{Step, group::Parts},
};

use argospool::domain::token::{Holder, Stage, Token};

use super::*;

const COMMIT: [Step; 4] = [Step::Space, Step::Write, Step::Flush, Step::Sync];

fn leases(count: u64) -> Group {
    Group { tokens: (1..=count).map(leased).collect(), ..group(2) }
}

#[tokio::test]
async fn a_group_of_any_size_takes_one_flush_and_one_sync() {
    for count in [1, 64, 256] {
        let place = Directory::new();
        let mut ledger = place.sled();
        ledger.open(opening()).await.unwrap();
        // The bound on what was leased is written ahead, in steps of its own.
        ledger.commit(Group { granted: Sequence::new(256), ..group(1) }).await.unwrap();
        place.hazards.done();
        let granted = Sequence::new(count);
        ledger.commit(Group { granted, ..leases(count) }).await.unwrap();
        assert_eq!(place.hazards.done(), COMMIT, "{count} leases");
    }
}

#[tokio::test]
async fn the_bound_on_what_was_leased_is_written_once_for_many_groups() {
    let place = Directory::new();
    let mut ledger = place.sled();
    ledger.open(opening()).await.unwrap();
    place.hazards.done();
    for number in 1..=1_024 {
        ledger.commit(Group { tokens: vec![leased(number)], ..group(number) }).await.unwrap();
    }
    let written = place.hazards.done().into_iter().filter(|step| *step == Step::Witness).count();
    assert!(written <= 4, "{written} times for 1,024 leases");
}

#[test]
fn a_group_is_one_record_that_is_little_longer_than_what_it_says() {
    for count in [1, 64, 256] {
        let group = leases(count);
        let said: usize = group.tokens.iter().map(said).sum();
        let parts = Parts::cut(&group).unwrap();
        let [value] = &parts.values[..] else { panic!("{count}: {} records", parts.values.len()) };
        let rest = value.len() - said;
        assert!(rest as u64 <= 32 + 80 * count, "{count} leases: {rest} bytes beside their texts");
    }
}

/// Bytes of the texts of a token: they cannot be made shorter.
fn said(token: &Token) -> usize {
    let Stage::Leased(lease) = &token.stage else { panic!("not leased") };
    let Holder::Caller { grant, url, sealed } = &lease.holder else { panic!("nobody's") };
    let labels: usize = grant.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    token.id.expose().len() + grant.owner.as_str().len() + labels + url.len() + sealed.len()
}
