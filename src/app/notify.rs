//! What the daemon tells the service manager that started it, in the words of systemd's `sd_notify(3)`; nothing where
//! there is none.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::Arc,
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{engine::Pools, port::Clock};

/// The daemon serves: whatever was to start after it may start.
pub(super) fn ready() {
    tell("READY=1");
}

/// The stop has begun.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// Gives a sign of life twice in every span that the manager waits for one, as long as `/livez` would say that
/// all is well. Ends at once where nobody waits.
pub(super) async fn give_signs_of_life(pools: Arc<Pools>, clock: Arc<dyn Clock>) {
    let Some(patience) = patience() else { return };
    let mut ticks = interval(patience / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = clock.now();
        if pools.open().all(|pool| pool.vitals().stuck_for(now).is_none()) {
            tell("WATCHDOG=1");
        }
    }
}

/// How long the manager waits for a sign of life of this very process.
fn patience() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
    number("WATCHDOG_USEC").filter(|micros| is_meant && *micros > 0).map(Duration::from_micros)
}

fn tell(words: &str) {
    // A manager that cannot be told notices by itself.
    if let Err(error) = send(words) {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "cannot tell the service manager");
    }
}

/// A socket without a path, which managers of containers use, begins with `@`.
fn send(words: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // Callers do not wait for a manager that does not read.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(words.as_bytes(), &address).map(|_| ())
}
