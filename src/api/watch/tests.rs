//! One stream without a connection, in paused time.

use super::*;
use crate::{
    api::stand::{Stand, links},
    domain::{
        ids::Owner,
        pause::Activity,
        pool::Wanted,
        token::{Grant, Labels},
    },
};

/// A stream of everything, with what a connection would read.
async fn begun(stand: &Stand) -> mpsc::Receiver<Message> {
    let handle = stand.handle("default").clone();
    let watcher = handle.watch(None).await.unwrap();
    let (out, messages) = mpsc::channel(QUEUE + 2);
    let stream = Stream {
        handle,
        pools: stand.pools.clone(),
        filter: Filter::default(),
        told: String::new(),
        failed: Box::new(|rejection| Failure::from(rejection).into_status()),
    };
    tokio::spawn(stream.run(watcher, out));
    messages
}

async fn leased(stand: &Stand) {
    let grant =
        Grant { owner: Owner::parse("uid:1").unwrap(), request: None, labels: Labels::new() };
    let draft = Some(links("default").blank());
    let wanted = Wanted { grant, ttl: Duration::from_secs(600), draft };
    stand.handle("default").ring(crate::engine::Bell::Floor);
    stand.handle("default").lease(vec![wanted], BOUND).await.unwrap();
}

const BOUND: Duration = Duration::from_secs(600);

async fn next(messages: &mut mpsc::Receiver<Message>) -> WatchLeasesResponse {
    tokio::time::timeout(BOUND, messages.recv()).await.unwrap().unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_brings_its_reader_s_token_up_to_date() {
    let stand = Stand::ready().await;
    let mut messages = begun(&stand).await;
    let synced = next(&mut messages).await;
    assert!(matches!(synced.event, Some(Event::Synced(_))));
    let handle = stand.handle("default");
    handle.pause(vec![Activity::Refill], String::new(), String::new()).await.unwrap();
    let began = Instant::now();
    let heartbeat = next(&mut messages).await;
    assert!(matches!(heartbeat.event, Some(Event::Heartbeat(_))));
    assert_eq!(began.elapsed().as_secs(), HEARTBEAT.as_secs());
    let revision = |token: &str| handle.seal().open_position(token).unwrap().revision;
    assert!(revision(&heartbeat.resume_token) > revision(&synced.resume_token));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_reads_nothing_is_told_so_after_everything_that_was_sent() {
    let stand = Stand::ready().await;
    let mut messages = begun(&stand).await;
    for _ in 0..2 * QUEUE {
        leased(&stand).await;
    }
    tokio::time::sleep(2 * PATIENCE).await;
    let mut told = Vec::new();
    for _ in 0..QUEUE {
        told.push(next(&mut messages).await);
    }
    let last = next(&mut messages).await;
    let Some(Event::Lagged(lagged)) = last.event else { panic!("it ends otherwise: {last:?}") };
    assert!(messages.recv().await.is_none());
    assert!(lagged.reason.contains("resume"));
    // From there nothing is missing.
    assert_eq!(last.resume_token, told.last().unwrap().resume_token);
}

#[tokio::test]
async fn a_stream_whose_task_died_does_not_look_as_if_it_were_over() {
    use tokio_stream::StreamExt as _;

    let (out, messages) = mpsc::channel(1);
    drop(out);
    let mut messages = Messages { messages, ended: false };
    let status = messages.next().await.unwrap().unwrap_err();
    assert_eq!(status.message(), "internal error");
    assert!(messages.next().await.is_none());
}
