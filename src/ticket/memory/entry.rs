//! One ticket in memory, its account and its holder.

use crate::{
    auth::Revocation,
    id::{Env, Subject, TenantId, Text},
    ticket::{
        record::{TicketRecord, TicketState},
        secret::TicketKey,
    },
};
use std::{sync::Arc, time::SystemTime};

pub(super) type Account = (TenantId, Env);

/// An issuer and a subject, within an account.
pub(super) type Holder = (Account, Option<Text>, Subject);

/// The order of eviction: the state, the number and the key of a ticket.
pub(super) type Place = (u8, u64, TicketKey);

pub(super) struct Entry {
    pub(super) record: Arc<TicketRecord>,
    pub(super) revision: u64,
    pub(super) state: TicketState,
    pub(super) number: u64,
    pub(super) bytes: usize,
    /// The revocation that the last swap returned. `None` after a ticket was given back.
    pub(super) revocation: Option<Revocation>,
}

impl Entry {
    pub(super) fn account(&self) -> Account {
        account(&self.record)
    }

    pub(super) fn place(&self, key: TicketKey) -> Place {
        let rank = match self.state {
            TicketState::UsedUp => 0,
            TicketState::Unused => 1,
            TicketState::Open => 2,
        };
        (rank, self.number, key)
    }

    pub(super) fn end(&self, key: TicketKey) -> (SystemTime, TicketKey) {
        (self.record.keep_until(self.state), key)
    }
}

pub(super) fn account(record: &TicketRecord) -> Account {
    let (tenant, env) = record.account();
    (tenant.clone(), env.clone())
}

pub(super) fn holder(record: &TicketRecord) -> Holder {
    let (issuer, subject) = record.holder();
    (account(record), issuer.map(Text::from), subject.clone())
}
