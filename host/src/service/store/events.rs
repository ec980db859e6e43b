//! What has happened to pipes, in order.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::pipes::{LastResync, PipeRecord};
use super::{Store, StoreError, TenantStore, json, number, parsed, webhooks};
use crate::lifecycle::report::Phase;

/// Events that are kept of a pipe.
const KEPT: i64 = 2_000;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A resync has entered a phase.
    Phase,
    /// Something that a person should know.
    Note,
    /// The pipe was ended by an error.
    Failure,
    /// A table waits for approval of its swap.
    NeedsApproval,
    /// Somebody has started, stopped or changed the pipe.
    Action,
    /// A webhook could not be told of an event.
    Webhook,
}

/// An event, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When.
    pub at: Timestamp,
    /// The pipe.
    pub pipe: String,
    /// What it is about.
    pub kind: EventKind,
    /// The resync's id, where it is about one.
    pub resync: Option<String>,
    /// The phase that was entered.
    pub phase: Option<Phase>,
    /// In a sentence.
    pub message: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its number among the tenant's events; later ones have larger ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// The pipe.
    pub pipe: String,
    /// What it is about.
    pub kind: EventKind,
    /// The resync's id, where it is about one.
    pub resync: Option<String>,
    /// The phase that was entered.
    pub phase: Option<Phase>,
    /// In a sentence.
    pub message: String,
}

impl NewEvent {
    /// The event of this number.
    pub fn numbered(self, id: i64) -> Event {
        Event {
            id,
            at: self.at,
            pipe: self.pipe,
            kind: self.kind,
            resync: self.resync,
            phase: self.phase,
            message: self.message,
        }
    }
}

impl Store {
    /// Writes events of several tenants; each gets a number, in this order. One whose pipe is gone is left out.
    pub fn put_events(
        &self,
        events: Vec<(String, NewEvent)>,
    ) -> Result<Vec<(String, Event)>, StoreError> {
        self.write(|tx| {
            let mut written = Vec::with_capacity(events.len());
            for (tenant, event) in events {
                if !follow(tx, &tenant, &event)? {
                    continue;
                }
                let id = number(tx, &tenant, "event")?;
                let sql = "INSERT INTO events (tenant, id, pipe, record) VALUES (?1, ?2, ?3, ?4)";
                tx.prepare_cached(sql)?
                    .execute(params![tenant, id, event.pipe, json(&event)?])?;
                let old = "DELETE FROM events WHERE tenant = ?1 AND pipe = ?2 AND id <= \
                           (SELECT id FROM events WHERE tenant = ?1 AND pipe = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)";
                tx.prepare_cached(old)?
                    .execute(params![tenant, event.pipe, KEPT])?;
                let event = event.numbered(id);
                webhooks::enqueue(tx, &tenant, &event)?;
                written.push((tenant, event));
            }
            Ok(written)
        })
    }
}

/// Keeps in the pipe's record what its last resync is at. Whether there is such a pipe.
fn follow(tx: &Transaction<'_>, tenant: &str, event: &NewEvent) -> rusqlite::Result<bool> {
    let find = "SELECT record FROM pipes WHERE tenant = ?1 AND name = ?2";
    let read = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let found = tx
        .prepare_cached(find)?
        .query_row([tenant, &event.pipe], read);
    let Some(text) = found.optional()? else {
        return Ok(false);
    };
    let (Some(id), Some(phase)) = (&event.resync, event.phase) else {
        return Ok(true);
    };
    let mut record: PipeRecord = parsed(&text)?;
    let started = match record.last {
        // It is told once more: when it ended is known.
        Some(last) if last.id == *id && last.phase == phase => return Ok(true),
        Some(last) if last.id == *id => last.started,
        _ => event.at,
    };
    record.last = Some(LastResync {
        id: id.clone(),
        phase,
        started,
        ended: phase.is_over().then_some(event.at),
    });
    let sql = "UPDATE pipes SET record = ?3 WHERE tenant = ?1 AND name = ?2";
    tx.prepare_cached(sql)?
        .execute(params![tenant, event.pipe, json(&record)?])?;
    Ok(true)
}

impl TenantStore<'_> {
    /// The number of the tenant's last event; 0: there was none.
    pub fn last_event(&self) -> Result<i64, StoreError> {
        let sql = "SELECT last FROM numbers WHERE tenant = ?1 AND kind = 'event'";
        let reader = self.store.reader();
        let last = reader.query_row(sql, [self.tenant], |row| row.get(0));
        Ok(last.optional()?.unwrap_or(0))
    }

    /// Events with numbers larger than `after`, the earliest first; of one pipe or of all.
    pub fn events_after(
        &self,
        pipe: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.events(pipe, "id > ?2 ORDER BY id", after, limit)
    }

    /// Events with numbers smaller than `before`, the latest first; of one pipe or of all.
    pub fn events_before(
        &self,
        pipe: Option<&str>,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        self.events(pipe, "id < ?2 ORDER BY id DESC", before, limit)
    }

    /// Each of the two has an index of its own, which one query for both could not use.
    fn events(
        &self,
        pipe: Option<&str>,
        range: &str,
        bound: i64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let which = if pipe.is_some() { "pipe = ?4 AND" } else { "" };
        let sql = format!(
            "SELECT json_set(record, '$.id', id) FROM events WHERE tenant = ?1 AND {which} {range} LIMIT ?3"
        );
        match pipe {
            Some(pipe) => self
                .store
                .records(&sql, params![self.tenant, bound, limit, pipe]),
            None => self.store.records(&sql, params![self.tenant, bound, limit]),
        }
    }

    /// Events of a pipe with numbers smaller than `before`, the latest first; of one kind or of all.
    pub fn events_of_kind(
        &self,
        pipe: &str,
        kind: Option<EventKind>,
        before: i64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT json_set(record, '$.id', id) FROM events WHERE tenant = ?1 AND pipe = ?2 AND id < ?3 \
                   AND (?4 IS NULL OR json_quote(json_extract(record, '$.kind')) = ?4) ORDER BY id DESC LIMIT ?5";
        let kind = kind.map(|kind| json(&kind)).transpose()?;
        self.store
            .records(sql, params![self.tenant, pipe, before, kind, limit])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_phase_that_is_told_once_more_ended_when_it_did() {
        let (_folder, store) = testing::store();
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, phase) in [
            (1, Phase::Snapshot),
            (2, Phase::Running),
            (3, Phase::Running),
        ] {
            let event = NewEvent {
                at: at(second),
                pipe: "shop".to_owned(),
                kind: EventKind::Phase,
                resync: Some("r".to_owned()),
                phase: Some(phase),
                message: String::new(),
            };
            store.put_events(vec![("acme".to_owned(), event)]).unwrap();
        }
        let record = store.tenant("acme").pipe("shop").unwrap().unwrap();
        let last = record.last.unwrap();
        assert_eq!((last.started, last.ended), (at(1), Some(at(2))));
        let told = store.tenant("acme").events_after(None, 0, 10).unwrap();
        assert_eq!(told.len(), 3);
    }
}
