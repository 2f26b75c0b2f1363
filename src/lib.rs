//! argospool keeps a stock of one-time ARGOS tokens registered ahead of time and lends them out as
//! ready-made Liveform URLs.
//!
//! The modules in reading order, and the law between them (held by `tests/tidy.rs`):
//! `domain ← port ← engine ← {api, http, jobs}`; `store`, `argos` and `supply` see `domain` and `port`
//! only; `app` composes all; `sim` knows none of them, because a simulator that shared our wire code
//! would share our mistakes.

pub mod api;
pub mod app;
pub mod argos;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod http;
pub mod jobs;
pub mod port;
pub mod sim;
pub mod store;
pub mod supply;
pub mod task;
pub mod telemetry;
