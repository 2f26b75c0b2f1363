//! Why the Liveform shows an error page, and what that page says.

/// Why the Liveform shows an error page. The numbers are of our own: which `TK` number stands for
/// which cause is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    ProjectUnknown,
    /// What is sealed in the link cannot be opened or read.
    ParametersUnreadable,
    /// What has to be sealed stands in the open.
    ParameterInTheOpen,
    /// What has to stand in the open is sealed.
    ParameterSealed,
    /// The same parameter in the open and sealed.
    ParameterTwice,
    /// Parameters that exclude each other, or one without the one it needs.
    ParametersConflict,
    /// A parameter of the other pipeline.
    ParameterOfOtherPipeline,
    /// A value that a parameter cannot have.
    ParameterValue,
    /// Later than the link's own `startValidUntil`.
    StartTooLate,
    TokenMissing,
    /// Never registered, or deleted.
    TokenUnknown,
    TokenExpired,
    TokenApproved,
    TokenPending,
    TokenRejected,
    /// The session ended, or there never was one.
    SessionUnknown,
}

impl Refusal {
    /// The word in `data-cause` and in the witness.
    pub fn cause(self) -> &'static str {
        match self {
            Self::ProjectUnknown => "project-unknown",
            Self::ParametersUnreadable => "parameters",
            Self::ParameterInTheOpen => "parameter-in-the-open",
            Self::ParameterSealed => "parameter-sealed",
            Self::ParameterTwice => "parameter-twice",
            Self::ParametersConflict => "parameters-conflict",
            Self::ParameterOfOtherPipeline => "parameter-of-other-pipeline",
            Self::ParameterValue => "parameter-value",
            Self::StartTooLate => "start-too-late",
            Self::TokenMissing => "missing",
            Self::TokenUnknown => "unknown",
            Self::TokenExpired => "expired",
            Self::TokenApproved => "approved",
            Self::TokenPending => "pending",
            Self::TokenRejected => "rejected",
            Self::SessionUnknown => "session-unknown",
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::ProjectUnknown => "PV-40001",
            Self::ParametersUnreadable => "PV-40002",
            Self::ParameterInTheOpen => "PV-40003",
            Self::ParameterSealed => "PV-40004",
            Self::ParameterTwice => "PV-40005",
            Self::ParametersConflict => "PV-40006",
            Self::ParameterOfOtherPipeline => "PV-40007",
            Self::ParameterValue => "PV-40008",
            Self::StartTooLate => "PV-40018",
            Self::TokenMissing => "TK-10001",
            Self::TokenUnknown => "TK-10002",
            Self::TokenExpired => "TK-10003",
            Self::TokenApproved => "TK-10004",
            Self::TokenPending => "TK-10005",
            Self::TokenRejected => "TK-10006",
            Self::SessionUnknown => "TK-10007",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::ProjectUnknown => "This project does not exist",
            Self::ParametersUnreadable => "This link cannot be read",
            Self::ParameterInTheOpen => "This link shows what must be encrypted",
            Self::ParameterSealed => "This link hides what must be plain",
            Self::ParameterTwice => "This link says something twice",
            Self::ParametersConflict => "This link contradicts itself",
            Self::ParameterOfOtherPipeline => "This link is for another kind of project",
            Self::ParameterValue => "This link says something impossible",
            Self::StartTooLate => "This link can no longer be started",
            Self::TokenMissing => "This link has no token",
            Self::TokenUnknown => "This link is not valid",
            Self::TokenExpired => "This link has expired",
            Self::TokenApproved => "You are already verified",
            Self::TokenPending => "Your verification is under review",
            Self::TokenRejected => "This verification was rejected",
            Self::SessionUnknown => "This session has ended",
        }
    }

    pub fn advice(self) -> &'static str {
        match self {
            Self::ProjectUnknown => "The address names a project that ARGOS does not know.",
            Self::ParametersUnreadable => {
                "What is encrypted in the link does not open with the key of the project."
            }
            Self::ParameterInTheOpen => "One of its parameters has effect only when encrypted.",
            Self::ParameterSealed => "The parameters pid and lang cannot be encrypted.",
            Self::ParameterTwice => "A parameter is both plain and encrypted.",
            Self::ParametersConflict => {
                "selectedIdType needs selectedIssuingCountry, and auxidField goes with neither."
            }
            Self::ParameterOfOtherPipeline => {
                "Documents and knowledge-based projects have parameters that the other has not."
            }
            Self::ParameterValue => {
                "A country is three capital letters, a time is in UTC and ends with Z, and the only \
                auxidField is phoneNumber."
            }
            Self::StartTooLate => "The link says until when it may be started.",
            Self::TokenMissing => "The project is private: its links carry a token.",
            Self::TokenUnknown => "The token was never registered, or it was deleted.",
            Self::TokenExpired => "A link can be entered for three minutes after its first use.",
            Self::TokenApproved => "A submission with this token was approved.",
            Self::TokenPending => "A submission with this token waits for a decision.",
            Self::TokenRejected => "Ask for a new link to try again.",
            Self::SessionUnknown => "Open your link again, or ask for a new one.",
        }
    }
}
