//! Takes one lease from argospool and prints its URL: `lease ADDRESS USERID [SECONDS]`.
//!
//! In a package of your own `tonic_prost_build::compile_protos` in build.rs makes the messages of `proto/`, and
//! `mod proto { tonic::include_proto!("argospool.v1"); }` takes the place of `argospool::api::proto`. Besides
//! tonic, tonic-prost and prost this needs tonic-types for the details of refusals, and uuid.

use std::{
    env,
    error::Error,
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use argospool::api::proto::{
    CreateLeaseRequest, Lease, LiveformParams, token_pool_service_client::TokenPoolServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

type Pool = TokenPoolServiceClient<Channel>;

/// A channel that connects with the first call. On a unix socket tonic sends an authority that HTTP/2
/// servers take, so there is nothing to set.
fn connect(address: &str) -> Result<Pool, Box<dyn Error>> {
    let uri = match address.starts_with("unix:") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    Ok(Pool::new(Endpoint::from_shared(uri)?.connect_lazy()))
}

/// One lease by the deadline, however often it must be asked for.
async fn create_lease(
    pool: &mut Pool,
    params: LiveformParams,
    deadline: Instant,
    bearer: Option<MetadataValue<Ascii>>,
) -> Result<Lease, Status> {
    // Drawn once: the repeat of a call whose answer was lost is given the same lease.
    let request_id = uuid::Uuid::new_v4().to_string();
    let wish = CreateLeaseRequest { request_id, params: Some(params), ..Default::default() };
    let mut backoff = Duration::from_millis(100);
    loop {
        let mut request = Request::new(wish.clone());
        if let Some(bearer) = &bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        // It tells the daemon, and tonic holds the call to it as well, which it calls Cancelled.
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let refusal = match pool.create_lease(request).await {
            Ok(answer) => {
                return answer.into_inner().lease.ok_or_else(|| Status::internal("no lease"));
            }
            Err(_) if Instant::now() >= deadline => {
                return Err(Status::deadline_exceeded("no answer in time"));
            }
            Err(refusal) => refusal,
        };
        match pause_after(&refusal, backoff) {
            Some(pause) if Instant::now() + pause < deadline => tokio::time::sleep(pause).await,
            _ => return Err(refusal),
        }
        backoff = (2 * backoff).min(Duration::from_secs(2));
    }
}

/// After how long it is worth asking again; `None` if it never is.
fn pause_after(refusal: &Status, backoff: Duration) -> Option<Duration> {
    if let Some(retry) = refusal.get_details_retry_info() {
        return Some(retry.retry_delay.unwrap_or_default());
    }
    let again = match refusal.get_details_error_info() {
        Some(said) => said.reason == "COMMIT_DOUBTFUL",
        None => matches!(
            refusal.code(),
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
        ),
    };
    // Random bits that are at hand, so that clients that were cut off together do not come back together.
    let jitter = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 510.0;
    again.then(|| backoff.mul_f64(0.5 + jitter))
}

async fn run() -> Result<String, Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, userid, seconds @ ..] = &arguments[..] else {
        return Err("usage: lease ADDRESS USERID [SECONDS]".into());
    };
    let seconds = seconds.first().map_or(Ok(10.0), |text| text.parse())?;
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let bearer = match env::var_os("ARGOSPOOL_TOKEN_FILE") {
        Some(file) => Some(format!("Bearer {}", fs::read_to_string(file)?.trim()).parse()?),
        None => None,
    };
    let params = LiveformParams { userid: userid.clone(), ..Default::default() };
    let lease = create_lease(&mut connect(address)?, params, deadline, bearer).await;
    lease.map(|lease| lease.url).map_err(|refusal| {
        let reason = refusal.get_details_error_info().map(|said| said.reason);
        let reason = reason.unwrap_or_else(|| refusal.message().to_owned());
        format!("no lease: {:?} {reason}", refusal.code()).into()
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(url) => {
            println!("{url}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
