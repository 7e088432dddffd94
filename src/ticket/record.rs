//! What a ticket proves, and how it may be used.

use crate::{
    access::ThreadGrant,
    auth::{Proven, Revocation, Texts},
    event::{Cursor, Epoch},
    id::{ActorType, Env, Subject, TenantId, Text, ThreadId, kept_aside},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    io,
    time::{Duration, SystemTime},
};

/// The state of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TicketState {
    /// The ticket can open a stream: it has not opened one yet, or it was given back.
    Unused,
    /// The ticket has opened a stream, and can re-open it.
    Open,
    /// The ticket has opened a stream, and can open nothing more. The store still keeps it, because it
    /// may be given back.
    UsedUp,
}

/// What a ticket proves and how it may be used, in the form that a store keeps.
///
/// A store that writes text serialises the record, in any format of serde. Its member `version` names the
/// stored form. The crate refuses a record with a version that it does not know, and a record without a
/// version. A later release of the crate may add members to the same form. A ticket does not prove what
/// its record does not contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TicketRecord {
    pub(super) version: Version,
    pub(super) tenant: TenantId,
    pub(super) env: Env,
    pub(super) thread: ThreadId,
    pub(super) subject: Subject,
    #[serde(default)]
    pub(super) issuer: Option<Text>,
    pub(super) roles: Texts,
    #[serde(default)]
    pub(super) scopes: Texts,
    #[serde(default)]
    pub(super) audiences: Texts,
    #[serde(default)]
    pub(super) is_access_token: bool,
    #[serde(default)]
    pub(super) issued_at: Option<SystemTime>,
    pub(super) actor_type: Option<ActorType>,
    pub(super) origin: Option<String>,
    /// The epoch of the thread's log when the ticket was issued. `None` if the ticket cannot re-open a
    /// stream.
    pub(super) epoch: Option<Epoch>,
    /// Where the stream starts, in the form of a `Last-Event-ID`.
    pub(super) start: String,
    pub(super) open_until: SystemTime,
    /// When the token expires, plus the leeway.
    pub(super) valid_until: SystemTime,
    /// The leeway in `valid_until`.
    #[serde(default)]
    pub(super) leeway: Duration,
    /// The revocations of the token. A store that writes text loses them.
    #[serde(skip)]
    pub(super) revocations: Vec<Revocation>,
}

/// The version of the stored form: 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version;

impl Version {
    const NUMBER: u32 = 1;
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(Self::NUMBER)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            Self::NUMBER => Ok(Self),
            other => Err(de::Error::custom(format_args!(
                "another release of tower-tenancy wrote this ticket record: its version is {other}"
            ))),
        }
    }
}

impl TicketRecord {
    /// The longest record, in bytes of JSON. For a longer record, no ticket is issued.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The time until which a store must keep a ticket in this state.
    #[must_use]
    pub fn keep_until(&self, state: TicketState) -> SystemTime {
        match state {
            TicketState::Unused | TicketState::UsedUp => self.open_until,
            TicketState::Open => self.valid_until,
        }
    }

    /// The account that the ticket counts for: a tenant and an env.
    #[must_use]
    pub fn account(&self) -> (&TenantId, &Env) {
        (&self.tenant, &self.env)
    }

    /// The caller that the ticket was issued to: an issuer and a subject.
    #[must_use]
    pub fn holder(&self) -> (Option<&str>, &Subject) {
        (self.issuer.as_ref().map(Text::as_str), &self.subject)
    }

    /// The record of the grant's proof, for its thread.
    pub(super) fn of(
        grant: &ThreadGrant,
        reads: Option<(Epoch, Cursor)>,
        open_until: SystemTime,
    ) -> Self {
        let (scope, auth) = (grant.scope(), grant.scope().auth());
        // All fields are listed, so that a new field of a proof does not compile before it is handled
        // here.
        let Proven {
            subject,
            expires_at,
            leeway: _,
            issuer,
            issued_at,
            audiences,
            is_access_token,
            tenants: _,
            envs: _,
            roles,
            scopes,
            actor_type,
            clock: _,
            revocations,
            ticket: _,
        } = &*auth.0;
        let valid_until = auth.valid_until();
        Self {
            version: Version,
            tenant: scope.tenant().clone(),
            env: scope.env().clone(),
            thread: grant.key().thread().clone(),
            subject: subject.clone(),
            issuer: issuer.clone(),
            roles: roles.clone(),
            scopes: scopes.clone(),
            audiences: audiences.clone(),
            is_access_token: *is_access_token,
            issued_at: *issued_at,
            actor_type: actor_type.clone(),
            origin: scope.request().origin().map(str::to_owned),
            epoch: reads.map(|(epoch, _)| epoch),
            start: reads.map(|(_, from)| from.to_string()).unwrap_or_default(),
            open_until,
            valid_until,
            leeway: valid_until.duration_since(*expires_at).unwrap_or_default(),
            revocations: revocations.clone(),
        }
    }

    /// Refuses a record that is longer than [`MAX_BYTES`](Self::MAX_BYTES), or that cannot be serialised.
    pub(super) fn check_size(&self) -> Result<(), serde_json::Error> {
        /// Accepts this many bytes, and no more.
        struct Room(usize);

        impl io::Write for Room {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let left = self.0.checked_sub(bytes.len());
                self.0 = left.ok_or_else(|| io::Error::other("the record is too long"))?;
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        serde_json::to_writer(Room(Self::MAX_BYTES), self)
    }

    /// How many bytes the record takes in memory, so that a store can limit its memory. Lists that the
    /// record shares with a proof count in full, because the record may live longer than the proof.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        // Long ids are on the heap. A store may also keep copies of the tenant and env that came with an
        // earlier ticket: one for the account, and one for the holder.
        let [tenant, env, thread] =
            [self.tenant.as_str(), self.env.as_str(), self.thread.as_str()].map(kept_aside);
        let ids = 3 * (tenant + env) + thread;
        let texts = [self.subject.as_str(), self.start.as_str()].into_iter();
        let texts = texts.chain(self.actor_type.as_ref().map(ActorType::as_str));
        let texts = texts.chain(self.origin.as_deref()).map(str::len).sum::<usize>();
        let issuer = self.issuer.as_ref().map_or(0, Text::heap_bytes);
        let lists = [&self.roles, &self.scopes, &self.audiences];
        let lists = lists.into_iter().map(Texts::heap_bytes).fold(issuer, usize::saturating_add);
        let revocations = size_of_val::<[Revocation]>(&self.revocations);
        [size_of::<Self>(), ids, texts, revocations].into_iter().fold(lists, usize::saturating_add)
    }
}
