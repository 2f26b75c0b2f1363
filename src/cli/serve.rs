//! `serve`: runs the daemon.

use std::path::PathBuf;

use clap::Args;

use super::{Environment, Failure, config::LayerArgs};
use crate::config::Sources;

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

pub(super) async fn run(args: ServeArgs, environment: &Environment) -> Result<(), Failure> {
    let _ = args.sources(environment)?;
    Err(Failure::failed("serve is not wired"))
}
