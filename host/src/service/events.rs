//! What happens to pipes: written down, and told to whoever listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use super::store::{Event, NewEvent, Store};

/// Events that a listener may be behind before it misses some; it finds them in the store.
const BACKLOG: usize = 1024;
/// How long events are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);

/// Where events go. A clone is the same place.
#[derive(Clone, Debug)]
pub(super) struct Events {
    new: mpsc::UnboundedSender<(String, NewEvent)>,
    written: broadcast::Sender<Arc<(String, Event)>>,
}

impl Events {
    /// Starts to write events into a store.
    pub(super) fn start(store: Arc<Store>, runtime: &tokio::runtime::Handle) -> Self {
        let (new, inbox) = mpsc::unbounded_channel();
        let (written, _) = broadcast::channel(BACKLOG);
        runtime.spawn(write(store, inbox, written.clone()));
        Self { new, written }
    }

    /// Has an event written down and told.
    pub(super) fn put(&self, tenant: &str, event: NewEvent) {
        // Nobody is there to take it while the service ends.
        let _ = self.new.send((tenant.to_owned(), event));
    }

    /// All that is written from now on, with the tenant's name.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<(String, Event)>> {
        self.written.subscribe()
    }
}

async fn write(
    store: Arc<Store>,
    mut inbox: mpsc::UnboundedReceiver<(String, NewEvent)>,
    written: broadcast::Sender<Arc<(String, Event)>>,
) {
    let mut events = Vec::new();
    while inbox.recv_many(&mut events, BACKLOG).await > 0 {
        match store.put_events(std::mem::take(&mut events)) {
            Ok(numbered) => numbered.into_iter().for_each(|event| {
                // That nobody listens is no error.
                let _ = written.send(Arc::new(event));
            }),
            Err(error) => tracing::error!(%error, "events could not be written"),
        }
        tokio::time::sleep(GATHER).await;
    }
}
