//! The HTTP edge: probes, metrics, and the receiver of ARGOS's webhooks.
//!
//! Paths are never logged, because one of them is a secret.

mod page;
mod probes;
pub mod webhook;

use std::{io, net::SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use page::{Overview, page};
pub use probes::{Probes, probes};
pub use webhook::{Allow, ReceiverParts, Receiving, webhooks};

/// Serves until told to stop, then until every request is answered: the caller sets the limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

#[cfg(test)]
mod tests;
