//! How a pool stands, asked from outside, also while its engine cannot answer.
//!
//! An engine answers nothing that is not durable (J1), so it is silent while its ledger takes no commit or
//! cannot be read again. Whoever looks then is told how the pool stood when it last said so, and that this
//! is old. Something asks every half minute at least (`telemetry::chronicle`), so it is not very old.

use std::{sync::PoisonError, time::Duration};

use tokio::time::timeout;

use super::{Engine, Handle, Rejection, Status};
use crate::domain::fault::Reason;

impl Handle {
    /// How the pool stands at this moment. Waits for the engine, however long its ledger takes.
    pub async fn status(&self) -> Result<Status, Rejection> {
        let status = self.inspect(Engine::status).await?;
        self.tell(&status);
        Ok(status)
    }

    /// How the pool stands; where the engine does not say so within `patience`, how it stood when it
    /// last did, with [`Status::unanswered`] set. Fails when the engine has ended.
    pub async fn look(&self, patience: Duration) -> Result<Status, Rejection> {
        let rejection = match timeout(patience, self.status()).await {
            Ok(Ok(status)) => return Ok(status),
            Ok(Err(rejection)) if rejection.reason != Reason::LedgerUnavailable => {
                return Err(rejection);
            }
            Ok(Err(_)) | Err(_) => Rejection::unavailable(),
        };
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = self.clock.now();
        let stalled = self.vitals.stalled_for(now);
        told.map(|status| status.without_an_answer(now, stalled)).ok_or(rejection)
    }

    pub(super) fn tell(&self, status: &Status) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
    }
}
