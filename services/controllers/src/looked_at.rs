//! Servers that are worth a look, by name.

use lab_client::{Backoff, Change, Client, Error, Informer, InformerOptions, Next, WorkQueue};
use lab_kinds::metal::Server;
use serde::de::DeserializeOwned;

/// Looks at servers whenever what is kept of them says that it is worth it.
pub(crate) struct LookedAt<T> {
    client: Client,
    queue: WorkQueue<String>,
    _informer: Informer<T>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> LookedAt<T> {
    /// Begins to watch. Nothing is done before [`Self::run`]. `turn` sets controllers' waits apart.
    pub fn new(client: Client, backoff: Backoff, turn: u32, is_worth_it: fn(&T) -> bool) -> Self {
        let queue = WorkQueue::new(backoff);
        let options = InformerOptions::everything(backoff.seed.rotate_left(turn));
        let informer = Informer::start(client.resource::<Server>().of::<T>(), options);
        informer.feed(&queue, move |change: &Change<T>| {
            change.new.as_deref().filter(|seen| is_worth_it(seen)).map(|_| change.key.name.clone())
        });
        Self { client, queue, _informer: informer }
    }

    /// Looks at each, two at a time. `name` is the controller's, in the log.
    pub async fn run<F, Looked>(self, name: &'static str, look: F)
    where
        F: Fn(Client, String) -> Looked + Send + Sync + 'static,
        Looked: Future<Output = Result<Next, Error>> + Send + 'static,
    {
        let Self { client, queue, _informer } = self;
        lab_client::run(name, &queue, 2, move |server| look(client.clone(), server)).await;
    }
}
