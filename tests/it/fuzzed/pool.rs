//! A small pool to tell things to: four open leases, a Ready token, and one that is being deleted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use argospool::domain::{
    ids::{Owner, Revision, Sequence, TokenId, TokenPrefix},
    pool::{Bound, Command, Heard, Policy, Pool, ReconcilePolicy, Refusal, Reply, Restored},
    refill,
    seal::{LedgerIdentity, Seal},
    submission::{Report, Submissions},
    time::Timestamp,
    token::{
        ClosedLease, Doom, DoomCause, Ending, Grant, Holder, Labels, Lease, Stage, Started, Token,
    },
};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub const LEASED: u64 = 4;
const READY: u64 = 4;
const DOOMED: u64 = 5;
const TOKENS: u64 = 6;

/// A pool, the lines of history that it wrote, and its time.
pub struct Told {
    pub pool: Pool,
    pub now: Timestamp,
    lines: BTreeMap<Sequence, ClosedLease>,
}

impl Told {
    pub fn new() -> Self {
        let (seal, sequence) = (seal(), Sequence::new);
        let token = |number, stage| Token {
            sequence: sequence(number),
            id: token_id(&seal, number),
            minted: NOW.minus(Duration::from_secs(3_600)),
            revision: Revision(1),
            stage,
        };
        let stage = |number| match number {
            READY => Stage::Ready { since: NOW.minus(Duration::from_secs(3_500)) },
            DOOMED => Stage::Doomed(Doom::new(DoomCause::LeaseClosed, NOW, NOW)),
            number => Stage::Leased(Arc::new(lease(number))),
        };
        let restored = Restored {
            revision: Revision(1),
            next: sequence(TOKENS),
            granted: sequence(TOKENS),
            tokens: (0..TOKENS).map(|number| token(number, stage(number))).collect(),
            ..Restored::default()
        };
        let pool = Pool::open(policy(), seal, restored, NOW);
        assert_eq!(pool.audit(), [], "before anything was told");
        Self { pool, now: NOW, lines: BTreeMap::new() }
    }

    /// What ARGOS told goes to whom it is about, as the engine has it.
    pub fn hear(&mut self, report: &Report) -> Option<(Sequence, Heard)> {
        match self.pool.bind(report) {
            Bound::To(sequence) => {
                let line = self.lines.get(&sequence).cloned().map(Arc::new);
                let fact = report.fact.clone();
                let reply = self.decide(&Command::Fact { sequence, fact, line });
                let Ok(Reply::Fact(heard)) = reply else { panic!("a fact was answered {reply:?}") };
                Some((sequence, heard))
            }
            Bound::Ask(submission) | Bound::Perhaps(_, submission) => {
                self.decide(&Command::Ask { submission }).unwrap();
                None
            }
            Bound::Foreign | Bound::Unnamed => None,
        }
    }

    /// Lets a time pass in which sessions end, and does what is due.
    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        for _ in 0..100 {
            if !self.pool.sweep_due(self.now) {
                return;
            }
            self.decide(&Command::Sweep).unwrap();
        }
        panic!("a sweep never ends");
    }

    /// What is known of a lease, be it open or closed.
    pub fn known(&self, number: u64) -> Known {
        let sequence = Sequence::new(number);
        match (self.pool.lease(sequence), self.lines.get(&sequence)) {
            (Some((_, lease)), _) => Known {
                started: lease.started,
                submissions: lease.submissions.clone(),
                ending: None,
            },
            (None, Some(line)) => Known {
                started: line.started,
                submissions: line.submissions.clone(),
                ending: Some(line.ending),
            },
            (None, None) => panic!("the lease under {number} is lost (L1)"),
        }
    }

    fn decide(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let verdict = self.pool.decide(command, self.now)?;
        for event in &verdict.events {
            self.pool.apply(event);
        }
        let changes = self.pool.take_changes();
        self.lines.extend(changes.lines.into_iter().map(|line| (line.sequence, line)));
        assert_eq!(self.pool.audit(), [], "after {command:?}");
        Ok(verdict.reply)
    }
}

/// What was told of a lease.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub started: Option<Started>,
    pub submissions: Submissions,
    pub ending: Option<Ending>,
}

pub fn seal() -> Seal {
    Seal::new(&LedgerIdentity { id: 1, tag: [1; 4], id_key: [2; 16], digest_key: [3; 32] })
}

pub fn token_id(seal: &Seal, number: u64) -> TokenId {
    let prefix = TokenPrefix::parse("ap-").unwrap();
    seal.token_id(&prefix, Sequence::new(number), [7; 5])
}

fn lease(number: u64) -> Lease {
    Lease {
        issued: NOW.minus(Duration::from_secs(60)),
        deadline: NOW.plus(Duration::from_secs(600)),
        expires: None,
        started: None,
        submissions: Submissions::default(),
        vanished: None,
        replaces: None,
        correlated: number.is_multiple_of(2),
        holder: Holder::Caller {
            grant: Grant {
                owner: Owner::parse("uid:1").unwrap(),
                request: None,
                labels: Labels::new(),
            },
            url: "https://form.example?pid=pid_test".into(),
            sealed: Box::default(),
        },
    }
}

fn policy() -> Policy {
    Policy {
        refill: refill::Policy::try_new(500, 100, 500, 4).unwrap(),
        prefix: TokenPrefix::parse("ap-").unwrap(),
        ephemeral: false,
        cap: 100_000,
        reserve: 0,
        settle_delay: Duration::from_secs(3),
        late_copy_delay: Duration::from_secs(120),
        unused_age_max: None,
        entry_window: Duration::from_secs(180),
        session_max: Duration::from_secs(1_800),
        decided_grace: Duration::from_secs(120),
        lapsed_grace: Duration::from_secs(1_200),
        revoked_grace: Duration::ZERO,
        overdue_after: Some(Duration::from_secs(600)),
        reconcile: ReconcilePolicy {
            listing_gap: Duration::from_secs(600),
            brake_ratio: 0.05,
            brake_min: 20,
        },
        delete_tries_max: 6,
        cap_pause: Duration::from_secs(120),
        ttl_max: Duration::from_secs(86_400),
        request_id_memory: Duration::from_secs(86_400),
    }
}
