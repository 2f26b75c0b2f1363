//! Answers that say nothing: every one of them leaves an order in doubt, and every doubt ends.

use argospool::sim::{
    Command, Effect, Fault, FaultBody, Operation, Script, Simulator, SimulatorOptions,
};

use super::daemon::{Home, PID, counts};

fn status(status: u16, body: FaultBody, effect: Effect) -> Fault {
    Fault::Status { status, body, error_code: None, retry_after_seconds: None, effect }
}

#[tokio::test]
async fn after_an_hour_of_bad_answers_compressed_into_one_refill_no_token_is_lost() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let weather = [
        Fault::Latency { ms: 1_500 },
        status(502, FaultBody::Html, Effect::Done),
        status(200, FaultBody::Html, Effect::Done),
        status(500, FaultBody::Json, Effect::None),
        status(500, FaultBody::Garbage, Effect::Done),
        status(504, FaultBody::Empty, Effect::LateMs(2_000)),
        Fault::LostAnswer { effect: Effect::LateMs(3_000) },
        Fault::LostAnswer { effect: Effect::None },
        Fault::Partial { processed: 40, details: true },
        Fault::NotSuccess { effect: Effect::None },
        Fault::Status {
            status: 429,
            body: FaultBody::Json,
            error_code: None,
            retry_after_seconds: Some(1),
            effect: Effect::None,
        },
    ];
    let bad = weather.len() as u64;
    for (skip, fault) in (0..).zip(weather) {
        // The first call that is left over takes the next: one after another, all of them happen.
        let script = Script { skip: skip % 3, ..Script::next(Operation::Post, fault) };
        simulator.control(Command::Faults(script)).unwrap();
    }
    let home = Home::beside(&simulator)
        .that_settles_doubts_soon()
        .with("defaults.argos.tokens_per_call", 50)
        .with("defaults.argos.circuit_failures", 3);
    let daemon = home.serve().await;
    let full = daemon.filled().await;
    assert_eq!((counts(&full).ready, full.argos.unwrap().doubtful_orders), (1_000, 0));

    let counters = simulator.counters(PID).unwrap();
    let faults = simulator.state(PID, 0).unwrap()["faults"].as_array().unwrap().len();
    assert_eq!(faults, 0, "some of the weather never came");
    // A slow answer and another fault may have met in one call.
    assert!(counters.posts >= 20 + bad - 1, "every bad answer was repeated");
    assert_eq!(counters.highest_pool_size, 1_000, "B3: repeated with the same ids");
    assert_eq!((counters.pool_size, counters.delete_tokens), (1_000, 0));
    for lease in daemon.drained().await {
        assert!(lease.url.contains(&lease.token_id));
    }
    daemon.stop().await;
}
