//! The gRPC server: which services there are, and the bounds of every connection.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::server::Connected};
use tonic_health::server::HealthReporter;

use super::{
    admin::Admin,
    auth::{Access, Gate, InvalidAccess},
    connection::Gathering,
    desk::Desk,
    front::Front,
    health,
    observe::Observe,
    proto::{
        self, admin_service_server::AdminServiceServer,
        token_pool_service_server::TokenPoolServiceServer,
    },
    status,
    token_pool::TokenPool,
    validate::ProjectRules,
    watch::{Gallery, STREAMS_MAX},
};
use crate::{
    domain::{ids::ProjectName, time::Timestamp},
    engine::Pools,
    port::Checkup,
    telemetry::Metrics,
};

/// A request may be this long: 500 leases with every parameter at its longest.
pub(super) const REQUEST_BYTES_MAX: usize = 4 << 20;
const STREAMS_PER_CONNECTION: u32 = 1_024;
const HEADER_BYTES_MAX: u32 = 16 << 10;
const PING_AFTER: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing is accepted after the system had no more descriptors to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server is made of.
pub struct Parts {
    pub pools: Arc<Pools>,
    pub access: Access,
    /// One for every project of the pools.
    pub rules: BTreeMap<ProjectName, ProjectRules>,
    pub metrics: Arc<Metrics>,
    pub version: String,
    /// When the process started.
    pub started: Timestamp,
    pub reflection: bool,
    pub checkup: Arc<dyn Checkup>,
}

/// Serves on as many listeners as wished. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    front: Front,
    observe: Observe,
    reporter: HealthReporter,
    pools: Arc<Pools>,
}

impl Server {
    pub fn new(parts: Parts) -> Result<Self, InvalidAccess> {
        let Parts { pools, access, rules, metrics, version, started, reflection, checkup } = parts;
        metrics.expect_lease_requests(pools.projects(), &status::all_labels());
        let gate = Gate::new(access)?;
        let observe = Observe::new(metrics.clone());
        let gallery = Gallery::new(STREAMS_MAX);
        let desk = Arc::new(Desk {
            pools: pools.clone(),
            gate,
            rules,
            metrics,
            version,
            started,
            gallery,
            checkup,
        });
        let (reporter, health) = tonic_health::server::health_reporter();
        let token_pool = TokenPoolServiceServer::new(TokenPool(desk.clone()))
            .max_decoding_message_size(REQUEST_BYTES_MAX);
        let admin = AdminServiceServer::new(Admin(desk.clone()))
            .max_decoding_message_size(REQUEST_BYTES_MAX);
        let mut routes = Routes::new(token_pool).add_service(admin).add_service(health);
        if reflection {
            let reflect = || {
                tonic_reflection::server::Builder::configure()
                    .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            };
            const PROOF: &str = "descriptors that the build wrote can be read";
            routes = routes
                .add_service(reflect().build_v1().expect(PROOF))
                .add_service(reflect().build_v1alpha().expect(PROOF));
        }
        let front = Front { desk, routes: routes.prepare() };
        Ok(Self { front, observe, reporter, pools })
    }

    /// Serves until told to stop, then until every call is answered. A connection that does not end
    /// can hold this up for ever: the caller sets the limit.
    pub async fn serve_tcp(
        &self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let accept = async move || {
            let (stream, _) = listener.accept().await?;
            // Answers are small, and nobody should wait for the next one to fill a packet.
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        self.serve(accept, stop).await
    }

    /// The same on a unix socket, where the kernel says who is at the other end.
    pub async fn serve_unix(
        &self,
        listener: UnixListener,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let accept = async move || listener.accept().await.map(|(stream, _)| stream);
        self.serve(accept, stop).await
    }

    /// Keeps the health service in step with the pools until told to stop.
    pub async fn report_health(&self, stop: CancellationToken) {
        health::keep(self.reporter.clone(), &self.pools, stop).await;
    }

    pub(super) async fn serve<C>(
        &self,
        accept: impl AsyncFn() -> io::Result<C>,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error>
    where
        C: Connected + tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (accepted, incoming) = mpsc::channel(1);
        let accepting = stop.run_until_cancelled(async move {
            loop {
                match accept().await {
                    Ok(stream) => {
                        if accepted.send(stream).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING_AFTER))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .layer(self.observe.clone())
            .serve_with_incoming_shutdown(
                self.front.clone(),
                ReceiverStream::new(incoming).map(|stream| Ok::<_, io::Error>(Gathering(stream))),
                stop.clone().cancelled_owned(),
            );
        tokio::join!(accepting, serving).1
    }
}

/// A unix socket that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("directory of the unix socket does not exist: {}", .0.display())]
    NoDirectory(PathBuf),
    #[error("another process listens on the unix socket {}", .0.display())]
    InUse(PathBuf),
    #[error("something that is no socket is in the way: {}", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot listen on the unix socket {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Listens on a unix socket with these permissions. A socket file that is left over from a process
/// that is gone is replaced; one that somebody listens on is not.
pub fn bind_unix(path: &Path, mode: u32) -> Result<UnixListener, SocketError> {
    let fail = |error| SocketError::Io(path.to_owned(), error);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory
        && !directory.is_dir()
    {
        return Err(SocketError::NoDirectory(directory.to_owned()));
    }
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        Err(error) => return Err(fail(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(fail)?;
            }
            Ok(_) => return Err(SocketError::InUse(path.to_owned())),
            Err(error) => return Err(fail(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail)?;
    Ok(listener)
}
