//! `serve`: runs the daemon.

use std::{
    error::Error,
    io,
    path::PathBuf,
    process,
    sync::{Arc, OnceLock},
    time::Duration,
};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{
    Environment, Failure,
    config::{self, LayerArgs},
    progress,
    screen::Screen,
};
use crate::{
    app::{self, Keys, World},
    config::{Loaded, Sources},
    engine::Pools,
};

#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    layers: LayerArgs,
    /// Directory of the ledger; the same as --set data_dir=DIR
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where gRPC listens; the same as --set grpc.listen=ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    grpc_listen: Option<String>,
    /// Where metrics, probes and webhooks listen; the same as --set http.listen=ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<String>,
}

impl ServeArgs {
    /// What the settings are loaded from. A named flag wins over `--set`.
    ///
    /// # Errors
    ///
    /// When the directory is not text in UTF-8, which no setting can hold.
    pub fn sources(self, environment: &Environment) -> Result<Sources, Failure> {
        let mut sources = self.layers.sources(environment);
        let data_dir = self.data_dir.map(|path| path.into_os_string().into_string());
        let data_dir =
            data_dir.transpose().map_err(|_| Failure::usage("--data-dir is not text in UTF-8"))?;
        let named = [
            ("data_dir", data_dir),
            ("grpc.listen", self.grpc_listen),
            ("http.listen", self.http_listen),
        ];
        for (key, value) in named {
            sources.overrides.extend(value.map(|value| (key.to_owned(), value)));
        }
        Ok(sources)
    }
}

/// Runs until it is told to stop: SIGTERM or SIGINT finish what was decided, a second one ends at
/// once. SIGHUP reads the API keys again.
pub(super) async fn run(
    args: ServeArgs,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let loaded = config::load(&args.sources(environment)?, screen)?;
    let traces =
        app::start_log(&loaded.settings).map_err(|error| Failure::failed(error.to_string()))?;
    let ended = serve(loaded).await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    ended
}

async fn serve(loaded: Loaded) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let stop = CancellationToken::new();
    let keys = Arc::new(OnceLock::new());
    watch_signals(stop.clone(), keys.clone())
        .map_err(|error| Failure::failed(format!("cannot watch for signals: {error}")))?;
    tracing::info!(version = app::VERSION, "starting");
    let started = stop.run_until_cancelled(app::start(loaded.settings, World::system())).await;
    // Told to stop before anything was decided: there is nothing to finish.
    let Some(started) = started else { return Ok(()) };
    let daemon = started.map_err(|error| told(&error))?;
    let _ = keys.set(daemon.keys());
    let filling = tokio::spawn(first_fill(daemon.pools()));
    let ended = daemon.run(stop).await;
    filling.abort();
    ended.map_err(|error| told(&error))
}

/// The whole chain of causes, as one sentence.
pub(super) fn told(error: &app::Failure) -> Failure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failure::failed(text)
}

/// From the first moment on; the keys are there once the daemon serves.
fn watch_signals(stop: CancellationToken, keys: Arc<OnceLock<Keys>>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => (),
                Some(()) = interrupt.recv() => (),
                Some(()) = hang_up.recv() => {
                    if let Some(keys) = keys.get() {
                        keys.read_again();
                    }
                    continue;
                }
                else => return,
            }
            if stop.is_cancelled() {
                tracing::warn!("a second signal: ending at once");
                process::exit(1);
            }
            tracing::info!("told to stop");
            stop.cancel();
        }
    });
    Ok(())
}

/// Shows how far the pools are, for whoever started the daemon in a terminal.
async fn first_fill(pools: Arc<Pools>) {
    let Ok(pool) = pools.find("") else { return };
    let Ok(status) = pool.status().await else { return };
    if status.census.ready >= status.target {
        return;
    }
    let progress = progress::first_fill(status.target);
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let Ok(status) = pool.status().await else { break };
        progress.set(status.census.ready);
        if status.census.ready >= status.target {
            break;
        }
    }
    progress.finish();
}
