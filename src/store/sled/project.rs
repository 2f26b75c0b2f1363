//! One project inside a volume: its trees, what is not folded yet, and its witness.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::Arc,
};

use prost::Message;
use sled::Tree;

use super::{
    Settings,
    database::{Database, choices, put},
    fold::Folding,
    group::{self, Parts},
    history::{self, Fault, Shelf},
    witness::{self, Claim, Found, Witness},
};
use crate::{
    domain::{
        ids::{ProjectName, Revision},
        order::Order,
        seal::LedgerIdentity,
        time::Timestamp,
        token::Token,
    },
    port::{LedgerError, Opened, Opening, Resumable},
    store::record::{
        FORMAT_VERSION, GroupRecord, HeadRecord, MarkRecord, OrderRecord, RecordError,
        TokenBlockRecord, TokenRecord, sequence,
    },
};

const HEAD: &[u8] = b"head";
/// sled takes a file that it cannot read at all for an empty one.
pub(super) const EMPTIED: &str = "it is empty, and its witness has seen one that was not";

pub(super) struct Project {
    pub name: ProjectName,
    pub trees: Trees,
    pub shelf: Arc<Shelf>,
    /// The newest state; what is on disk may lag behind it by the groups that are not folded.
    pub head: HeadRecord,
    pub backlog: Backlog,
    pub folding: Option<Folding>,
    /// Whether the holder of the present epoch may commit.
    owned: bool,
    witness: Option<Witness>,
    last_group: u64,
}

pub(super) struct Trees {
    head: Tree,
    pub groups: Tree,
    pub tokens: Tree,
    pub orders: Tree,
}

/// What was committed and is not in the blocks yet. `None`: it went.
#[derive(Default)]
pub(super) struct Backlog {
    /// Groups and how many parts they have.
    pub groups: BTreeMap<u64, u32>,
    pub tokens: BTreeMap<u64, Option<TokenRecord>>,
    pub orders: BTreeMap<u64, Option<OrderRecord>>,
}

impl Project {
    /// Reads the head and the groups. A group that lacks a part at the end was never acknowledged
    /// and goes; anything else that is missing is damage.
    pub(super) fn load(
        database: &Database,
        name: &ProjectName,
        shelf: Arc<Shelf>,
    ) -> Result<Self, Fault> {
        let tree = |part: &str| database.tree(&format!("{name}/{part}"));
        let trees = Trees {
            head: tree("head")?,
            groups: tree("groups")?,
            tokens: tree("tokens")?,
            orders: tree("orders")?,
        };
        let history = history::Trees { lines: tree("lines")?, spans: tree("spans")? };
        let head = match trees.head.get(HEAD)? {
            Some(value) => HeadRecord::decode(&*value)?,
            None => HeadRecord::default(),
        };
        let mut project = Self {
            name: name.clone(),
            last_group: head.folded,
            trees,
            shelf,
            head,
            backlog: Backlog::default(),
            folding: None,
            owned: false,
            witness: None,
        };
        project.shelf.attach(history, project.resumable());
        // A newer format is refused at open, by name; its groups are not for us to read.
        if project.head.format <= FORMAT_VERSION {
            project.replay()?;
        }
        Ok(project)
    }

    /// Takes the ledger over for a new owner.
    pub(super) fn open(
        &mut self,
        database: &Database,
        settings: &Settings,
        boot: u128,
        opening: &Opening,
    ) -> Result<Opened, LedgerError> {
        self.owned = false;
        let testimony = witness::path(settings, &self.name);
        let found = witness::read(&testimony).map_err(unreadable)?;
        let fresh = self.head.format == 0;
        if fresh {
            self.establish(&found, opening).map_err(|reason| unusable(settings, &reason))?;
        }
        self.check(settings, &opening.pid)?;
        let damaged = |fault: Fault| unusable(settings, &fault.to_string());
        let identity = self.identity().map_err(|error| damaged(error.into()))?;
        let mut opened = self.read(opening.remember_after, identity).map_err(damaged)?;

        let mut mark = self.mark();
        let mut claim = self.claim(opened.identity.id, boot);
        let suspect_below = if fresh { None } else { found.suspect_below(&claim) };
        // Lease ids follow from sequences: what a lost past has minted is never minted again.
        claim.next = found.next(&claim);
        mark.next = claim.next;
        self.head.mark = Some(mark);
        claim.epoch = if fresh { 1 } else { found.epoch(&claim, opening.remember_after) };
        self.head.epoch = claim.epoch;
        if suspect_below.is_some() {
            self.head.suspect_epoch = claim.epoch;
        }
        self.put_head(self.head.folded)
            .map_err(io::Error::from)
            .and_then(|()| database.persist(settings))
            .map_err(unreadable)?;
        // After the head: a witness without a ledger would be taken for a ledger that was lost.
        let witness = Witness::begin(settings, &testimony, &claim, suspect_below);
        self.witness = Some(witness.map_err(unreadable)?);
        self.shelf.announce(self.resumable());
        self.owned = true;

        let name = |number| sequence(number).map_err(|error| damaged(error.into()));
        opened.epoch = self.head.epoch;
        opened.next = name(claim.next)?;
        opened.suspect_below = suspect_below.map(name).transpose()?;
        Ok(opened)
    }

    /// How far the ledger itself says that it came.
    pub(super) fn claim(&self, ledger: u128, boot: u128) -> Claim {
        let MarkRecord { revision, next, granted, .. } = self.mark();
        Claim { ledger, boot, epoch: self.head.epoch, revision, next, granted }
    }

    /// Whether the holder of an epoch may write (J3).
    pub(super) fn admit(&self, epoch: u64) -> Result<(), LedgerError> {
        if self.head.epoch != epoch {
            return Err(LedgerError::Fenced);
        }
        if !self.owned {
            return Err(LedgerError::Refused("the ledger must be opened again".into()));
        }
        Ok(())
    }

    /// Ends the ownership without a successor: only `open` helps.
    pub(super) fn disown(&mut self) {
        self.owned = false;
    }

    /// Before a commit that leases up to `granted`.
    pub(super) fn allow(&mut self, settings: &Settings, granted: u64) -> io::Result<()> {
        self.witness.as_mut().map_or(Ok(()), |witness| witness.allow(settings, granted))
    }

    /// Hands the parts to sled. They are durable once the database is persisted.
    pub(super) fn insert(&mut self, parts: &mut Parts) -> sled::Result<()> {
        self.last_group += 1;
        parts.number = self.last_group;
        for (part, value) in (0..).zip(parts.values.drain(..)) {
            put(&self.trees.groups, &group::key(parts.number, part), value)?;
        }
        Ok(())
    }

    /// After the commit is durable, before it is answered: what readers and the witness must know.
    pub(super) fn confirm(&mut self, parts: &mut Parts) -> io::Result<()> {
        for part in &mut parts.records {
            self.shelf.absorb(std::mem::take(&mut part.lines));
        }
        let MarkRecord { revision, next, .. } = parts.mark;
        self.witness.as_mut().map_or(Ok(()), |witness| witness.note(revision, next))
    }

    /// After the answer.
    pub(super) fn absorb(&mut self, parts: Parts) {
        self.head.mark = Some(parts.mark);
        self.take_in(parts.number, parts.records);
    }

    /// Lets go of the trees; the witness waits for the database to be closed.
    pub(super) fn into_witness(self) -> Option<Witness> {
        self.witness
    }

    pub(super) fn put_head(&mut self, folded: u64) -> sled::Result<()> {
        self.head.folded = folded;
        put(&self.trees.head, HEAD, self.head.encode_to_vec())
    }

    pub(super) fn resumable(&self) -> Resumable {
        Resumable { epoch: self.head.suspect_epoch, revision: Revision(self.head.dropped) }
    }

    pub(super) fn last_group(&self) -> u64 {
        self.last_group
    }

    /// [`Timestamp::ZERO`] before the first commit.
    pub(super) fn committed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.mark().at)
    }

    pub(super) fn mark(&self) -> MarkRecord {
        self.head.mark.unwrap_or_default()
    }

    fn replay(&mut self) -> Result<(), Fault> {
        let mut groups: BTreeMap<u64, Vec<GroupRecord>> = BTreeMap::new();
        let mut strays = Vec::new();
        for entry in &self.trees.groups {
            let (key, value) = entry?;
            let (number, part) = group::key_parts(&key).ok_or("a group has no number")?;
            let parts = match groups.entry(number) {
                Entry::Occupied(parts) => parts.into_mut(),
                // Folded already; the removal was cut short.
                Entry::Vacant(_) if number <= self.head.folded => {
                    strays.push(key);
                    continue;
                }
                Entry::Vacant(parts) => parts.insert(Vec::new()),
            };
            if part as usize != parts.len() {
                return Err(format!("a part of group {number} is missing").into());
            }
            parts.push(GroupRecord::decode(&*value)?);
        }
        let last = groups.last_key_value().map(|(number, _)| *number);
        for (number, parts) in groups {
            if number != self.last_group + 1 {
                return Err(format!("group {} is missing", self.last_group + 1).into());
            }
            if parts.first().is_none_or(|part| part.parts as usize != parts.len()) {
                if Some(number) != last {
                    return Err(format!("a part of group {number} is missing").into());
                }
                let keys = (0..).zip(&parts).map(|(part, _)| group::key(number, part));
                strays.extend(keys.map(|key| sled::IVec::from(&key)));
                break;
            }
            self.last_group = number;
            self.head.mark = parts.last().and_then(|part| part.mark).or(self.head.mark);
            self.take_in(number, parts);
        }
        for key in strays {
            self.trees.groups.remove(key)?;
        }
        Ok(())
    }

    fn take_in(&mut self, number: u64, records: Vec<GroupRecord>) {
        let parts = u32::try_from(records.len()).unwrap_or(u32::MAX);
        self.backlog.groups.insert(number, parts);
        let Backlog { tokens, orders, .. } = &mut self.backlog;
        let pauses = &mut self.head.pauses;
        let mut gone = Vec::new();
        for part in records {
            tokens.extend(part.tokens.into_iter().map(|token| (token.sequence, Some(token))));
            orders.extend(part.orders.into_iter().map(|order| (order.id, Some(order))));
            for pause in part.pauses {
                pauses.retain(|old| old.activity != pause.activity);
                pauses.push(pause);
            }
            self.shelf.absorb(part.lines);
            gone.push((part.tokens_gone, part.orders_gone, part.pauses_gone));
        }
        for (tokens_gone, orders_gone, pauses_gone) in gone {
            tokens.extend(tokens_gone.into_iter().map(|sequence| (sequence, None)));
            orders.extend(orders_gone.into_iter().map(|order| (order, None)));
            pauses.retain(|pause| !pauses_gone.contains(&pause.activity));
        }
    }

    /// Writes the first head of a ledger, unless there was one.
    fn establish(&mut self, found: &Found, opening: &Opening) -> Result<(), String> {
        if *found != Found::Nothing {
            return Err(EMPTIED.to_owned());
        }
        let empty = self.trees.tokens.is_empty() && self.trees.orders.is_empty();
        if !empty || !self.backlog.groups.is_empty() {
            return Err("its head is missing".to_owned());
        }
        self.head = HeadRecord {
            format: FORMAT_VERSION,
            pid: opening.pid.clone(),
            identity: Some((&opening.identity).into()),
            ..HeadRecord::default()
        };
        Ok(())
    }

    /// Whether this version reads it, and whether it belongs to this project at ARGOS.
    pub(super) fn check(&self, settings: &Settings, pid: &str) -> Result<(), LedgerError> {
        let dir = settings.data_dir.display();
        if self.head.format > FORMAT_VERSION {
            return Err(LedgerError::Unusable(format!(
                "the ledger in {dir} has format {} and this version reads up to {FORMAT_VERSION}: \
                 start the version that wrote it, or a newer one",
                self.head.format,
            )));
        }
        if self.head.pid != pid {
            return Err(LedgerError::Unusable(format!(
                "the ledger of project {} in {dir} belongs to the ARGOS project {} and not to {pid}: its \
                 tokens would be dead links, so correct the pid or give the project another name",
                self.name, self.head.pid,
            )));
        }
        Ok(())
    }

    pub(super) fn identity(&self) -> Result<LedgerIdentity, RecordError> {
        self.head.identity.clone().ok_or(RecordError::Missing("identity"))?.try_into()
    }

    /// Blocks first, then what is newer. One block at a time, so that the pool is in memory once.
    pub(super) fn read(
        &self,
        remember_after: Timestamp,
        identity: LedgerIdentity,
    ) -> Result<Opened, Fault> {
        let Backlog { tokens: newer_tokens, orders: newer_orders, .. } = &self.backlog;
        let mut tokens: Vec<Token> = Vec::new();
        for entry in &self.trees.tokens {
            for token in TokenBlockRecord::decode(&*entry?.1)?.tokens {
                if !newer_tokens.contains_key(&token.sequence) {
                    tokens.push(token.try_into()?);
                }
            }
        }
        for token in newer_tokens.values().flatten() {
            tokens.push(token.clone().try_into()?);
        }
        tokens.sort_unstable_by_key(|token| token.sequence);
        let mut orders: Vec<Order> = Vec::new();
        for entry in &self.trees.orders {
            let order = OrderRecord::decode(&*entry?.1)?;
            if !newer_orders.contains_key(&order.id) {
                orders.push(order.try_into()?);
            }
        }
        for order in newer_orders.values().flatten() {
            orders.push(order.clone().try_into()?);
        }
        orders.sort_unstable_by_key(|order| order.id);
        let pauses = self.head.pauses.iter().cloned().map(TryInto::try_into);
        let mark = self.mark();
        let (past, unfinished) = self.shelf.past(remember_after)?;
        Ok(Opened {
            identity,
            epoch: self.head.epoch,
            revision: Revision(mark.revision),
            next: sequence(mark.next)?,
            granted: sequence(mark.granted)?,
            committed_at: self.committed_at(),
            tokens,
            orders,
            pauses: pauses.collect::<Result<_, RecordError>>()?,
            past,
            unfinished,
            suspect_below: None,
        })
    }
}

fn unusable(settings: &Settings, reason: &str) -> LedgerError {
    LedgerError::Unusable(choices(settings, reason))
}

fn unreadable(error: io::Error) -> LedgerError {
    LedgerError::Unreadable(error.into())
}
