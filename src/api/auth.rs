//! Who asks, and what they may do (P2).
//!
//! Identity comes from the connection alone, never from a field of a request: the user on the other
//! end of the unix socket, or a bearer token. While no caller is configured everybody on loopback and
//! on the socket is admin; but nobody is shown another's token or URL for that.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use tonic::{
    Extensions,
    metadata::MetadataMap,
    transport::server::{TcpConnectInfo, UdsConnectInfo},
};

use super::quota::Quota;
use crate::{
    domain::{
        fault::Reason,
        ids::{Malformed, Owner, ProjectName},
        secret::Secret,
    },
    engine::Rejection,
};

/// Who may ask. Empty: everybody on loopback and on the unix socket is admin.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub callers: Vec<CallerAccess>,
}

/// One configured caller.
#[derive(Clone, Debug)]
pub struct CallerAccess {
    pub name: String,
    pub proof: Proof,
    pub admin: bool,
    /// Names of the projects it may use.
    pub projects: Vec<String>,
    /// `None`: no limit.
    pub leases_per_minute: Option<u32>,
}

/// What a caller shows to be believed.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Sent as `authorization: Bearer …`.
    Bearer(Secret),
    /// The user on the other end of the unix socket.
    Uid(u32),
}

/// A caller whose name makes no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of caller {name:?} cannot be used")]
pub struct InvalidAccess {
    name: String,
    source: Malformed,
}

/// Tells callers apart.
pub(super) struct Gate {
    known: Vec<Known>,
    anonymous: Owner,
}

struct Known {
    /// Of the bearer token; tokens of any length are compared in the same time.
    hash: Option<[u8; 32]>,
    uid: Option<u32>,
    caller: Caller,
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    owner: Owner,
    /// Somebody vouches for the name: the kernel, or the holder of a secret.
    verified: bool,
    admin: bool,
    /// Admin by the configuration's word, and not because there is nobody else.
    appointed: bool,
    /// `None`: all of them.
    projects: Option<Arc<[String]>>,
    quota: Option<Arc<Quota>>,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Unix { uid: Option<u32> },
    Tcp { loopback: bool },
}

impl Gate {
    pub(super) fn new(access: Access) -> Result<Self, InvalidAccess> {
        let known = access.callers.into_iter().map(Known::new).collect::<Result<_, _>>()?;
        let anonymous = Owner::parse("anonymous").expect("a name of nine bytes");
        Ok(Self { known, anonymous })
    }

    /// Who sent a request with these extensions and headers.
    pub(super) fn identify(
        &self,
        extensions: &Extensions,
        metadata: &MetadataMap,
    ) -> Result<Caller, Rejection> {
        let authorization = metadata.get("authorization").map(|value| value.as_bytes());
        self.judge(peer(extensions), authorization)
    }

    fn judge(&self, peer: Peer, authorization: Option<&[u8]>) -> Result<Caller, Rejection> {
        if self.known.is_empty() {
            return Ok(self.unconfigured(peer));
        }
        if let Some(header) = authorization {
            let bearer = header
                .split_at_checked(7)
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
                .and_then(|(_, token)| self.by_token(token.trim_ascii()));
            return bearer.cloned().ok_or_else(unknown);
        }
        let Peer::Unix { uid: Some(uid) } = peer else {
            let message = "no identity: send \"authorization: Bearer <token>\", or use the unix \
                           socket as a configured user";
            return Err(Rejection::new(Reason::IdentityMissing, message));
        };
        let known = self.known.iter().find(|known| known.uid == Some(uid));
        known.map(|known| known.caller.clone()).ok_or_else(unknown)
    }

    /// Looks at every caller, found or not, so that time tells nothing.
    fn by_token(&self, token: &[u8]) -> Option<&Caller> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.known {
            if let Some(expected) = &known.hash
                && bool::from(expected.ct_eq(&hash))
            {
                found = Some(&known.caller);
            }
        }
        found
    }

    fn unconfigured(&self, peer: Peer) -> Caller {
        let (owner, verified, admin) = match peer {
            Peer::Unix { uid: Some(uid) } => (owner_of(uid), true, true),
            Peer::Unix { uid: None } => (self.anonymous.clone(), false, true),
            Peer::Tcp { loopback } => (self.anonymous.clone(), false, loopback),
        };
        Caller { owner, verified, admin, appointed: false, projects: None, quota: None }
    }
}

impl Known {
    fn new(access: CallerAccess) -> Result<Self, InvalidAccess> {
        let CallerAccess { name, proof, admin, projects, leases_per_minute } = access;
        let (hash, uid, owner) = match &proof {
            Proof::Bearer(token) => {
                let hash = Sha256::digest(token.expose().as_bytes()).into();
                let owner = Owner::parse(&format!("token:{name}"))
                    .map_err(|source| InvalidAccess { name, source })?;
                (Some(hash), None, owner)
            }
            Proof::Uid(uid) => (None, Some(*uid), owner_of(*uid)),
        };
        let quota = leases_per_minute.map(|most| Arc::new(Quota::new(most, Instant::now())));
        let projects = Some(projects.into());
        let caller = Caller { owner, verified: true, admin, appointed: admin, projects, quota };
        Ok(Self { hash, uid, caller })
    }
}

impl Caller {
    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn is_admin(&self) -> bool {
        self.admin
    }

    pub(super) fn must_be_admin(&self) -> Result<(), Rejection> {
        if self.admin {
            return Ok(());
        }
        Err(Rejection::new(Reason::NotAllowed, "this needs the role admin"))
    }

    pub(super) fn uses(&self, project: &ProjectName) -> bool {
        self.projects
            .as_ref()
            .is_none_or(|projects| projects.iter().any(|name| name == project.as_str()))
    }

    pub(super) fn must_use(&self, project: &ProjectName) -> Result<(), Rejection> {
        if self.uses(project) {
            return Ok(());
        }
        Err(Rejection::new(Reason::NotAllowed, "this caller may not use the project"))
    }

    /// Whether it may know of this owner's leases; `None` owns those that were presumed.
    pub(super) fn sees(&self, owner: Option<&Owner>) -> bool {
        self.admin || owner == Some(&self.owner)
    }

    /// Whether a read shows it the token and the URL of this owner's lease.
    pub(super) fn is_shown(&self, owner: Option<&Owner>) -> bool {
        self.appointed || (self.verified && owner == Some(&self.owner))
    }

    /// Takes `leases` from the caller's quota.
    pub(super) fn spend(&self, leases: u32) -> Result<(), Rejection> {
        self.quota.as_ref().map_or(Ok(()), |quota| quota.spend(leases, Instant::now()))
    }
}

fn peer(extensions: &Extensions) -> Peer {
    if let Some(unix) = extensions.get::<UdsConnectInfo>() {
        return Peer::Unix { uid: unix.peer_cred.map(|cred| cred.uid()) };
    }
    let remote = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    Peer::Tcp { loopback: remote.is_some_and(|addr| addr.ip().to_canonical().is_loopback()) }
}

fn owner_of(uid: u32) -> Owner {
    Owner::parse(&format!("uid:{uid}")).expect("a number of at most ten digits")
}

fn unknown() -> Rejection {
    Rejection::new(Reason::IdentityUnknown, "this identity is not configured in [callers]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let caller = |name: &str, proof, admin| CallerAccess {
            name: name.to_owned(),
            proof,
            admin,
            projects: vec!["default".to_owned()],
            leases_per_minute: None,
        };
        let bearer = |text: &str| Proof::Bearer(Secret::new(text.to_owned()));
        let callers = vec![
            caller("web", bearer("web-secret"), false),
            caller("ops", bearer("ops-secret"), true),
            caller("batch", Proof::Uid(1000), false),
        ];
        Gate::new(Access { callers }).unwrap()
    }

    const LOOPBACK: Peer = Peer::Tcp { loopback: true };

    #[test]
    fn a_bearer_token_names_its_caller() {
        let caller = gate().judge(LOOPBACK, Some(b"Bearer web-secret")).unwrap();
        assert_eq!(caller.owner().as_str(), "token:web");
        assert!(caller.must_be_admin().is_err());
        let caller = gate().judge(LOOPBACK, Some(b"bearer ops-secret")).unwrap();
        assert!(caller.must_be_admin().is_ok());
    }

    #[test]
    fn the_socket_names_its_user() {
        let caller = gate().judge(Peer::Unix { uid: Some(1000) }, None).unwrap();
        assert_eq!(caller.owner().as_str(), "uid:1000");
        let stranger = gate().judge(Peer::Unix { uid: Some(1001) }, None).unwrap_err();
        assert_eq!(stranger.reason, Reason::IdentityUnknown);
    }

    #[test]
    fn a_wrong_token_is_not_saved_by_the_socket() {
        for header in [&b"Bearer wrong"[..], b"Basic web-secret", b"Bearer", b"Bearer "] {
            let refused = gate().judge(Peer::Unix { uid: Some(1000) }, Some(header)).unwrap_err();
            assert_eq!(refused.reason, Reason::IdentityUnknown);
        }
    }

    #[test]
    fn with_callers_configured_nobody_is_anonymous() {
        let refused = gate().judge(LOOPBACK, None).unwrap_err();
        assert_eq!(refused.reason, Reason::IdentityMissing);
    }

    #[test]
    fn without_callers_everybody_near_is_admin_and_nobody_far() {
        let gate = Gate::new(Access::default()).unwrap();
        assert!(gate.judge(LOOPBACK, None).unwrap().is_admin());
        assert!(gate.judge(Peer::Unix { uid: Some(7) }, None).unwrap().is_admin());
        assert!(!gate.judge(Peer::Tcp { loopback: false }, None).unwrap().is_admin());
    }

    #[test]
    fn an_admin_for_want_of_others_is_not_shown_what_belongs_to_others() {
        let gate = Gate::new(Access::default()).unwrap();
        let anonymous = gate.judge(LOOPBACK, None).unwrap();
        assert!(anonymous.sees(Some(anonymous.owner())));
        assert!(!anonymous.is_shown(Some(anonymous.owner())));
        let seven = gate.judge(Peer::Unix { uid: Some(7) }, None).unwrap();
        assert!(seven.is_shown(Some(seven.owner())));
        assert!(!seven.is_shown(Some(&owner_of(8))));
        assert!(seven.sees(Some(&owner_of(8))));
    }

    #[test]
    fn an_appointed_admin_is_shown_everything_of_its_projects() {
        let ops = gate().judge(LOOPBACK, Some(b"Bearer ops-secret")).unwrap();
        assert!(ops.is_shown(Some(&owner_of(8))) && ops.is_shown(None));
        assert!(ops.must_use(&ProjectName::parse("default").unwrap()).is_ok());
        let other = ProjectName::parse("other").unwrap();
        assert_eq!(ops.must_use(&other).unwrap_err().reason, Reason::NotAllowed);
    }

    #[test]
    fn a_caller_sees_its_own_leases_only() {
        let web = gate().judge(LOOPBACK, Some(b"Bearer web-secret")).unwrap();
        assert!(web.sees(Some(web.owner())) && web.is_shown(Some(web.owner())));
        assert!(!web.sees(Some(&owner_of(1000))) && !web.sees(None));
    }
}
