//! Uses tickets, and gives them back.

use super::{
    issuer::{TicketIssuer, unavailable},
    opening::{Opening, Transport},
    record::{TicketRecord, TicketState},
    secret::{SECRET_LEN, TicketKey},
};
use crate::{
    auth::{AuthContext, Bound, Proven, Revocation, Texts},
    rejection::{Chain, Rejection, RejectionKind},
};
use std::{sync::Arc, time::Duration};

impl TicketIssuer {
    /// Uses a ticket. Returns what it proves, or why it proves nothing.
    pub(crate) async fn redeem(
        &self,
        secret: &str,
        opening: Opening,
    ) -> Result<Redeemed, Rejection> {
        let refuse = |why: &str| {
            let detail = "The ticket is unknown, used or expired, or this request may not use it. Get a new ticket.";
            Err(Rejection::new(RejectionKind::AuthInvalid).with_detail(detail).with_source(why))
        };
        if opening.transport == Transport::Other {
            return refuse("a ticket only opens streams, by GET");
        }
        // Do not look up a text that cannot be a ticket.
        if secret.len() != SECRET_LEN || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return refuse("the value is not a ticket");
        }
        let key = TicketKey::of(secret);
        let Some(stored) = self.store.get(key).await.map_err(unavailable)? else {
            return refuse(
                "the store does not have the ticket: it is unknown, or it has ended or was evicted",
            );
        };
        // The log names the holder, because somebody may have stolen the ticket.
        let refuse = |why: &str| {
            let TicketRecord { tenant, env, thread, subject, .. } = &*stored.record;
            refuse(&format!("{why} (a ticket of {subject:?} for {tenant}/{env}/{thread})"))
        };
        let next = match stored.after(&opening, self.clock.now()) {
            Ok(next) => next,
            Err(why) => return refuse(why),
        };
        let swapped = self.store.swap(key, stored.revision, next).await.map_err(unavailable)?;
        let Some(revocation) = swapped else {
            return refuse("another request used this ticket first");
        };
        // Check again, because the store may have taken long.
        if let Err(why) = stored.after(&opening, self.clock.now()) {
            return refuse(why);
        }
        let first = stored.state == TicketState::Unused;
        Ok(Redeemed {
            auth: self.proven(&stored.record, revocation, !first),
            // Each swap adds one to the revision.
            opened: first.then_some(Opened { key, revision: stored.revision.saturating_add(1) }),
            record: stored.record,
        })
    }

    fn proven(&self, record: &TicketRecord, revocation: Revocation, reopens: bool) -> AuthContext {
        let (tenant, env, thread) =
            (record.tenant.clone(), record.env.clone(), record.thread.clone());
        // An older record has no separate leeway: it is part of `valid_until`.
        let (expires_at, leeway) = match record.valid_until.checked_sub(record.leeway) {
            Some(expires_at) => (expires_at, record.leeway),
            None => (record.valid_until, Duration::ZERO),
        };
        AuthContext(Arc::new(Proven {
            subject: record.subject.clone(),
            expires_at,
            leeway,
            issuer: record.issuer.clone(),
            issued_at: record.issued_at,
            audiences: record.audiences.clone(),
            is_access_token: record.is_access_token,
            tenants: Texts::One(tenant.as_str().into()),
            envs: Texts::One(env.as_str().into()),
            roles: record.roles.clone(),
            scopes: record.scopes.clone(),
            actor_type: record.actor_type.clone(),
            clock: Arc::clone(&self.clock),
            revocations: record.revocations.iter().cloned().chain([revocation]).collect(),
            ticket: Some(Bound { tenant, env, thread, reopens }),
        }))
    }

    /// Gives a ticket back after a server-side failure: it can open a stream again, unless it was used
    /// since.
    pub(crate) async fn give_back(&self, Opened { key, revision }: Opened) {
        match self.store.swap(key, revision, TicketState::Unused).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                tracing::debug!("another request has used the ticket, so it is not given back")
            }
            Err(error) => {
                let error = Chain(&*error).to_string();
                tracing::warn!(error, "a ticket could not be given back");
            }
        }
    }
}

/// A used ticket.
pub(crate) struct Redeemed {
    pub(crate) auth: AuthContext,
    record: Arc<TicketRecord>,
    opened: Option<Opened>,
}

/// A ticket that was used for the first time, and its revision after that.
#[derive(Clone, Copy)]
pub(crate) struct Opened {
    key: TicketKey,
    revision: u64,
}

impl Redeemed {
    /// Where the stream starts. `None` if the ticket was used before, or does not say.
    pub(crate) fn start(&self) -> Option<&str> {
        let start = self.record.start.as_str();
        (self.opened.is_some() && !start.is_empty()).then_some(start)
    }

    /// The ticket to give back if the stream does not open. `None` if the ticket was used before.
    pub(crate) fn opened(&self) -> Option<Opened> {
        self.opened
    }
}
