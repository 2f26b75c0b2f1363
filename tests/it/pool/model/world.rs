//! A pool, an ARGOS, and the judge between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use argospool::domain::{
    ids::{OrderId, Sequence, TokenId, TokenPrefix},
    order::Attempt,
    paging::Cursor,
    pause::Activity,
    pool::{
        Command, Effect, Granted, KeyCheck, ListingWanted, Policy, Pool, ReconcilePolicy, Refusal,
        Replacement, Reply, UnderWay, Wanted,
    },
    refill,
    submission::FactKind,
    time::Timestamp,
    token::{Doom, DoomCause, Holder, Stage},
};

use super::{
    super::{Desk, Told, records::Records, told, usual},
    Answer, Step,
    argos::{Argos, CAP, Call, Copy},
};

use crate::links::blank;

const RESERVE: u32 = 3;
const TARGET: u32 = 14;
const BATCH: u32 = 4;
/// Ids in one page of ARGOS's list.
const LIST_PAGE: usize = 5;
/// No call takes longer.
const CALL_SECONDS: u64 = 45;

type Key = (u8, u8);

pub struct World {
    desk: Desk,
    argos: Argos,
    /// Calls that have left, and when they end although nobody answers.
    out: Vec<(Timestamp, Call)>,
    under_way: UnderWay,
    copies: Vec<Copy>,
    /// Everybody who was shown a token, and what each request was given.
    shown: BTreeSet<TokenId>,
    given: BTreeMap<Key, Told>,
    /// The foreign ids that the process that runs has counted last.
    counted: usize,
    /// The same in the listing that goes on.
    listed: usize,
    backup: (Records, BTreeMap<Key, Told>),
    /// A ledger was replaced by an older one, which may have tokens ready that were deleted since.
    restored: bool,
    /// Ids that only a ledger knew that was lost.
    lost: BTreeSet<TokenId>,
    /// Ids that ARGOS lost.
    vanished: BTreeSet<TokenId>,
}

impl World {
    pub fn new() -> Self {
        let policy = Policy {
            refill: refill::Policy::try_new(TARGET, 5, BATCH, 3).unwrap(),
            prefix: TokenPrefix::parse("m").unwrap(),
            ephemeral: true,
            cap: u32::try_from(CAP).unwrap(),
            reserve: RESERVE,
            unused_age_max: Some(Duration::from_secs(4_000)),
            request_id_memory: Duration::from_secs(5_000),
            ttl_max: Duration::from_secs(900),
            reconcile: ReconcilePolicy { brake_min: 1, ..usual().reconcile },
            ..usual()
        };
        let desk = Desk::new(policy);
        let backup = (desk.records.clone(), BTreeMap::new());
        Self {
            desk,
            argos: Argos::default(),
            out: Vec::new(),
            under_way: UnderWay::default(),
            copies: Vec::new(),
            shown: BTreeSet::new(),
            given: BTreeMap::new(),
            counted: 0,
            listed: 0,
            backup,
            restored: false,
            lost: BTreeSet::new(),
            vanished: BTreeSet::new(),
        }
    }

    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Order => self.order(),
            Step::Trial => {
                let salt = self.desk.salt();
                // Refused where nothing may be ordered.
                let _ = self.desk.tell(&Command::Trial { salt, hindrance: None });
            }
            Step::Discard(which) => {
                let all: Vec<_> =
                    self.desk.pool.tokens_from(Sequence::ZERO).map(|it| it.sequence).collect();
                if let Some(sequence) = all.get(usize::from(*which) % all.len().max(1)) {
                    self.tell(&Command::Ripen { order: OrderId(*sequence) });
                    self.tell(&Command::Discard { sequence: *sequence });
                }
            }
            Step::Clear => {
                let sent = self.under_way.orders.clone();
                self.tell(&Command::Clear { sent });
            }
            Step::Call(which) => self.call(usize::from(*which)),
            Step::Answer(which, answer) => self.answer(usize::from(*which), *answer),
            Step::LateCopy(which) => self.late_copy(usize::from(*which)),
            Step::Lease { caller, request } => self.lease(*caller, &[*request]),
            Step::Batch { caller, requests } => self.lease(*caller, &requests.map(Some)),
            Step::Release(which) => {
                if let Some(sequence) = self.leased(*which) {
                    let release = Command::Release { sequence, owner: None, request: None };
                    let _ = self.desk.tell(&release);
                }
            }
            Step::Revoke(which) => {
                if let Some(sequence) = self.leased(*which) {
                    self.tell(&Command::Revoke { sequence, owner: None, request: None });
                }
            }
            Step::Replace { which, request } => self.replace(*which, *request),
            Step::Exhausted(which) => self.fact(*which, FactKind::Exhausted),
            Step::Expires(which, seconds) => {
                let at = self.desk.after(u64::from(*seconds));
                self.fact(*which, FactKind::Expires(at));
            }
            Step::List => {
                self.tell(&Command::WantListing { wanted: ListingWanted::default() });
            }
            Step::Vanish(which) => self.vanish(usize::from(*which)),
            Step::AcceptLoss => self.tell(&Command::AcceptLoss),
            Step::Started(which) => self.fact(*which, FactKind::Started),
            Step::Decided(which, decision) => self.fact(*which, FactKind::Decided(*decision)),
            Step::Pass(seconds) => self.pass(u64::from(*seconds)),
            Step::Sweep => self.tell(&Command::Sweep),
            Step::Forget => {
                self.tell(&Command::Forget);
                self.forget();
            }
            Step::Count => self.tell(&Command::WantCount),
            Step::Foreign(ids) => {
                self.argos.foreign = usize::from(*ids).min(CAP - self.argos.ours.len().min(CAP));
            }
            Step::Pause(activity) => {
                let (reason, by) = (String::new(), String::new());
                self.tell(&Command::Pause { activities: vec![*activity], reason, by });
            }
            Step::Resume => self.tell(&Command::Resume { activities: Activity::ALL.to_vec() }),
            Step::Reload => self.reload(),
            Step::Crash => self.crash(),
            Step::Backup => self.backup = (self.desk.records.clone(), self.given.clone()),
            Step::Restore => self.restore(),
        }
    }

    /// The promises, as anybody can see them from outside.
    pub fn judge(&self) {
        let Desk { pool, records, .. } = &self.desk;
        for token in pool.tokens_from(Sequence::ZERO) {
            let Stage::Ready { .. } = token.stage else { continue };
            assert!(!self.shown.contains(&token.id), "L2: a token that was shown is ready");
            let late = self.copies.iter().filter(|copy| copy.until >= self.desk.now);
            let late = late.flat_map(|copy| &copy.tokens).any(|id| *id == token.id);
            assert!(!late, "B3: a token is ready, and a copy of its order is on its way");
            let registered = self.argos.ours.contains(&token.id);
            let excused = self.restored || self.vanished.contains(&token.id);
            assert!(registered || excused, "B3: a token is ready, and not registered");
        }
        for token in pool.tokens_from(Sequence::ZERO) {
            let Stage::Doomed(Doom { cause: DoomCause::Vanished, .. }) = token.stage else {
                continue;
            };
            let there = self.argos.ours.contains(&token.id);
            assert!(!there || self.restored, "a token was doomed as vanished, and is there");
        }
        // J2: orders that were open when the records were read are in doubt in memory alone.
        let plain = |mut records: Records| {
            for order in records.orders.values_mut() {
                order.state = argospool::domain::order::OrderState::Settled { ripe: self.desk.now };
            }
            records
        };
        let seen = Records::of(pool, records.lines.clone());
        assert_eq!(plain(seen), plain(records.clone()), "J2: memory and records differ");
    }

    /// Every fault is gone, and ARGOS does what it is told.
    pub fn calm_down(&mut self) {
        self.argos.foreign = 0;
        self.tell(&Command::Resume { activities: Activity::ALL.to_vec() });
        for round in 0..400 {
            // A bell rings every five minutes: what was in doubt at a count was counted as foreign.
            if round % 15 == 0 {
                self.tell(&Command::WantCount);
            }
            if round % 40 == 0 {
                self.tell(&Command::WantListing { wanted: ListingWanted::default() });
            }
            self.tell(&Command::AcceptLoss);
            if self.desk.pool.key_check() == KeyCheck::Failed {
                // The last ready tokens may have vanished: whose key it is, a person must say.
                self.tell(&Command::Resume { activities: vec![Activity::Leasing] });
            }
            while !self.out.is_empty() {
                self.answer(0, Answer::Plain);
            }
            self.desk.sweep();
            self.order();
            for _ in 0..8 {
                self.call(0);
            }
            self.desk.wait(20);
            self.judge();
            let census = self.desk.pool.census();
            let lost = self.argos.ours.len() - self.known_over_there();
            let reachable = TARGET.min(u32::try_from(CAP - lost.min(CAP)).unwrap() / 2);
            let dead = self.desk.pool.tokens_from(Sequence::ZERO).any(|token| {
                let ready = matches!(token.stage, Stage::Ready { .. });
                ready && !self.argos.ours.contains(&token.id)
            });
            let stock = census.leasable() >= reachable.saturating_sub(BATCH);
            if stock && census.doomed == 0 && !dead {
                return;
            }
        }
        panic!("R1, C2: the pool never comes to rest: {:?}", self.desk.pool.census());
    }

    fn known_over_there(&self) -> usize {
        let pool = &self.desk.pool;
        let known = |id: &&TokenId| {
            pool.sequence_of(id).and_then(|at| pool.token(at)).is_some_and(|it| it.id == **id)
        };
        self.argos.ours.iter().filter(known).count()
    }

    fn tell(&mut self, command: &Command) {
        self.desk.tell(command).unwrap();
    }

    fn order(&mut self) {
        let orders = self.desk.pool.misfits(&self.under_way);
        self.tell(&Command::Withdraw { orders });
        let plan = self.desk.pool.plan(self.desk.now, None, 500);
        for _ in 0..plan.orders {
            self.desk.mint(plan.batch);
        }
    }

    fn call(&mut self, which: usize) {
        let effects = self.desk.pool.outstanding(self.desk.now, &self.under_way, 500);
        if effects.is_empty() {
            return;
        }
        let pool = &self.desk.pool;
        let call = match effects[which % effects.len()].clone() {
            Effect::Register { order } => {
                let tokens = pool.ids_of_order(order);
                self.check_registration(&tokens);
                assert!(self.under_way.orders.insert(order), "B3: two attempts at once");
                self.under_way.overlaps_count();
                Call::Register { order, tokens }
            }
            Effect::Delete { sequences } => {
                let tokens = pool.ids(&sequences);
                self.under_way.deletions.extend(&sequences);
                self.under_way.deletion_calls += 1;
                self.under_way.overlaps_count();
                Call::Delete { sequences, tokens }
            }
            Effect::Count => {
                self.under_way.begin_count();
                Call::Count
            }
            Effect::Find { sequence } => {
                self.under_way.finding = true;
                Call::Find { sequence, token: pool.token(sequence).unwrap().id.clone() }
            }
            // The usual policy asks nothing about leases.
            Effect::Survey { .. } | Effect::Ask { .. } => return,
            Effect::List { cursor } => {
                assert!(!self.under_way.listing, "two pages at once");
                self.under_way.listing = true;
                Call::List { after: cursor.map_or(String::new(), |cursor| cursor.id.clone()) }
            }
            Effect::DeleteForeign { .. } => unreachable!("no operator asked for it"),
        };
        self.out.push((self.desk.after(CALL_SECONDS), call));
    }

    fn check_registration(&self, tokens: &[TokenId]) {
        assert!(!tokens.is_empty(), "B1: an empty registration");
        for token in tokens {
            let sequence = self.desk.pool.sequence_of(token).expect("B2: an id is written down");
            let stage = &self.desk.records.tokens[&sequence].stage;
            assert!(matches!(stage, Stage::Minted { .. }), "B1: {stage:?} is registered");
            assert!(!self.shown.contains(token), "B1: a token that was shown is registered");
        }
        // C1: whatever may be over there, and this, and the others' ids as last counted.
        let mut over_there = self.argos.ours.clone();
        over_there.extend(tokens.iter().cloned());
        for (_, call) in &self.out {
            match call {
                Call::Register { tokens, .. } => over_there.extend(tokens.iter().cloned()),
                Call::Delete { .. } | Call::Count | Call::Find { .. } | Call::List { .. } => (),
            }
        }
        let copies = self.copies.iter().filter(|copy| copy.until >= self.desk.now);
        over_there.extend(copies.flat_map(|copy| copy.tokens.iter().cloned()));
        over_there.retain(|id| !self.lost.contains(id));
        let total = over_there.len() + self.counted + RESERVE as usize;
        assert!(total <= CAP, "C1: {total} of {CAP} with this registration");
    }

    /// A registration reaches ARGOS. False: there was no room for all of it.
    fn arrive(&mut self, tokens: &[TokenId]) -> bool {
        for token in tokens.iter().filter(|id| !self.lost.contains(*id)) {
            let sequence = self.desk.pool.sequence_of(token).expect("B2: an id is written down");
            let stage = self.desk.pool.token(sequence).map(|token| &token.stage);
            let harmless = match stage {
                Some(Stage::Minted { .. } | Stage::Doomed(_)) => true,
                Some(Stage::Leased(lease)) => lease.holder == Holder::Presumed,
                Some(Stage::Ready { .. }) | None => false,
            };
            assert!(harmless, "B3: a registration arrives of an id that is {stage:?}");
        }
        self.argos.register(tokens)
    }

    fn answer(&mut self, which: usize, answer: Answer) {
        if self.out.is_empty() {
            return;
        }
        let (_, call) = self.out.remove(which % self.out.len());
        let policy = self.desk.pool.policy();
        let (late, settle) = (policy.late_copy_delay, policy.settle_delay);
        match call.clone() {
            Call::Register { order, tokens } => {
                let attempt = match answer {
                    Answer::Plain if self.arrive(&tokens) => Attempt::Settled,
                    Answer::Plain => Attempt::CapReached,
                    Answer::LostAfter => {
                        self.arrive(&tokens);
                        Attempt::Unanswered
                    }
                    Answer::LostBefore => Attempt::Unanswered,
                    Answer::Half => {
                        self.arrive(&tokens[..tokens.len() / 2]);
                        Attempt::Unclear
                    }
                    Answer::Turned(attempt) => attempt,
                };
                let span = match attempt {
                    Attempt::Unanswered => late,
                    Attempt::Settled | Attempt::CapReached | Attempt::Unclear => settle,
                    Attempt::Refused | Attempt::TooMany => Duration::ZERO,
                };
                self.copies.extend(Copy::of(&call, self.desk.now, span));
                self.under_way.orders.remove(&order);
                self.desk.attempt(order, attempt);
            }
            Call::Delete { sequences, tokens } => {
                if !matches!(answer, Answer::LostBefore | Answer::Turned(_)) {
                    self.argos.delete(&tokens);
                }
                self.under_way.deletion_calls -= 1;
                sequences.iter().for_each(|at| {
                    self.under_way.deletions.remove(at);
                });
                let done = matches!(answer, Answer::Plain);
                let lines = Vec::new();
                self.tell(&Command::Deleted { sequences, done, lines });
            }
            Call::Count => {
                let overlapped = self.under_way.end_count();
                let tokens = matches!(answer, Answer::Plain).then(|| self.argos.count());
                if tokens.is_some() && !overlapped {
                    self.counted = self.argos.foreign;
                }
                self.tell(&Command::Counted { tokens, overlapped });
            }
            Call::List { after } => {
                self.under_way.listing = false;
                if !matches!(answer, Answer::Plain | Answer::Half) {
                    return;
                }
                let page = self.argos.list(&after, LIST_PAGE);
                let foreign = page.iter().filter(|id| Argos::is_foreign(id)).count();
                self.listed = foreign + if after.is_empty() { 0 } else { self.listed };
                let last = page.last().filter(|_| page.len() == LIST_PAGE);
                let next =
                    last.map(|last| Cursor { id: last.expose().into(), time: String::new() });
                if next.is_none() {
                    self.counted = self.listed;
                }
                self.tell(&Command::Listed { tokens: page, unreadable: 0, next });
            }
            Call::Find { sequence, token } => {
                self.under_way.finding = false;
                let found = self.argos.ours.contains(&token);
                let found = matches!(answer, Answer::Plain).then_some(found);
                self.tell(&Command::KeyChecked { sequence, found });
            }
        }
    }

    /// Calls that are not answered meanwhile end unanswered, each at its time.
    fn pass(&mut self, seconds: u64) {
        let end = self.desk.after(seconds);
        while let Some((which, (at, _))) = self.out.iter().enumerate().min_by_key(|(_, out)| out.0)
            && *at <= end
        {
            self.desk.now = *at;
            self.answer(which, Answer::LostBefore);
        }
        self.desk.now = end;
    }

    fn late_copy(&mut self, which: usize) {
        let now = self.desk.now;
        self.copies.retain(|copy| copy.until >= now);
        if self.copies.is_empty() {
            return;
        }
        let copy = self.copies.remove(which % self.copies.len());
        self.arrive(&copy.tokens);
    }

    fn lease(&mut self, caller: u8, requests: &[Option<u8>]) {
        self.forget();
        let owner = format!("uid:{caller}");
        let wish = |request: &Option<u8>| self.desk.wish(&owner, request.map(u128::from));
        let wanted: Vec<Wanted> = requests.iter().map(wish).collect();
        let granted = match self.desk.take(wanted) {
            Ok(granted) => granted,
            Err(refusal) => {
                let turned = [Refusal::Empty, Refusal::Paused, Refusal::Halted];
                assert!(turned.contains(&refusal), "{refusal:?}");
                return;
            }
        };
        for (request, granted) in requests.iter().zip(&granted) {
            let known = request.and_then(|request| self.given.get(&(caller, request)));
            match (granted, known) {
                (Granted::Past(sequence), known) => {
                    let known = known.expect("L3: an unknown request is no past one");
                    assert_eq!(*sequence, known.sequence, "L3");
                }
                (Granted::Open { sequence, .. }, Some(known)) => {
                    assert_eq!(told(granted).token, known.token, "L3: another token");
                    assert_eq!(*sequence, known.sequence, "L3");
                    assert_eq!(told(granted).lease.holder, known.lease.holder, "L3: another URL");
                }
                (Granted::Open { token, .. }, None) => {
                    assert!(self.shown.insert(token.clone()), "L1: a token was given twice");
                    assert_eq!(TokenId::parse(token.expose()).as_ref(), Ok(token), "U1");
                    if let Some(request) = request {
                        self.given.insert((caller, *request), told(granted));
                    }
                }
            }
        }
    }

    fn replace(&mut self, which: u8, request: u8) {
        let Some(sequence) = self.leased(which) else { return };
        let (_, lease) = self.desk.pool.lease(sequence).unwrap();
        let Holder::Caller { grant, .. } = &lease.holder else { return };
        let owner = grant.owner.clone();
        let key = (owner.as_str().as_bytes()[4] - b'0', request);
        // Another target under the same id is another wish.
        let wish = sequence.get().to_be_bytes();
        let request = Some(self.desk.request(&owner, u128::from(request), &wish));
        let ttl = Duration::from_secs(600);
        let replacement = Replacement { ttl, blank: blank() };
        let replace = Command::Replace { sequence, owner: Some(owner), request, replacement };
        let Ok(Reply::Leases(granted)) = self.desk.tell(&replace) else { return };
        let new = told(&granted[0]);
        match self.given.get(&key) {
            Some(known) => assert_eq!(known.token, new.token, "L3: another token"),
            None => {
                assert!(self.shown.insert(new.token.clone()), "L1: a token was given twice");
                assert!(self.desk.pool.lease(sequence).is_none(), "the first one is over");
            }
        }
    }

    fn vanish(&mut self, which: usize) {
        let Some(token) = self.argos.ours.iter().nth(which).cloned() else { return };
        self.argos.ours.remove(&token);
        self.vanished.insert(token);
    }

    /// What the pool does not remember must be long past; the world forgets it as well.
    fn forget(&mut self) {
        let (desk, now) = (&self.desk, self.desk.now);
        let memory = desk.pool.policy().request_id_memory;
        self.given.retain(|(caller, request), told| {
            let wish = desk.wish(&format!("uid:{caller}"), Some(u128::from(*request)));
            let known = desk.remembers(&wish);
            let line = desk.records.lines.get(&told.sequence);
            assert!(
                known || line.is_some_and(|line| now.since(line.closed) > memory),
                "L3: a request is forgotten too early"
            );
            known
        });
    }

    fn leased(&self, which: u8) -> Option<Sequence> {
        let leased: Vec<_> = self.desk.pool.tokens_from(Sequence::ZERO).collect();
        let leased: Vec<_> =
            leased.iter().filter(|it| matches!(it.stage, Stage::Leased(_))).collect();
        (!leased.is_empty()).then(|| leased[usize::from(which) % leased.len()].sequence)
    }

    /// Mostly about open leases, and sometimes about a token that nobody should have.
    fn fact(&mut self, which: u8, kind: FactKind) {
        if which < 250
            && let Some(sequence) = self.leased(which)
        {
            self.desk.fact(sequence, kind);
        } else if which >= 250 {
            let all: Vec<_> =
                self.desk.pool.tokens_from(Sequence::ZERO).map(|it| it.sequence).collect();
            if let Some(sequence) = all.get(usize::from(which) % all.len().max(1)) {
                let token = self.desk.pool.token(*sequence).unwrap().id.clone();
                if self.desk.fact(*sequence, kind) {
                    self.shown.insert(token);
                }
            }
        }
    }

    fn reload(&mut self) {
        let before = self.desk.pool.clone();
        self.desk.reopen();
        self.desk.pool.keep_knowledge_of(&before);
        self.forget();
    }

    fn crash(&mut self) {
        let late = self.desk.pool.policy().late_copy_delay;
        for (_, call) in self.out.drain(..) {
            self.copies.extend(Copy::of(&call, self.desk.now, late));
        }
        self.under_way = UnderWay::default();
        self.counted = 0;
        self.desk.reopen();
        self.forget();
    }

    fn restore(&mut self) {
        let shown_below = self.desk.pool.granted();
        let policy = self.desk.pool.policy().clone();
        let seal = self.desk.pool.seal().clone();
        self.crash();
        self.restored = true;
        let (records, given) = self.backup.clone();
        let mut over_there = self.argos.ours.clone();
        over_there.extend(self.copies.iter().flat_map(|copy| copy.tokens.iter().cloned()));
        let kept: BTreeSet<_> = records.tokens.values().map(|token| token.id.clone()).collect();
        self.lost.extend(over_there.difference(&kept).cloned());
        (self.desk.records, self.given) = (records, given);
        let after = self.desk.remember_after();
        let restored = self.desk.records.restored_below(shown_below, after);
        self.desk.pool = Pool::open(policy, seal, restored, self.desk.now);
        self.desk.records.next = self.desk.pool.next();
        self.desk.records.granted = self.desk.pool.granted();
        let suspect = Command::Suspect { below: shown_below };
        while !self.desk.pool.decide(&suspect, self.desk.now).unwrap().events.is_empty() {
            self.tell(&suspect);
        }
        self.forget();
    }
}
