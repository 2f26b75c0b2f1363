//! The gRPC edge: who asks, whether the question is well formed, and how the answer looks on the wire.
//!
//! It decides nothing about tokens. Every request goes through [`crate::engine::Handle`], and every
//! refusal of ours leaves through `status`, the one place that knows gRPC codes. Token ids and URLs
//! are put into an answer by `convert` alone, and only for those who may see them (P2); no name,
//! value or text that a caller sent is repeated in an error or a log line (P1), but for its ids of request
//! and trace where they are well formed (`trail`), and the reason of a revocation, which is meant for the
//! log and may hold no secret.

mod admin;
mod auth;
mod chronicle;
mod codec;
mod connection;
mod convert;
mod desk;
mod front;
mod health;
mod level;
mod listing;
mod observe;
mod preflight;
mod problems;
mod quota;
mod reconcile;
mod revocation;
mod server;
mod status;
mod token_pool;
mod trail;
mod validate;
mod watch;

pub use auth::{Access, CallerAccess, InvalidAccess, Proof};
pub use codec::Frugal;
pub use connection::Gathering;
pub use preflight::response as preflight_response;
pub use server::{Parts, Server, SocketError, bind_unix};
pub use validate::{Links, ProjectRules};

/// What `proto/` turns into: messages, servers and clients.
pub mod proto {
    #![allow(clippy::all, clippy::wildcard_enum_match_arm, unreachable_pub)]
    // Comments of the proto are plain text, and `uid:<n>` is no tag.
    #![allow(rustdoc::invalid_html_tags)]

    tonic::include_proto!("argospool.v1");

    /// A lease without its token and its URL.
    impl std::fmt::Debug for Lease {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Lease")
                .field("lease_id", &self.lease_id)
                .field("project", &self.project)
                .field("state", &self.state())
                .finish_non_exhaustive()
        }
    }

    /// Nothing about a person.
    impl std::fmt::Debug for LiveformParams {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("LiveformParams(…)")
        }
    }

    /// The descriptors that the code was generated from.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/argospool.bin"));
}

#[cfg(test)]
pub(crate) mod stand;
#[cfg(test)]
mod tests;
