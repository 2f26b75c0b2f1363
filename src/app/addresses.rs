//! Where the daemon listens: chosen, bound, and told to whoever must find it.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};

use crate::{
    api::{SocketError, bind_unix},
    config,
};

/// What `addresses.json` in the data directory holds. Port 0 is replaced by the chosen one.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    pub grpc: Option<SocketAddr>,
    pub unix_socket: Option<PathBuf>,
    pub http: SocketAddr,
    /// Where webhooks arrive, when that is not `http`.
    pub webhook: Option<SocketAddr>,
}

/// Sockets that are bound and not served yet.
pub(super) struct Listeners {
    pub grpc: Option<TcpListener>,
    pub unix: Option<UnixListener>,
    pub http: TcpListener,
    pub webhook: Option<TcpListener>,
}

/// A configured address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{key}: listen on {address}")]
    Tcp { key: &'static str, address: SocketAddr, source: io::Error },
    #[error("grpc.unix_socket")]
    Unix(#[source] SocketError),
}

impl Listeners {
    pub(super) async fn bind(settings: &config::Settings) -> Result<Self, BindError> {
        let grpc = match settings.grpc.listen {
            Some(address) => Some(tcp("grpc.listen", address).await?),
            None => None,
        };
        let unix = match &settings.grpc.unix_socket {
            Some(path) => {
                let bound = bind_unix(path, settings.grpc.unix_socket_mode);
                Some(bound.map_err(BindError::Unix)?)
            }
            None => None,
        };
        let http = tcp("http.listen", settings.http.listen).await?;
        let webhook = match settings.webhook.listen {
            Some(address) => Some(tcp("webhook.listen", address).await?),
            None => None,
        };
        Ok(Self { grpc, unix, http, webhook })
    }

    pub(super) fn addresses(&self, settings: &config::Settings) -> io::Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.as_ref().map(TcpListener::local_addr).transpose()?,
            unix_socket: settings.grpc.unix_socket.clone(),
            http: self.http.local_addr()?,
            webhook: self.webhook.as_ref().map(TcpListener::local_addr).transpose()?,
        })
    }
}

impl Addresses {
    /// Replaces the file whole, so that nobody reads half of it.
    pub(super) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let (whole, half) = (data_dir.join("addresses.json"), data_dir.join(".addresses.json"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&half)?;
        io::Write::write_all(&mut file, &text)?;
        fs::rename(half, whole)
    }

    pub(super) fn forget(data_dir: &Path) {
        // Gone already, or not ours to remove: either way it tells nobody anything.
        let _ = fs::remove_file(data_dir.join("addresses.json"));
    }
}

/// Makes a private directory; one that exists is left as it is, and judged by the ledger.
pub(super) fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

async fn tcp(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError::Tcp { key, address, source })
}
