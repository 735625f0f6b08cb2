//! The end of a call as the journal tells it, and what a start makes of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rows::{self, StoredReservation};
use crate::budget::bill::{BillRow, Entry, ReservedCall, Settled, UsageRow, hour_of};
use crate::budget::store::{Charge, ReservationId, Settlement, Spend};
use crate::budget::words::{self, instant, millis, signed, unsigned};
use crate::types::{Money, TokenUsage};

/// A settlement. The order of fields and variants, here and below, is that of the journal's records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended<'a> {
    /// The id of its reservation.
    reservation: u128,
    at_ms: i64,
    charge: Charged,
    entry: Option<Billed<'a>>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Charged {
    Nothing,
    AsHeld,
    Spent { nanodollars: Option<i64>, input: i64, output: i64 },
}

/// What it adds to the bill.
#[derive(Debug, Serialize, Deserialize)]
struct Billed<'a> {
    heading: [Cow<'a, str>; 6],
    group: Cow<'a, str>,
    request_id: Cow<'a, str>,
    /// Input, output, read from the cache, written to it for five minutes, for an hour.
    usage: [i64; 5],
    nanodollars: Option<i64>,
}

impl<'a> Ended<'a> {
    pub(super) fn of(settlement: &'a Settlement, at: SystemTime) -> Self {
        let Settlement { id, charge, entry } = settlement;
        let charge = match charge {
            Charge::Nothing => Charged::Nothing,
            Charge::AsHeld => Charged::AsHeld,
            Charge::Spent(Spend { nanodollars, input_tokens, output_tokens }) => Charged::Spent {
                nanodollars: nanodollars.map(signed),
                input: signed(*input_tokens),
                output: signed(*output_tokens),
            },
        };
        let entry = entry.as_ref().map(Billed::of);
        Self { reservation: id.uuid().as_u128(), at_ms: millis(at), charge, entry }
    }

    /// Whose end it is; the reservation that stood in the file for it is taken from there.
    pub(super) fn reservation(&self, connection: &Connection) -> rusqlite::Result<Option<StoredReservation>> {
        rows::take_reservation(connection, ReservationId::from_uuid(Uuid::from_u128(self.reservation)))
    }

    /// What the lines of its reservation become.
    pub(super) fn charge(&self) -> Charge {
        match self.charge {
            Charged::Nothing => Charge::Nothing,
            Charged::AsHeld => Charge::AsHeld,
            Charged::Spent { nanodollars, input, output } => Charge::Spent(Spend {
                nanodollars: nanodollars.map(unsigned),
                input_tokens: unsigned(input),
                output_tokens: unsigned(output),
            }),
        }
    }

    /// Puts it on the bill.
    pub(super) fn bill(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(billed) = &self.entry else { return Ok(()) };
        let at = instant(self.at_ms);
        let heading = words::heading_of(billed.heading.clone().map(Cow::into_owned));
        let [input, output, read, short, long] = billed.usage.map(unsigned);
        let usage = TokenUsage { input, output, cache_read: read, cache_write_5m: short, cache_write_1h: long };
        let cost = billed.nanodollars.map(Money::from_nanos);
        if let Settled::AtReservation(reason) = heading.settled {
            let (request_id, principal) = (Arc::from(&*billed.request_id), Arc::clone(&heading.principal));
            rows::list(connection, &ReservedCall { request_id, principal, reason, cost }, at)?;
        }
        let unpriced = u64::from(cost.is_none());
        let row = BillRow { heading, calls: 1, unpriced, usage, cost: cost.unwrap_or_default() };
        rows::add_usage(connection, &UsageRow { hour: hour_of(at), group: Arc::from(&*billed.group), row })
    }
}

impl<'a> Billed<'a> {
    fn of(entry: &'a Entry) -> Self {
        let usage = entry.usage;
        Self {
            heading: words::of_entry(entry).map(Cow::from),
            group: entry.group.as_ref().into(),
            request_id: entry.item.request_id.as_ref().into(),
            usage: [usage.input, usage.output, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
                .map(signed),
            nanodollars: entry.cost.map(Money::nanos),
        }
    }
}
