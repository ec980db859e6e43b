//! Webhooks: where a tenant's events are sent, and the events that are on their way.
//!
//! An event is put on its way in the transaction that writes it down. It stays there until it was delivered or given up, whatever ends the process.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Event, EventKind, Store, StoreError, TenantStore, json, number, parsed, secrets};
use crate::lifecycle::report::Phase;

/// Events that wait for one webhook, at most; beyond that the oldest one is given up.
const MOST_WAITING: i64 = 1_000;
/// Deliveries that are kept of a webhook once they are over.
const KEPT: i64 = 200;

/// Where events are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WebhookRecord {
    /// Its id.
    pub id: String,
    /// The address that events are posted to.
    pub url: String,
    /// What they are about; all, if there is nothing. `failure` has the failures of resyncs, too.
    pub events: Vec<EventKind>,
    /// The pipe that they are of; null: of all.
    pub pipe: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

impl WebhookRecord {
    /// Whether an event is sent there. That an event could not be sent is not sent.
    fn wants(&self, event: &Event) -> bool {
        let is_failure = event.phase == Some(Phase::Failed);
        event.kind != EventKind::Webhook
            && self.pipe.as_ref().is_none_or(|pipe| *pipe == event.pipe)
            && (self.events.is_empty()
                || self.events.contains(&event.kind)
                || is_failure && self.events.contains(&EventKind::Failure))
    }

    /// The name of the secret that signs what is sent there.
    pub fn secret_name(&self) -> String {
        secret_name(&self.id)
    }
}

fn secret_name(id: &str) -> String {
    format!("webhook.{id}")
}

/// What has become of an event on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It is tried, again if need be.
    Waiting,
    /// The webhook has taken it.
    Delivered,
    /// It is tried no more.
    GivenUp,
}

/// An event on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryRecord {
    /// Its number among the tenant's deliveries; later ones have larger ones.
    #[serde(default)]
    pub id: i64,
    /// The webhook's id.
    pub webhook: String,
    /// What is sent.
    pub event: Event,
    /// What has become of it.
    pub state: DeliveryState,
    /// When it was put on its way.
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    pub tried: Option<Timestamp>,
    /// When it is tried next; null: no more.
    pub due: Option<Timestamp>,
    /// The status of the last answer; null: there was none.
    pub status: Option<u16>,
    /// Why the last try was none.
    pub error: Option<String>,
}

impl DeliveryRecord {
    /// The id that the webhook is told: the same one for each try.
    pub fn message_id(&self) -> String {
        format!("msg_{}_{}", self.webhook, self.event.id)
    }
}

/// The first event that waits for a webhook: those behind it wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// The tenant.
    pub tenant: String,
    /// The webhook's id.
    pub webhook: String,
    /// The delivery's number.
    pub id: i64,
    /// When it is tried.
    pub due: Timestamp,
}

/// Puts an event on its way to the webhooks that want it.
pub(super) fn enqueue(tx: &Transaction<'_>, tenant: &str, event: &Event) -> rusqlite::Result<()> {
    let mut webhooks = tx.prepare_cached("SELECT record FROM webhooks WHERE tenant = ?1")?;
    let texts = webhooks.query_map([tenant], |row| row.get::<_, String>(0))?;
    for text in texts {
        let webhook: WebhookRecord = parsed(&text?)?;
        if !webhook.wants(event) {
            continue;
        }
        let now = Timestamp::now();
        let delivery = DeliveryRecord {
            id: 0,
            webhook: webhook.id,
            event: event.clone(),
            state: DeliveryState::Waiting,
            created: now,
            attempts: 0,
            tried: None,
            due: Some(now),
            status: None,
            error: None,
        };
        let sql = "INSERT INTO deliveries (tenant, id, webhook, waits, record) VALUES (?1, ?2, ?3, 1, ?4)";
        let id = number(tx, tenant, "delivery")?;
        tx.prepare_cached(sql)?
            .execute(params![tenant, id, delivery.webhook, json(&delivery)?])?;
        let over = "UPDATE deliveries SET waits = 0, record = json_set(record, '$.state', 'given_up', '$.due', NULL, '$.error', 'too many events wait') \
                    WHERE tenant = ?1 AND webhook = ?2 AND waits = 1 AND id <= \
                    (SELECT id FROM deliveries WHERE webhook = ?2 AND waits = 1 ORDER BY id DESC LIMIT 1 OFFSET ?3)";
        tx.prepare_cached(over)?
            .execute(params![tenant, delivery.webhook, MOST_WAITING])?;
    }
    Ok(())
}

impl Store {
    /// What is tried next, of each webhook.
    pub fn heads(&self) -> Result<Vec<Head>, StoreError> {
        // SQLite takes the other columns from the row that has the smallest number.
        let sql = "SELECT json_object('tenant', tenant, 'webhook', webhook, 'id', id, 'due', json_extract(record, '$.due')) FROM \
                   (SELECT tenant, webhook, min(id) AS id, record FROM deliveries WHERE waits = 1 GROUP BY webhook)";
        self.records(sql, [])
    }
}

impl TenantStore<'_> {
    /// The tenant's webhooks, the oldest first.
    pub fn webhooks(&self) -> Result<Vec<WebhookRecord>, StoreError> {
        let sql = "SELECT record FROM webhooks WHERE tenant = ?1 ORDER BY json_extract(record, '$.created'), id";
        self.store.records(sql, [self.tenant])
    }

    /// A webhook.
    pub fn webhook(&self, id: &str) -> Result<Option<WebhookRecord>, StoreError> {
        let sql = "SELECT record FROM webhooks WHERE tenant = ?1 AND id = ?2";
        Ok(self.store.records(sql, params![self.tenant, id])?.pop())
    }

    /// Writes a new webhook and its sealed secret, unless the tenant has `most` already: whether it was written.
    pub fn make_webhook(
        &self,
        record: &WebhookRecord,
        sealed: &[u8],
        most: u32,
    ) -> Result<bool, StoreError> {
        self.store.write(|tx| {
            let count = "SELECT count(*) FROM webhooks WHERE tenant = ?1";
            if tx.query_row(count, [self.tenant], |row| row.get::<_, u32>(0))? >= most {
                return Ok(false);
            }
            let sql = "INSERT INTO webhooks (id, tenant, record) VALUES (?1, ?2, ?3)";
            tx.execute(sql, params![record.id, self.tenant, json(record)?])?;
            secrets::put(tx, self.tenant, "", (&record.secret_name(), sealed))?;
            Ok(true)
        })
    }

    /// Removes a webhook with what is on its way to it. Whether there was one.
    pub fn remove_webhook(&self, id: &str) -> Result<bool, StoreError> {
        self.store.write(|tx| {
            let secret = "DELETE FROM secrets WHERE tenant = ?1 AND pipe = '' AND name = ?2";
            tx.execute(secret, params![self.tenant, secret_name(id)])?;
            let sql = "DELETE FROM webhooks WHERE tenant = ?1 AND id = ?2";
            Ok(tx.execute(sql, params![self.tenant, id])? > 0)
        })
    }

    /// Deliveries to a webhook with numbers smaller than `before`, the latest first.
    pub fn deliveries(
        &self,
        webhook: &str,
        before: i64,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let sql = "SELECT json_set(record, '$.id', id) FROM deliveries WHERE tenant = ?1 AND webhook = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
        self.store
            .records(sql, params![self.tenant, webhook, before, limit])
    }

    /// How many events wait for webhooks.
    pub fn waiting_deliveries(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM deliveries WHERE tenant = ?1 AND waits = 1";
        let count = self
            .store
            .reader()
            .query_row(sql, [self.tenant], |row| row.get(0));
        Ok(count?)
    }

    /// A delivery that waits.
    pub fn delivery(&self, id: i64) -> Result<Option<DeliveryRecord>, StoreError> {
        let sql = "SELECT json_set(record, '$.id', id) FROM deliveries WHERE tenant = ?1 AND id = ?2 AND waits = 1";
        Ok(self.store.records(sql, params![self.tenant, id])?.pop())
    }

    /// Writes what has become of a delivery. One that is over makes room among those that are kept.
    pub fn change_delivery(&self, delivery: &DeliveryRecord) -> Result<(), StoreError> {
        let waits = delivery.state == DeliveryState::Waiting;
        self.store.write(|tx| {
            let sql = "UPDATE deliveries SET waits = ?3, record = ?4 WHERE tenant = ?1 AND id = ?2";
            tx.execute(
                sql,
                params![self.tenant, delivery.id, waits, json(delivery)?],
            )?;
            let old = "SELECT id FROM deliveries WHERE tenant = ?1 AND webhook = ?2 AND waits = 0 ORDER BY id DESC LIMIT 1 OFFSET ?3";
            let keys = params![self.tenant, delivery.webhook, KEPT];
            let old: Option<i64> = tx.query_row(old, keys, |row| row.get(0)).optional()?;
            if let Some(old) = old {
                let sql = "DELETE FROM deliveries WHERE tenant = ?1 AND webhook = ?2 AND waits = 0 AND id <= ?3";
                tx.execute(sql, params![self.tenant, delivery.webhook, old])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::store::NewEvent;
    use crate::service::store::testing::store;

    fn webhook(store: &Store, id: &str, events: &[EventKind], pipe: Option<&str>) {
        let record = WebhookRecord {
            id: id.to_owned(),
            url: "https://example.com/hook".to_owned(),
            events: events.to_vec(),
            pipe: pipe.map(str::to_owned),
            created: Timestamp::now(),
        };
        let made = store.tenant("acme").make_webhook(&record, b"sealed", 10);
        assert!(made.unwrap());
    }

    fn tell(store: &Store, tenant: &str, kind: EventKind, phase: Option<Phase>) {
        let event = NewEvent {
            at: Timestamp::now(),
            pipe: "shop".to_owned(),
            kind,
            resync: Some("r".to_owned()),
            phase,
            message: "m".to_owned(),
        };
        let written = store.put_events(vec![(tenant.to_owned(), event)]).unwrap();
        assert_eq!(written.len(), 1);
    }

    fn waiting(store: &Store, id: &str) -> usize {
        let all = store
            .tenant("acme")
            .deliveries(id, i64::MAX, 2_000)
            .unwrap();
        let waits = |delivery: &&DeliveryRecord| delivery.state == DeliveryState::Waiting;
        all.iter().filter(waits).count()
    }

    #[test]
    fn an_event_goes_to_the_webhooks_that_want_it() {
        let (_folder, store) = store();
        webhook(&store, "all", &[], None);
        webhook(&store, "failures", &[EventKind::Failure], None);
        webhook(&store, "elsewhere", &[], Some("another"));
        tell(&store, "acme", EventKind::Phase, Some(Phase::Setup));
        tell(&store, "acme", EventKind::Phase, Some(Phase::Failed));
        tell(&store, "acme", EventKind::Failure, None);
        tell(&store, "acme", EventKind::Webhook, None);
        tell(&store, "other", EventKind::Failure, None);
        assert_eq!(waiting(&store, "all"), 3);
        assert_eq!(waiting(&store, "failures"), 2);
        assert_eq!(waiting(&store, "elsewhere"), 0);
        assert_eq!(store.tenant("acme").waiting_deliveries().unwrap(), 5);
        assert_eq!(store.tenant("other").waiting_deliveries().unwrap(), 0);
        assert!(store.tenant("other").webhook("all").unwrap().is_none());
    }

    #[test]
    fn the_first_that_waits_is_the_next_one() {
        let (_folder, store) = store();
        webhook(&store, "all", &[], None);
        tell(&store, "acme", EventKind::Note, None);
        tell(&store, "acme", EventKind::Note, None);
        let tenant = store.tenant("acme");
        let heads = store.heads().unwrap();
        assert_eq!(heads.len(), 1);
        let mut first = tenant.delivery(heads[0].id).unwrap().unwrap();
        first.state = DeliveryState::Delivered;
        first.due = None;
        tenant.change_delivery(&first).unwrap();
        let next = store.heads().unwrap();
        assert!(next[0].id > heads[0].id);
        assert!(tenant.delivery(first.id).unwrap().is_none());
        assert!(tenant.remove_webhook("all").unwrap());
        assert!(store.heads().unwrap().is_empty());
        assert!(tenant.secret("", "webhook.all").unwrap().is_none());
    }

    #[test]
    fn a_queue_is_bounded_and_so_is_what_is_kept_of_it() {
        let (_folder, store) = store();
        webhook(&store, "all", &[], None);
        for _ in 0..MOST_WAITING + 3 {
            tell(&store, "acme", EventKind::Note, None);
        }
        assert_eq!(waiting(&store, "all") as i64, MOST_WAITING);
        let tenant = store.tenant("acme");
        for _ in 0..KEPT + 5 {
            let head = store.heads().unwrap().pop().unwrap();
            let mut delivery = tenant.delivery(head.id).unwrap().unwrap();
            delivery.state = DeliveryState::Delivered;
            tenant.change_delivery(&delivery).unwrap();
        }
        let all = tenant.deliveries("all", i64::MAX, 5_000).unwrap().len();
        assert_eq!(all - waiting(&store, "all"), KEPT as usize);
    }
}
