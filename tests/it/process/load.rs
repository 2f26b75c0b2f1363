//! Callers that ask without a pause and write down what they were told.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    daemon::{Daemon, until},
    diary::Diary,
};

/// Callers at work.
pub struct Load {
    stop: CancellationToken,
    callers: JoinSet<()>,
    diary: Diary,
    before: usize,
}

impl Load {
    /// So many callers, each on a connection of its own.
    pub fn start(daemon: &Daemon, diary: &Diary, callers: usize) -> Self {
        let stop = CancellationToken::new();
        let mut load = Self {
            stop,
            callers: JoinSet::new(),
            diary: diary.clone(),
            before: diary.acknowledged(),
        };
        for _ in 0..callers {
            let (mut pool, diary, stop) = (daemon.pool(), diary.clone(), load.stop.clone());
            load.callers.spawn(async move {
                while !stop.is_cancelled() {
                    if !diary.ask(&mut pool).await {
                        // bounded: by the stop; a daemon that is gone refuses faster than it is asked
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        load
    }

    /// Waits until so many more leases were acknowledged than at its start.
    pub async fn has_got(&self, leases: usize) {
        self.reaches(self.before + leases).await;
    }

    /// The same from this moment on.
    pub async fn goes_on(&self, leases: usize) {
        self.reaches(self.diary.acknowledged() + leases).await;
    }

    async fn reaches(&self, wanted: usize) {
        until("leases are acknowledged", async || {
            (self.diary.acknowledged() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits until every caller has put down the pen.
    pub async fn end(self) {
        self.stop.cancel();
        self.callers.join_all().await;
    }
}
