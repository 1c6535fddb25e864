//! A machine's certificate that is used from two places at once: somebody has copied it, or two machines were made from one
//! image.
//!
//! Two places are two addresses with live connections between which the use goes back and forth: the one, the other, and the one
//! again. An address that merely changes is left and not come back to while a connection from it still lives.

use crate::{
    caller::{Caller, Credential},
    metadata,
    server::ApiServer,
};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use lab_access::machine::{BASTIONS, SERVERS};
use lab_object::Time;
use parking_lot::Mutex;
use serde_json::json;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Time until the same is said again about a machine.
const AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// From where machines' certificates are used.
#[derive(Default)]
pub(crate) struct Sightings(Mutex<HashMap<String, Sighted>>);

#[derive(Default)]
struct Sighted {
    /// Live connections, by address.
    live: HashMap<IpAddr, usize>,
    /// The address that was used last, and the other one before it.
    last: Option<IpAddr>,
    before: Option<IpAddr>,
    reported: Option<Timestamp>,
}

/// A connection by a machine, while it lives.
pub(crate) struct Live {
    sightings: Arc<Sightings>,
    user: String,
    address: IpAddr,
}

/// Whether a caller is a machine that showed its certificate.
fn is_machine(caller: &Caller) -> bool {
    matches!(caller.shown, Credential::Certificate(_)) && (caller.is_in(BASTIONS) || caller.is_in(SERVERS))
}

impl Sightings {
    /// Counts a connection, until what is returned is dropped.
    pub(crate) fn open(self: &Arc<Self>, caller: &Caller) -> Option<Live> {
        let address = caller.address.filter(|_| is_machine(caller))?.ip().to_canonical();
        let mut all = self.0.lock();
        *all.entry(caller.user.clone()).or_default().live.entry(address).or_default() += 1;
        Some(Live { sightings: self.clone(), user: caller.user.clone(), address })
    }

    /// Takes note of a request; the two addresses, when it shows that the certificate is used from both.
    fn used(&self, caller: &Caller, now: Timestamp) -> Option<(IpAddr, IpAddr)> {
        let address = caller.address.filter(|_| is_machine(caller))?.ip().to_canonical();
        let mut all = self.0.lock();
        let sighted = all.get_mut(&caller.user)?;
        if sighted.last == Some(address) {
            return None;
        }
        let other = sighted.last.replace(address);
        let returned = std::mem::replace(&mut sighted.before, other) == Some(address);
        let other = other.filter(|other| returned && sighted.live.contains_key(other))?;
        if sighted.reported.is_some_and(|at| now < at.saturating_add(AGAIN).unwrap_or(Timestamp::MAX)) {
            return None;
        }
        sighted.reported = Some(now);
        Some((other, address))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut all = self.sightings.0.lock();
        let Some(sighted) = all.get_mut(&self.user) else { return };
        if let Some(count) = sighted.live.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                sighted.live.remove(&self.address);
            }
        }
        if sighted.live.is_empty() {
            all.remove(&self.user);
        }
    }
}

impl ApiServer {
    /// Says in the log, and in an Event about the machine, when its certificate is used from two places.
    pub(crate) async fn sight(&self, caller: &Caller) {
        let now = Timestamp::now();
        let Some((one, other)) = self.sightings.used(caller, now) else { return };
        let user = &caller.user;
        tracing::warn!(identity = user, %one, %other, "a certificate is used from two places at once");
        let Ok(Some(object)) = self.object_of(user).await else { return };
        let message = format!(
            "The certificate of {user} is used from {one} and from {other} at once: it may have been copied. \
             A CertificateRevocation for this user ends it."
        );
        let at = Time::cut(now);
        let event = json!({
            "metadata": {"generateName": format!("{}.", metadata::text(&object, "name")), "namespace": "default"},
            "involvedObject": {"apiVersion": object["apiVersion"], "kind": object["kind"],
                "name": metadata::text(&object, "name"), "uid": metadata::text(&object, "uid")},
            "type": "Warning", "reason": "CertificateUsedTwice", "message": message,
            "source": {"component": "labd"}, "firstTimestamp": at, "lastTimestamp": at, "count": 1});
        let path = "/api/v1/namespaces/default/events";
        if let Err(status) = self.own(Method::POST, path, "application/json", &event).await {
            tracing::warn!(identity = user, why = status.message, "the event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_access::credentials::Certificate;

    fn caller(last: u8) -> Caller {
        let shown =
            Certificate { serial_number: "1".into(), issued: Timestamp::UNIX_EPOCH, expires: Timestamp::MAX };
        Caller {
            address: Some(([10, 0, 0, last], 999).into()),
            shown: Credential::Certificate(Arc::new(shown)),
            ..Caller::new("bastion:b", [BASTIONS])
        }
    }

    #[test]
    fn two_places() {
        let sightings = Arc::new(Sightings::default());
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let uses = |last: u8, minute: i64| sightings.used(&caller(last), at(minute)).is_some();
        let (one, two) = (sightings.open(&caller(1)), sightings.open(&caller(2)));
        assert!(!uses(1, 0) && !uses(1, 0));
        assert!(!uses(2, 1), "an address may change");
        assert!(uses(1, 2), "and is not come back to");
        assert!(!uses(2, 3) && !uses(1, 4), "it is said once");
        assert!(uses(2, 63));
        drop(one);
        assert!(!uses(2, 200) && !uses(3, 200));
        drop(two);
        assert!(sightings.0.lock().is_empty());
        let someone = Caller { shown: Credential::None, ..caller(1) };
        assert!(sightings.open(&someone).is_none());
    }
}
