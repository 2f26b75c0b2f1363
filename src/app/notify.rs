//! What the daemon tells the service manager that started it, such as systemd; nothing where there is none.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
};

use crate::{engine::Pools, port::Clock};
use sd_notify::NotifyState;

/// The daemon serves: whatever was to start after it may start.
pub(super) fn ready() {
    tell(&NotifyState::Ready);
}

/// The stop has begun.
pub(super) fn stopping() {
    tell(&NotifyState::Stopping);
}

/// Gives a sign of life twice in every span that the manager waits for one, as long as `/livez` would say that
/// all is well. Ends at once where nobody waits.
pub(super) async fn give_signs_of_life(pools: Arc<Pools>, clock: Arc<dyn Clock>) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(patience / 2);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = clock.now();
        if pools.open().all(|pool| pool.vitals().stuck_for(now).is_none()) {
            tell(&NotifyState::Watchdog);
        }
    }
}

fn tell(state: &NotifyState<'_>) {
    // A manager that cannot be told notices by itself.
    if let Err(error) = send(&state.to_string()) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot tell the service manager"
        );
    }
}

/// The crate knows the words and no sockets without a path, which managers of containers use.
fn send(words: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), &address).map(|_| ())
}
