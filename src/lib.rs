//! argospool keeps a stock of one-time ARGOS tokens registered ahead of time and lends them out as
//! ready-made Liveform URLs.
//!
//! The modules stand in reading order. The law between them, held by `tests/tidy.rs`:
//! `domain ← port ← engine ← {api, http, jobs, telemetry}`; `store`, `argos` and `supply` see `domain`
//! and `port`, and `supply` sees `argos`; `app` composes all.

// What is decided, without a clock, a socket or a disk.
pub mod domain;

// What the engine needs from outside, and the one task that owns a pool.
pub mod port;

pub mod engine;

// The outside: where records become durable, and where tokens come from.
pub mod store;

pub mod argos;

pub mod supply;

// The edges: who asks, who looks, who reminds.
pub mod api;

pub mod http;

pub mod jobs;

pub mod telemetry;

// The process: what it is told, what it runs, how it is put together.
pub mod config;

pub mod task;

pub mod app;

pub mod cli;

// ARGOS as the contract has it. It knows none of the above: a simulator that shared our wire code
// would share our mistakes.
pub mod sim;
