//! What keeps guessing slow and cheap: how often somebody may try, and how many hashes are computed at once.

use crate::{caller::Caller, metrics::Metrics, server::too_many};
use jiff::{SignedDuration, Timestamp};
use lab_access::{Guesses, guesses::Limit};
use lab_object::Status;
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Wrong passwords for one user.
const PER_USER: Limit = Limit { failures: 10, window: SignedDuration::from_mins(5) };
/// Wrong passwords and tokens from one address, behind which there may be many people.
const PER_ADDRESS: Limit = Limit { failures: 60, window: SignedDuration::from_mins(5) };
/// Hashes computed at once; each uses 19 MiB and a core.
const HASHES: usize = 2;
/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts guesses, and computes hashes apart from everything else.
pub(crate) struct Guard {
    users: Mutex<Guesses>,
    addresses: Mutex<Guesses>,
    hashes: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// An attempt that was counted. Unless it [succeeds](Attempt::succeed), it stays counted.
pub(crate) struct Attempt<'g> {
    guard: &'g Guard,
    user: Option<String>,
    address: Option<String>,
}

impl Guard {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let (users, addresses) = (Mutex::new(Guesses::new(PER_USER)), Mutex::new(Guesses::new(PER_ADDRESS)));
        Self { users, addresses, hashes: Arc::new(Semaphore::new(HASHES)), metrics }
    }

    /// Counts an attempt to be a user, or to use a token (`user` is `None`), before it is looked at; 429 when there were too
    /// many. Users that do not exist are counted like others.
    pub(crate) fn attempt(
        &self,
        user: Option<&str>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Attempt<'_>, Status> {
        let address = caller.address.map(|address| network(address.ip()));
        let attempt = Attempt { guard: self, user: user.map(ToOwned::to_owned), address };
        let refuse = |until: Timestamp| {
            let wait = until.duration_since(now).as_secs().clamp(1, 3600);
            let message = "too many wrong passwords or tokens; try again later";
            Status::too_many_requests(message, u32::try_from(wait).unwrap_or(1))
        };
        if let Some(address) = &attempt.address {
            self.addresses.lock().attempt(address, now).map_err(refuse)?;
        }
        if let Some(user) = &attempt.user {
            self.users.lock().attempt(user, now).map_err(refuse)?;
        }
        Ok(attempt)
    }

    /// Computes on a thread that may block, when it is its turn; 429 when that takes too long.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        hash: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let turn = tokio::time::timeout(PATIENCE, self.hashes.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(too_many("logins")) };
        self.metrics.hashed();
        let computed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            hash()
        });
        computed.await.map_err(crate::fault::internal)
    }
}

impl Attempt<'_> {
    /// It was a wrong guess: it stays counted. Until when its user is refused from now on, where it was one too many.
    pub(crate) fn fail(self, now: Timestamp) -> Option<Timestamp> {
        self.guard.users.lock().refused_until(self.user.as_deref()?, now)
    }

    /// It was no wrong guess.
    pub(crate) fn succeed(self) {
        if let Some(user) = &self.user {
            self.guard.users.lock().forget(user);
        }
        if let Some(address) = &self.address {
            self.guard.addresses.lock().take_back(address);
        }
    }

    /// It did not come to a guess.
    pub(crate) fn take_back(self) {
        if let Some(user) = &self.user {
            self.guard.users.lock().take_back(user);
        }
        if let Some(address) = &self.address {
            self.guard.addresses.lock().take_back(address);
        }
    }
}

/// What counts as one address: with IPv6, the /64 that anybody has all of.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }
}
