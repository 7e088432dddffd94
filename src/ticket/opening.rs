//! How a request wants to use a ticket.

use super::{record::TicketState, store::StoredTicket};
use crate::{
    event::{Cursor, LastEventId},
    origin,
    request::RequestHead,
};
use http::Method;
use std::{borrow::Cow, time::SystemTime};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    WebSocket,
    /// A `GET`, such as the request of an `EventSource`.
    Get,
    Other,
}

/// How a request wants to use a ticket.
pub(crate) struct Opening {
    pub(super) transport: Transport,
    pub(super) origin: Option<String>,
    /// Whether a request without `Origin` can come from the ticket's page.
    pub(super) may_be_same_origin: bool,
    pub(super) resume: Option<Cursor>,
}

impl Opening {
    pub(crate) fn of(head: RequestHead<'_>) -> Self {
        let transport = if head.is_upgrade() {
            Transport::WebSocket
        } else if head.method == Method::GET {
            Transport::Get
        } else {
            Transport::Other
        };
        // Only the header counts, because a URL with a ticket must not have a cursor.
        let resume = match LastEventId::of_header(head.headers) {
            Ok(Some(LastEventId::After(cursor))) => Some(cursor),
            Ok(_) | Err(_) => None,
        };
        Self {
            transport,
            origin: head.origin_text().map(Cow::into_owned),
            may_be_same_origin: head.comes_from(&[]),
            resume,
        }
    }

    fn comes_from(&self, bound: Option<&str>) -> bool {
        match (bound, self.origin.as_deref()) {
            (None, _) => true,
            (Some(bound), Some(origin)) => origin::is_same(bound, origin),
            (Some(_), None) => self.may_be_same_origin,
        }
    }
}

impl StoredTicket {
    /// The state of the ticket after this use at the time `now`, or why it cannot be used.
    pub(super) fn after(
        &self,
        opening: &Opening,
        now: SystemTime,
    ) -> Result<TicketState, &'static str> {
        let record = &*self.record;
        if !opening.comes_from(record.origin.as_deref()) {
            return Err("the ticket was issued to another origin");
        }
        let re_opens = opening.transport == Transport::Get && record.epoch.is_some();
        match self.state {
            TicketState::Unused if now >= record.open_until => {
                Err("the ticket is too old to open a stream")
            }
            TicketState::Unused if re_opens => Ok(TicketState::Open),
            TicketState::Unused => Ok(TicketState::UsedUp),
            TicketState::Open if !re_opens => Err("the ticket is used up"),
            TicketState::Open if now >= record.valid_until => {
                Err("the token that the ticket was issued for has expired")
            }
            TicketState::Open if opening.resume.map(Cursor::epoch) != record.epoch => {
                Err("the ticket is used, and the request does not resume its stream")
            }
            TicketState::Open => Ok(TicketState::Open),
            TicketState::UsedUp => Err("the ticket is used up"),
        }
    }
}
