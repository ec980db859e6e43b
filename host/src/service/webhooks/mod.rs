//! Webhooks: events are posted to addresses of the tenant's choice, signed, and again until they are taken.
//!
//! Events of one webhook are sent one after the other, in order: one that isn't taken holds those behind it up, until it is given up after a day. A tenant
//! has a few deliveries at a time, so that dead addresses of one don't keep others waiting. What was sent while the process was killed is sent again, with the
//! same id. Addresses are within the reach that the operator allows; redirects are not followed.

mod pause;
mod signature;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::mpsc;
use url::Url;
use utoipa::ToSchema;

use super::Service;
use super::auth::Caller;
use super::problem::Problem;
use super::store::{
    DeliveryRecord, DeliveryState, Event, EventKind, NewEvent, StoreError, WebhookRecord,
};
use crate::policy::ReachError;

/// Webhooks of a tenant, at most.
const MOST: u32 = 20;
/// Deliveries of a tenant at a time, at most.
const AT_A_TIME: usize = 4;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the queue is left alone where nothing is due, or it can't be read.
const LOOK: Duration = Duration::from_secs(30);
/// Longest URL, in characters.
const LONGEST_URL: usize = 2_000;

/// A webhook that was just made: the only time that its secret is seen.
#[derive(Serialize, ToSchema)]
pub(super) struct NewWebhook {
    /// The key that signs what is sent: `whsec_` and 32 bytes in base64.
    #[schema(value_type = String)]
    #[serde(serialize_with = "exposed")]
    pub(super) secret: SecretString,
    /// What is kept of it.
    #[serde(flatten)]
    pub(super) record: WebhookRecord,
}

fn exposed<S: serde::Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

/// What is posted.
#[derive(Serialize)]
struct Message<'e> {
    /// What it is about: `pipe.phase`, `pipe.failure`.
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    data: &'e Event,
}

impl Service {
    /// Makes a webhook.
    pub(super) async fn make_webhook(
        &self,
        caller: &Caller,
        url: String,
        events: Vec<EventKind>,
        pipe: Option<String>,
    ) -> Result<NewWebhook, Problem> {
        self.check_url(&url).await?;
        if events.contains(&EventKind::Webhook) {
            let detail = "that a webhook could not be told of an event is not told to webhooks";
            return Err(Problem::unusable(detail));
        }
        if let Some(pipe) = &pipe {
            self.pipe_record(caller, pipe)?;
        }
        let random = || std::io::Error::other("the system gives no random numbers");
        let secret = signature::new_secret().ok_or_else(random)?;
        let record = WebhookRecord {
            id: uuid::Uuid::new_v4().simple().to_string(),
            url,
            events,
            pipe,
            created: Timestamp::now(),
        };
        let place = [caller.tenant.as_str(), "", &record.secret_name()];
        let sealed = self.vault.seal(&place, &secret)?;
        if !caller.store(self).make_webhook(&record, &sealed, MOST)? {
            let detail = format!("the tenant has {MOST} webhooks, and may have no more");
            return Err(Problem::quota(detail).suggest("delete one that isn't used"));
        }
        Ok(NewWebhook { secret, record })
    }

    /// Refuses what no event could be posted to.
    async fn check_url(&self, text: &str) -> Result<(), Problem> {
        let unusable = |detail: &str| Problem::unusable(format!("the URL {detail}"));
        if text.len() > LONGEST_URL {
            return Err(unusable("is too long"));
        }
        let url = Url::parse(text).map_err(|error| unusable(&format!("is none: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("begins with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable(
                "has no user and no password: what is sent is signed",
            ));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(unusable("has no host"));
        };
        match self.environment.policy().reach().lookup(host, port).await {
            Err(ReachError::OutOfReach(refused)) => Err(Problem::unusable(refused.to_string())),
            // A name that can't be looked up now may be known later.
            Ok(_) | Err(ReachError::Unknown(_)) => Ok(()),
        }
    }
}

/// Sends what is due, for as long as the process runs.
pub(super) async fn deliver(service: Arc<Service>) {
    let mut news = service.events.listen();
    let (ending, mut ended) = mpsc::unbounded_channel();
    // The webhooks that something is being sent to, with their tenants.
    let mut busy = HashMap::new();
    loop {
        let pause = begin(&service, &mut busy, &ending).unwrap_or_else(|error| {
            tracing::error!(%error, "events can't be sent to webhooks");
            LOOK
        });
        tokio::select! {
            // What there is the store tells.
            _ = news.recv() => while news.try_recv().is_ok() {},
            webhook = ended.recv() => drop(webhook.and_then(|webhook: String| busy.remove(&webhook))),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Begins all deliveries that are due and may begin: how long nothing else is.
fn begin(
    service: &Arc<Service>,
    busy: &mut HashMap<String, String>,
    ending: &mpsc::UnboundedSender<String>,
) -> Result<Duration, StoreError> {
    let now = Timestamp::now();
    let mut pause = LOOK;
    for head in service.store.heads()? {
        if head.due > now {
            pause = pause.min(head.due.duration_since(now).unsigned_abs());
            continue;
        }
        let of_tenant = busy.values().filter(|tenant| **tenant == head.tenant);
        // What waits for a free place goes on once one of the tenant's deliveries has ended.
        if busy.contains_key(&head.webhook) || of_tenant.count() >= AT_A_TIME {
            continue;
        }
        busy.insert(head.webhook.clone(), head.tenant.clone());
        let (service, ending) = (service.clone(), ending.clone());
        tokio::spawn(async move {
            if let Err(problem) = try_once(&service, &head.tenant, head.id).await {
                tracing::error!(tenant = head.tenant, webhook = head.webhook, %problem, "an event can't be sent");
                tokio::time::sleep(LOOK).await;
            }
            // Nobody waits for it where the process ends.
            let _ = ending.send(head.webhook);
        });
    }
    Ok(pause)
}

/// Why a delivery could not even be tried.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] super::vault::VaultError),
    #[error("its record can't be written as JSON: {0}")]
    Message(#[from] serde_json::Error),
    #[error("it has no usable secret")]
    Secret,
}

/// Tries a delivery, and keeps what has become of it.
async fn try_once(service: &Service, tenant: &str, id: i64) -> Result<(), Obstacle> {
    let store = service.store.tenant(tenant);
    // It may have been removed, or given up, since it was found.
    let Some(mut delivery) = store.delivery(id)? else {
        return Ok(());
    };
    let Some(webhook) = store.webhook(&delivery.webhook)? else {
        return Ok(());
    };
    let (status, error) = match post(service, tenant, &webhook, &delivery).await? {
        Ok(status) if (200..300).contains(&status) => (Some(status), None),
        Ok(status) => (Some(status), Some(format!("the answer was {status}"))),
        Err(reason) => (None, Some(reason)),
    };
    let now = Timestamp::now();
    delivery.attempts += 1;
    delivery.tried = Some(now);
    delivery.status = status;
    delivery.due = match &error {
        Some(_) => pause::next(delivery.created, now, delivery.attempts),
        None => None,
    };
    delivery.state = match (&error, delivery.due) {
        (None, _) => DeliveryState::Delivered,
        (Some(_), Some(_)) => DeliveryState::Waiting,
        (Some(_), None) => DeliveryState::GivenUp,
    };
    delivery.error = error;
    store.change_delivery(&delivery)?;
    service.metrics.delivery(tenant, delivery.state);
    let DeliveryRecord {
        state, attempts, ..
    } = delivery;
    tracing::info!(
        tenant,
        webhook = webhook.id,
        event = delivery.event.id,
        attempts,
        status,
        ?state,
        error = delivery.error,
        "sent an event"
    );
    if state == DeliveryState::GivenUp {
        let reason = delivery.error.unwrap_or_default();
        service.events.put(
            tenant,
            NewEvent {
                at: now,
                pipe: delivery.event.pipe,
                kind: EventKind::Webhook,
                resync: None,
                phase: None,
                message: format!(
                    "the event {} could not be sent to the webhook {} for a day: {reason}",
                    delivery.event.id, webhook.id
                ),
            },
        );
    }
    Ok(())
}

/// Posts an event: the answer's status, or why there is none.
async fn post(
    service: &Service,
    tenant: &str,
    webhook: &WebhookRecord,
    delivery: &DeliveryRecord,
) -> Result<Result<u16, String>, Obstacle> {
    let name = webhook.secret_name();
    let sealed = service.store.tenant(tenant).secret("", &name)?;
    let sealed = sealed.ok_or(Obstacle::Secret)?;
    let secret = service.vault.open_sealed(&[tenant, "", &name], &sealed)?;
    let kind = serde_json::to_value(delivery.event.kind)?;
    let body = serde_json::to_string(&Message {
        kind: format!("pipe.{}", kind.as_str().unwrap_or_default()),
        timestamp: delivery.event.at,
        data: &delivery.event,
    })?;
    let (id, at) = (delivery.message_id(), Timestamp::now().as_second());
    let signature = signature::sign(&secret, &id, at, &body).ok_or(Obstacle::Secret)?;
    let url = Url::parse(&webhook.url).map_err(|error| error.to_string());
    let url = match url {
        Ok(url) => url,
        Err(reason) => return Ok(Err(reason)),
    };
    // The URL may have a secret in it: what is told of an error is without it.
    let answered = async {
        let request = service.environment.policy().reach();
        let request = request.request(Method::POST, url).await;
        let request = request.map_err(|error| error.to_string())?;
        let answer = request
            .header("content-type", "application/json")
            .header(
                "user-agent",
                concat!("tidemill/", env!("CARGO_PKG_VERSION")),
            )
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature)
            .body(body)
            .timeout(PATIENCE)
            .send()
            .await;
        let answer = answer.map_err(|error| chain(&error.without_url()))?;
        Ok(answer.status().as_u16())
    };
    // The name is looked up within this time, too.
    match tokio::time::timeout(2 * PATIENCE, answered).await {
        Ok(answered) => Ok(answered),
        Err(_) => Ok(Err("there was no answer in time".to_owned())),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
