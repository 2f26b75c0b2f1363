//! The real binary on bad days: killed, without power, told to stop, refused its directory, without
//! ARGOS, without disk, asked by strangers.
//!
//! Every test starts the process that is shipped, with a configuration file, beside a simulated ARGOS,
//! and judges it by what its callers were told and by what the simulator counted. Nothing is measured
//! in time: states are waited for, and a bound only says *never*.

mod argos;
mod backup;
mod bench;
mod boot_clock;
mod callers;
mod chance;
mod copied;
mod crashes;
mod daemon;
mod damaged;
mod diary;
mod disk;
mod doubt;
mod ephemeral;
mod frozen;
mod hooks;
mod keys;
mod killed;
mod life;
mod links;
mod listings;
mod load;
mod mounts;
mod outage;
mod params;
mod power;
mod preflight;
mod projects;
mod refused;
mod shell;
mod sick;
mod stopped;
mod top;
mod transfer;
mod url;
