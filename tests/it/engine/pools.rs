//! The pools of a process: found by name once they are open, and not any more when it stops.

use argospool::{
    domain::{fault::Reason, ids::ProjectName},
    engine::Pools,
    store::memory::Memory,
};
use tokio::time::{Duration, timeout};

use crate::world::{Bench, policy};

fn name(text: &str) -> ProjectName {
    ProjectName::parse(text).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_found_by_its_name_once_it_is_open() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    let pools = Pools::new([name("default"), name("kyc")]);
    let refused = pools.find("default").err().unwrap();
    assert_eq!(refused.reason, Reason::Starting);
    assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
    assert!(pools.open().next().is_none() && !pools.complete());

    pools.opened(bench.handle.clone());
    assert_eq!(pools.find("default").unwrap().project(), &name("default"));
    assert_eq!(pools.find("kyc").err().unwrap().reason, Reason::Starting);
    assert!(pools.open().count() == 1 && !pools.complete(), "one is still being opened");
    // With two projects no name is no answer.
    for unknown in ["", "nobody"] {
        let refused = pools.find(unknown).err().unwrap();
        assert_eq!(refused.reason, Reason::ProjectNotFound);
        assert!(refused.message.ends_with("default, kyc"), "{}", refused.message);
    }
    assert_eq!(pools.projects().collect::<Vec<_>>(), [&name("default"), &name("kyc")]);
}

#[tokio::test(start_paused = true)]
async fn the_only_pool_there_is_needs_no_name_until_the_process_stops() {
    let bench = Bench::start(policy(500, 100), Memory::default()).await;
    let pools = Pools::new([name("default")]);
    pools.opened(bench.handle.clone());
    assert!(pools.complete() && pools.find("").is_ok() && pools.find("default").is_ok());
    let moment = Duration::from_secs(1);
    assert!(!pools.stopping() && timeout(moment, pools.stop_begun()).await.is_err());
    pools.begin_stop();
    assert!(pools.stopping());
    pools.stop_begun().await;
    assert_eq!(pools.find("").err().unwrap().reason, Reason::Draining);
}
