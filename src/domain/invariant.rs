//! The promises of the daemon, by number, and what it means to find one broken.

use std::fmt;

/// Every promise, by the number it has for life. ARCHITECTURE.md says each in one sentence; a tidy
/// test keeps the two lists equal.
macro_rules! promises {
    ($($(#[$doc:meta])* $id:ident,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Promise {
            $($(#[$doc])* $id,)*
        }

        impl Promise {
            pub const ALL: &[Self] = &[$(Self::$id),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$id => stringify!($id),)* }
            }
        }
    };
}

promises! {
    /// A token is handed out under at most one lease, ever.
    L1,
    /// A token that may have been shown never becomes Ready again.
    L2,
    /// The same caller with the same request id gets the same lease.
    L3,
    /// Only Minted ids are ever registered.
    B1,
    /// Every id that ARGOS may know from us is in the ledger before the call leaves.
    B2,
    /// A doubtful order is repeated with exactly its ids, one attempt at a time.
    B3,
    /// No registration is sent that could pass the cap less the reserve.
    C1,
    /// Every doomed token is deleted at ARGOS within a bounded time while ARGOS answers.
    C2,
    /// While ARGOS answers and demand is within supply, the stock reaches its target.
    R1,
    /// ARGOS is called at most as often as the budget allows, in full batches.
    R2,
    /// No answer leaves before what it rests on is durable.
    J1,
    /// What is read back is exactly the pool that was in memory at the last commit.
    J2,
    /// A commit by a former owner never succeeds.
    J3,
    /// Pool time never steps back and does not follow a jump.
    T1,
    /// Every token id and URL is valid by ARGOS's rules.
    U1,
    /// A webhook about a token we know is committed before it is acknowledged.
    W1,
    /// A killed process loses nothing acknowledged and invents nothing.
    S1,
    /// A stop on request finishes what was decided.
    S2,
    /// No secret is ever in a log line, a label, a trace or an error.
    P1,
    /// A caller sees and changes only what its identity allows.
    P2,
    /// The domain is pure.
    A1,
}

impl Promise {
    /// Whether hand-outs stop when it is found broken.
    pub const fn stops_hand_outs(self) -> bool {
        matches!(
            self,
            Self::L1
                | Self::L2
                | Self::L3
                | Self::B1
                | Self::B2
                | Self::B3
                | Self::J1
                | Self::J2
                | Self::J3
        )
    }
}

/// One promise found broken, with evidence that gives no secret away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub promise: Promise,
    pub evidence: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken: {}", self.promise.as_str(), self.evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_tells_its_promise_and_its_evidence() {
        let breach = Breach { promise: Promise::L1, evidence: "two holders".to_owned() };
        assert_eq!(breach.to_string(), "L1 broken: two holders");
    }
}
