//! The memory ledger as a disk on bad days, and the judge's look over its shoulder.
//!
//! Before and after each write there is an await, so that a process can die with the write done and
//! nobody told, and with nothing done.

use std::{sync::Arc, time::Duration};

use argospool::{
    domain::time::Timestamp,
    port::{Group, Ledger, LedgerError, Opened, Opening, Pending, Reader},
    store::memory::{Faults, Memory},
};

use super::outside::Shared;

/// One process's handle on the disk.
pub struct Disk {
    memory: Memory,
    faults: Faults,
    outside: Shared,
}

/// What goes wrong with a commit.
enum Mishap {
    Refused,
    AnswerLost,
    /// It takes so many milliseconds.
    Slow(u64),
}

impl Disk {
    pub fn new(memory: Memory, outside: Shared) -> Self {
        let faults = memory.faults();
        Self { memory, faults, outside }
    }

    fn mishap(&self) -> Option<Mishap> {
        let mut outside = self.outside.lock();
        let percent = f64::from(outside.weather.disk);
        if !outside.chance.percent(percent) {
            return None;
        }
        Some(match outside.below(4) {
            0 => Mishap::Refused,
            1 => Mishap::AnswerLost,
            2 => Mishap::Slow(outside.below(300)),
            // Longer than anybody waits.
            _ => Mishap::Slow(outside.below(20_000)),
        })
    }
}

impl Ledger for Disk {
    fn open(&mut self, opening: Opening) -> Pending<'_, Result<Opened, LedgerError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if let Some(Mishap::Refused | Mishap::AnswerLost) = self.mishap() {
                return Err(LedgerError::Unreadable("a disk that cannot be read".into()));
            }
            let opened = self.memory.open(opening).await?;
            tokio::task::yield_now().await;
            Ok(opened)
        })
    }

    fn commit(&mut self, group: Group) -> Pending<'_, Result<(), LedgerError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.mishap() {
                Some(Mishap::Refused) => self.faults.refuse_commit(),
                Some(Mishap::AnswerLost) => self.faults.lose_answer(),
                Some(Mishap::Slow(millis)) => {
                    // bounded: in simulated time
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                }
                None => (),
            }
            let written = self.memory.commit(group.clone()).await;
            if let Ok(()) | Err(LedgerError::Unconfirmed(_)) = written {
                let mut outside = self.outside.lock();
                if let Err(breach) = outside.books.take(&group) {
                    outside.object(breach);
                }
                outside.trace(&[3, group.revision.0, group.tokens.len() as u64]);
            }
            tokio::task::yield_now().await;
            written
        })
    }

    fn retain(&mut self, before: Timestamp, most: u64) -> Pending<'_, Result<u64, LedgerError>> {
        self.memory.retain(before, most)
    }

    fn reader(&self) -> Arc<dyn Reader> {
        self.memory.reader()
    }
}
