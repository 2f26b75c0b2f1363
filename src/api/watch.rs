//! Streams of changes: one task per stream, between the engine's watcher and the connection.
//!
//! A stream ends with a message or an error that tells why, and its last token resumes without a gap.
//! The queue towards a connection is short, and a reader that leaves it full is told that it was too
//! slow; so is one that falls too far behind the engine. There are so many streams and no more,
//! whoever asks for them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tonic::Status;

use super::{
    convert::{self, Secrets},
    desk::Visit,
    listing::Filter,
    proto::{
        WatchHeartbeat, WatchLagged, WatchLeasesRequest, WatchLeasesResponse, WatchSynced,
        watch_leases_response::Event,
    },
    status::{self, Failure},
    validate::{self, Faults},
};
use crate::{
    domain::{fault::Reason, seal::Position},
    engine::{Handle, Pools, Rejection, Watched, Watcher},
};

/// Streams of the whole process.
pub(super) const STREAMS_MAX: usize = 256;
/// Messages that wait for a connection that does not take them.
const QUEUE: usize = 64;
/// How long a full queue is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// A stream with nothing to tell says so after this time, and brings its reader's token up to date.
const HEARTBEAT: Duration = Duration::from_secs(30);

type Message = Result<WatchLeasesResponse, Status>;

/// Where streams get their places.
pub(super) struct Gallery(Arc<Semaphore>);

impl Gallery {
    pub(super) fn new(streams: usize) -> Self {
        Self(Arc::new(Semaphore::new(streams)))
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit, Rejection> {
        self.0.clone().try_acquire_owned().map_err(|_| {
            let message = "as many watchers as allowed are connected";
            Rejection::new(Reason::WaitingFull, message).retry_after(PATIENCE)
        })
    }
}

/// Opens a stream for a caller who may.
pub(super) async fn begin(
    visit: &Visit<'_>,
    request: WatchLeasesRequest,
) -> Result<Messages, Failure> {
    let seal = visit.handle.seal();
    let mut faults = Faults::default();
    let from = validate::resume_token(&request.resume_token, seal, &mut faults);
    let filter = Filter::read(request.filter.unwrap_or_default(), &mut faults);
    faults.check()?;
    let filter = filter.of(&visit.caller)?;
    let place = visit.desk.gallery.enter()?;
    let from = match from {
        Some(sealed) => Some(sealed.ok_or_else(Rejection::resume_too_old)?),
        None => None,
    };
    let watcher = visit.handle.watch(from).await?;
    // Two places are kept for how the stream ends.
    let (out, messages) = mpsc::channel(QUEUE + 2);
    let stream = Stream {
        handle: visit.handle.clone(),
        pools: visit.desk.pools.clone(),
        filter,
        told: token(visit.handle, from),
        failed: {
            let (project, owner) = (visit.handle.project().clone(), visit.caller.owner().clone());
            Box::new(move |rejection| {
                Failure::from(rejection).about(&project, &owner).into_status()
            })
        },
    };
    let metrics = visit.desk.metrics.clone();
    metrics.watch_opened();
    tokio::spawn(async move {
        stream.run(watcher, out).await;
        metrics.watch_closed();
        drop(place);
    });
    Ok(Messages { messages, ended: false })
}

/// One stream.
struct Stream {
    handle: Handle,
    pools: Arc<Pools>,
    filter: Filter,
    /// The token of the last message that was sent.
    told: String,
    failed: Box<dyn Fn(Rejection) -> Status + Send + Sync>,
}

/// How a stream ends.
enum End {
    /// With this error, after a heartbeat with this token.
    Failed(String, Rejection),
    Lagged(String, &'static str),
    /// The reader has gone.
    Gone,
}

impl Stream {
    async fn run(mut self, mut watcher: Watcher, out: mpsc::Sender<Message>) {
        let Ok(last) = out.clone().reserve_owned().await else { return };
        let Ok(but_one) = out.clone().reserve_owned().await else { return };
        match self.tell(&mut watcher, &out).await {
            End::Failed(token, rejection) => {
                but_one.send(Ok(message(token, Event::Heartbeat(WatchHeartbeat {}))));
                last.send(Err((self.failed)(rejection)));
            }
            End::Lagged(token, reason) => {
                let lagged = WatchLagged { reason: reason.to_owned() };
                last.send(Ok(message(token, Event::Lagged(lagged))));
            }
            End::Gone => (),
        }
    }

    async fn tell(&mut self, watcher: &mut Watcher, out: &mpsc::Sender<Message>) -> End {
        let mut heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let event = tokio::select! {
                biased;
                () = out.closed() => return End::Gone,
                () = self.pools.stop_begun() => {
                    return End::Failed(self.token(watcher.refreshed()), Rejection::draining());
                }
                // Before what happens, all of which may be none of this reader's business.
                () = tokio::time::sleep_until(heartbeat) => Event::Heartbeat(WatchHeartbeat {}),
                watched = watcher.next() => match watched {
                    Ok(Watched::Lease(view)) if !self.filter.keeps(&view) => continue,
                    Ok(Watched::Lease(view)) => {
                        Event::Lease(convert::lease(&self.handle, &view, Secrets::Hidden))
                    }
                    Ok(Watched::Synced) => Event::Synced(WatchSynced {}),
                    Ok(Watched::Lagged) => {
                        let reason = "more happened than was read: resume";
                        return End::Lagged(self.token(watcher.position()), reason);
                    }
                    Err(rejection) => return End::Failed(self.told.clone(), rejection),
                },
            };
            let position = match event {
                Event::Heartbeat(_) => watcher.refreshed(),
                Event::Lease(_) | Event::Synced(_) | Event::Lagged(_) => watcher.position(),
            };
            let token = self.token(position);
            let sent = tokio::select! {
                biased;
                sent = out.send_timeout(Ok(message(token.clone(), event)), PATIENCE) => sent,
                () = self.pools.stop_begun() => {
                    return End::Failed(self.told.clone(), Rejection::draining());
                }
            };
            match sent {
                Ok(()) => self.told = token,
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return End::Gone,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    return End::Lagged(self.told.clone(), "nothing was read for too long: resume");
                }
            }
            heartbeat = Instant::now() + HEARTBEAT;
        }
    }

    fn token(&self, position: Option<Position>) -> String {
        token(&self.handle, position)
    }
}

/// Before everything was told once, a stream that had no token resumes from the beginning.
fn token(handle: &Handle, position: Option<Position>) -> String {
    position.map(|position| handle.seal().position(position)).unwrap_or_default()
}

fn message(resume_token: String, event: Event) -> WatchLeasesResponse {
    WatchLeasesResponse { resume_token, event: Some(event) }
}

/// What a connection reads of a stream.
pub(super) struct Messages {
    messages: mpsc::Receiver<Message>,
    ended: bool,
}

impl tokio_stream::Stream for Messages {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let message = std::task::ready!(this.messages.poll_recv(cx));
        this.ended = match &message {
            Some(Ok(message)) => matches!(message.event, Some(Event::Lagged(_))),
            Some(Err(_)) | None => true,
        };
        // Its task ended without a word: a reader must not take that for the end.
        Poll::Ready(Some(message.unwrap_or_else(|| Err(status::panicked()))))
    }
}

#[cfg(test)]
mod tests;
