use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::JoinSet,
};
use tonic::transport::{Endpoint, server::Connected};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::*;
use crate::api::{
    SocketError, bind_unix,
    proto::{GetLeaseRequest, PauseRequest, get_lease_request::Key},
    stand::{Stand, eventually},
};

#[tokio::test]
async fn the_socket_tells_who_asks() {
    let stand = Stand::ready().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("argospool.sock");
    let listener = bind_unix(&path, 0o660).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let (server, stop) = (stand.server(Access::default()), stand.stop.clone());
    tokio::spawn(async move { server.serve_unix(listener, stop).await.unwrap() });
    let uri = format!("unix://{}", path.display());
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut pool = Pool::new(channel);

    let made = lease(&mut pool, CreateLeaseRequest::default()).await.unwrap();
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(made.owner, format!("uid:{uid}"));
    // The kernel vouches for the name, so the owner is shown its URL again.
    let key = Some(Key::LeaseId(made.lease_id.clone()));
    let read = pool.get_lease(GetLeaseRequest { key, ..Default::default() }).await.unwrap();
    assert_eq!(read.into_inner().lease.unwrap(), made);
}

#[tokio::test]
async fn a_socket_left_over_is_replaced_and_one_in_use_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("argospool.sock");
    let first = bind_unix(&path, 0o600).unwrap();
    assert!(matches!(bind_unix(&path, 0o600), Err(SocketError::InUse(_))));
    drop(first);
    bind_unix(&path, 0o600).unwrap();

    let file = directory.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(bind_unix(&file, 0o600), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let nowhere = directory.path().join("no/such.sock");
    assert!(matches!(bind_unix(&nowhere, 0o600), Err(SocketError::NoDirectory(_))));
}

#[tokio::test]
async fn health_follows_what_the_pools_can_do() {
    let stand = Stand::closed(&["default"]);
    let channel = stand.serve(Access::default()).await;
    let mut health = HealthClient::new(channel.clone());
    let mut is = async |service: &str, expected: ServingStatus| {
        eventually(async || {
            let request = HealthCheckRequest { service: service.to_owned() };
            health.check(request).await.is_ok_and(|is| is.into_inner().status() == expected)
        })
        .await;
    };
    let leasing = "argospool.v1.TokenPoolService";
    is("", ServingStatus::Serving).await;
    is(leasing, ServingStatus::NotServing).await;
    stand.open().await;
    is(leasing, ServingStatus::Serving).await;
    Admin::new(channel.clone()).pause(PauseRequest::default()).await.unwrap();
    is(leasing, ServingStatus::NotServing).await;
    is("argospool.v1.AdminService", ServingStatus::Serving).await;
    stand.pools.begin_stop();
    is("", ServingStatus::NotServing).await;
}

#[tokio::test]
async fn answers_are_counted_by_code_and_reason() {
    let stand = Stand::ready().await;
    let mut pool = Pool::new(stand.serve(Access::default()).await);
    let of =
        |project: &str| CreateLeaseRequest { project: project.to_owned(), ..Default::default() };
    lease(&mut pool, of("")).await.unwrap();
    lease(&mut pool, CreateLeaseRequest { ttl: seconds(1), ..of("") }).await.unwrap_err();
    lease(&mut pool, of("x".repeat(40).as_str())).await.unwrap_err();
    let text = stand.scraped().await;
    for line in [
        r#"argospool_lease_requests_total{code="OK",project="default",reason="none"} 1"#,
        r#"argospool_lease_requests_total{code="InvalidArgument",project="default",reason="invalid_request"} 1"#,
        r#"argospool_lease_requests_total{code="NotFound",project="-",reason="project_not_found"} 1"#,
        r#"argospool_lease_requests_total{code="ResourceExhausted",project="default",reason="pool_empty"} 0"#,
        r#"grpc_server_handled_total{grpc_code="OK",grpc_method="CreateLease",grpc_service="argospool.v1.TokenPoolService"} 1"#,
        r#"grpc_server_handled_total{grpc_code="NotFound",grpc_method="CreateLease",grpc_service="argospool.v1.TokenPoolService"} 1"#,
        r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Audit",grpc_service="argospool.v1.AdminService"} 0"#,
        r#"argospool_leases_created_total{project="default"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_stops() {
    let stand = Stand::ready().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (server, stop) = (stand.server(Access::default()), stand.stop.clone());
    let serving = tokio::spawn(async move { server.serve_tcp(listener, stop).await });
    let channel =
        Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    lease(&mut Pool::new(channel.clone()), CreateLeaseRequest::default()).await.unwrap();
    drop(channel);
    stand.stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn answers_that_are_ready_together_leave_together() {
    const CALLERS: usize = 64;
    let stand = Stand::ready().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (server, stop) = (stand.server(Access::default()), stand.stop.clone());
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = writes.clone();
    let accept = async move || {
        let (stream, _) = listener.accept().await?;
        Ok(Counting { stream, writes: counted.clone() })
    };
    tokio::spawn(async move { server.serve(accept, stop).await.unwrap() });
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    // Labels make it long enough to be written by itself, were it not gathered.
    let labels = ["first", "second", "third"].map(|label| (label.to_owned(), "x".repeat(63)));
    let request = CreateLeaseRequest { labels: labels.into(), ..Default::default() };
    let made = lease(&mut Pool::new(channel.clone()), request).await.unwrap();
    let key = Some(Key::LeaseId(made.lease_id));
    writes.store(0, Ordering::Relaxed);
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let mut pool = Pool::new(channel.clone());
        let request = GetLeaseRequest { key: key.clone(), ..Default::default() };
        callers.spawn(async move { pool.get_lease(request).await.unwrap() });
    }
    assert_eq!(callers.join_all().await.len(), CALLERS);
    let writes = writes.load(Ordering::Relaxed);
    assert!(writes < CALLERS / 2, "{writes} writes for {CALLERS} answers");
}

/// A connection that could write several buffers at once, and counts how often it writes.
struct Counting {
    stream: TcpStream,
    writes: Arc<AtomicUsize>,
}

impl Connected for Counting {
    type ConnectInfo = <TcpStream as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
