//! What happens to pipes: written down, and told to whoever listens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::store::{Event, NewEvent, Store};

/// Events that a listener may be behind before it misses some; it finds them in the store.
const BACKLOG: usize = 1024;
/// Listeners of a tenant at a time.
pub(super) const MOST_LISTENERS: usize = 50;
/// How long events are gathered before they are written, unless somebody waits for them.
const GATHER: Duration = Duration::from_millis(50);

/// What the writer is told.
#[derive(Debug)]
enum Told {
    /// An event of a tenant.
    Event(String, NewEvent),
    /// To answer once all that it was told before is written.
    Flush(oneshot::Sender<()>),
}

/// Where events go. A clone is the same place.
#[derive(Clone, Debug)]
pub(super) struct Events {
    new: mpsc::UnboundedSender<Told>,
    written: broadcast::Sender<Arc<(String, Event)>>,
    /// Places of each tenant that has listened.
    places: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// Hears what is written; it has one of its tenant's places until it is dropped.
pub(super) struct Listener {
    pub(super) news: broadcast::Receiver<Arc<(String, Event)>>,
    _place: OwnedSemaphorePermit,
}

impl Events {
    /// Starts to write events into a store.
    pub(super) fn start(store: Arc<Store>, runtime: &tokio::runtime::Handle) -> Self {
        let (new, inbox) = mpsc::unbounded_channel();
        let (written, _) = broadcast::channel(BACKLOG);
        runtime.spawn(write(store, inbox, written.clone()));
        let places = Arc::default();
        Self {
            new,
            written,
            places,
        }
    }

    /// Has an event written down and told.
    pub(super) fn put(&self, tenant: &str, event: NewEvent) {
        // Nobody is there to take it while the service ends.
        let _ = self.new.send(Told::Event(tenant.to_owned(), event));
    }

    /// Waits until all that was put before is written.
    pub(super) async fn flush(&self) {
        let (written, is_written) = oneshot::channel();
        let _ = self.new.send(Told::Flush(written));
        // A writer that is gone writes nothing more.
        let _ = is_written.await;
    }

    /// All that is written from now on, with the tenant's name.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<(String, Event)>> {
        self.written.subscribe()
    }

    /// The same for a client of a tenant; none: the tenant has as many listeners as it may.
    pub(super) fn listen_as(&self, tenant: &str) -> Option<Listener> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let places = places
            .entry(tenant.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(MOST_LISTENERS)));
        let place = places.clone().try_acquire_owned().ok()?;
        Some(Listener {
            news: self.listen(),
            _place: place,
        })
    }
}

async fn write(
    store: Arc<Store>,
    mut inbox: mpsc::UnboundedReceiver<Told>,
    written: broadcast::Sender<Arc<(String, Event)>>,
) {
    let mut told = Vec::new();
    while !told.is_empty() || inbox.recv_many(&mut told, BACKLOG).await > 0 {
        let (mut events, mut waiting) = (Vec::new(), Vec::new());
        for told in told.drain(..) {
            match told {
                Told::Event(tenant, event) => events.push((tenant, event)),
                Told::Flush(waits) => waiting.push(waits),
            }
        }
        if !events.is_empty() {
            match store.put_events(events) {
                Ok(numbered) => numbered.into_iter().for_each(|event| {
                    // That nobody listens is no error.
                    let _ = written.send(Arc::new(event));
                }),
                Err(error) => tracing::error!(%error, "events could not be written"),
            }
        }
        // Who has waited may have gone.
        for waits in waiting {
            let _ = waits.send(());
        }
        gather(&mut inbox, &mut told).await;
    }
}

/// Gathers what the writer is told, until there is enough of it or somebody waits.
async fn gather(inbox: &mut mpsc::UnboundedReceiver<Told>, told: &mut Vec<Told>) {
    let end = Instant::now() + GATHER;
    while told.len() < BACKLOG
        && !matches!(told.last(), Some(Told::Flush(_)))
        && let Ok(Some(new)) = timeout_at(end, inbox.recv()).await
    {
        told.push(new);
    }
}
