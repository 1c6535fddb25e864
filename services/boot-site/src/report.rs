//! What a site sees is told to labd: machines, networks, the bastion itself. Seldom and together, so that a storm of packets is no
//! storm of writes; and later where labd is out of reach.

use crate::Site;
use crate::wire::OnTheWire;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use lab_client::{Client, Error, Patch, PatchParams, WriteParams};
use lab_kinds::metal::bastion::{Bastion, BastionInterface, BastionStatus};
use lab_kinds::metal::network::Network;
use lab_kinds::metal::server::{Server, ServerStatus};
use lab_kinds::{Condition, ConditionStatus};
use lab_machine::recognise::Recognition;
use lab_machine::sighting::{self, Sighting};
use lab_object::{Json, ObjectMeta, Reason, Resource, Time, mac::MacAddress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How many machines are reported side by side.
const SIDE_BY_SIDE: usize = 8;
/// How often a write is tried again that met another one.
const TRIES: usize = 5;
/// For how long after it was last heard a machine's silence is looked into.
const LISTENING: SignedDuration = SignedDuration::from_mins(20);
/// How often a heartbeat is recorded.
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(60);

/// Tells labd.
pub(crate) struct Reporter {
    pub client: Client,
    pub site: Arc<Site>,
    /// The Bastion's name.
    pub name: String,
    pub version: String,
    /// Since when this program runs.
    pub since: Timestamp,
}

impl Reporter {
    /// Reports every machine of which something is new. Those that could not be reported stay; the first error is told.
    pub async fn machines(&self) -> Result<(), Error> {
        let fresh = self.site.with(|known| std::mem::take(&mut known.unreported));
        let mut groups: BTreeMap<String, Vec<MacAddress>> = BTreeMap::new();
        // NICs of one machine are reported one after the other, so that a new machine is entered once.
        for mac in fresh {
            let uuid = self.site.with(|known| known.machine(mac).and_then(|machine| machine.uuid.clone()));
            groups.entry(uuid.unwrap_or_else(|| mac.to_string())).or_default().push(mac);
        }
        let outcomes = futures_util::stream::iter(groups.into_values())
            .map(|group| async move {
                let mut failed = Ok(());
                for mac in group {
                    if let Err(error) = self.machine(mac).await {
                        self.site.with(|known| known.unreported.insert(mac));
                        failed = Err(error);
                    }
                }
                failed
            })
            .buffer_unordered(SIDE_BY_SIDE);
        outcomes.fold(Ok(()), |all, one| async { all.and(one) }).await
    }

    async fn machine(&self, mac: MacAddress) -> Result<(), Error> {
        let outcome = self.try_machine(mac).await;
        self.site.figures.report(outcome.is_ok());
        outcome
    }

    async fn try_machine(&self, mac: MacAddress) -> Result<(), Error> {
        let api = self.client.resource::<Server>();
        for _ in 0..TRIES {
            let Some((recognition, server, until)) = self.recognised(mac) else { return Ok(()) };
            let server = match server {
                Some(server) => server,
                None if until.is_some() => self.enter(mac).await?,
                None => return Ok(()),
            };
            let status = self.status(mac, &recognition, &server);
            let name = server.metadata.name.clone().unwrap_or_default();
            match self.write_status::<Server, _>(&server.metadata, &server.status, &status).await {
                Ok(written) => {
                    self.site.announce(&self.client, mac, &server).await?;
                    self.site.with(|known| {
                        written.into_iter().for_each(|server| known.put_server(server));
                        if let Some(machine) = known.heard(mac) {
                            machine.was_reported(until);
                        }
                    });
                    return Ok(());
                }
                // Somebody else wrote meanwhile: what is there now is what counts.
                Err(error) if error.is_conflict() => {
                    let fresh = api.get(&name).await?;
                    self.site.with(|known| known.put_server(fresh));
                }
                // It was deleted a moment ago; where the machine is heard again, it is entered again.
                Err(error) if error.is_not_found() => {
                    self.site.with(|known| known.remove_server(&name));
                    return Ok(());
                }
                // What a machine said of itself is not to stand in the way of all others.
                Err(error) if error.reason() == Some(Reason::Invalid) => {
                    tracing::error!(server = name, %error, "what a machine said of itself is refused and left out");
                    self.site.with(|known| {
                        known.heard(mac).into_iter().for_each(|machine| machine.was_reported(until));
                    });
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        // Whoever writes that often will have written last; a moment later it goes on.
        self.site.with(|known| known.unreported.insert(mac));
        Ok(())
    }

    /// Which Server a machine is, and until when it was heard; nothing where that was reported before. So a machine that a person
    /// forgets is not entered again before it boots again.
    fn recognised(&self, mac: MacAddress) -> Option<(Recognition, Option<Server>, Option<Timestamp>)> {
        self.site.with(|known| {
            let machine = known.machine(mac)?;
            let (recognition, server) = known.recognise(mac, machine.uuid.as_deref());
            Some((
                recognition,
                server.cloned(),
                machine.last_heard().filter(|last| Some(*last) > machine.reported),
            ))
        })
    }

    /// Enters a machine that nobody knows. One of this name may be there and be out of this site's sight.
    async fn enter(&self, mac: MacAddress) -> Result<Server, Error> {
        let api = self.client.resource::<Server>();
        let server = sighting::entered(mac);
        let created = match api.create(&server, &WriteParams::default()).await {
            Err(error) if error.is_already_exists() => api.get(&mac.dashed()).await,
            created => created,
        }?;
        tracing::info!(server = created.metadata.name, "discovered a machine");
        self.site.with(|known| known.put_server(created.clone()));
        Ok(created)
    }

    fn status(&self, mac: MacAddress, recognition: &Recognition, server: &Server) -> ServerStatus {
        let now = self.site.surroundings.now();
        self.site.with(|known| {
            if matches!(recognition, Recognition::Contradiction { .. }) {
                let why = lab_machine::boot::decide(recognition, Some(server)).why;
                return sighting::contradicted(server, &why, now);
            }
            let Some(machine) = known.machine(mac) else { return server.status.clone() };
            let name = server.metadata.name.as_deref().unwrap_or_default();
            let once = known.served.get(name).map(|served| (served.once, server.metadata.generation));
            let seen = Sighting {
                bastion: &self.name,
                mac,
                uuid: machine.uuid.as_deref(),
                platform: machine.platform,
                architecture: machine.architecture,
                address: machine.address,
                network: machine.network.as_deref(),
                once,
                timeline: &machine.timeline,
                said: machine.said(),
            };
            sighting::status(server, &seen, now)
        })
    }

    /// Marks machines that were heard lately, so that those which fell silent are looked at.
    pub fn listen_for_silence(&self) {
        let now = self.site.surroundings.now();
        self.site.with(|known| {
            let lately = known.machines.iter().filter(|(_, machine)| {
                machine.timeline.last().is_some_and(|last| now.duration_since(last) < LISTENING)
            });
            let lately: Vec<MacAddress> = lately.map(|(mac, _)| *mac).collect();
            known.unreported.extend(lately);
        });
    }

    /// Reports the networks that are served.
    pub async fn networks(&self, wire: &OnTheWire) -> Result<(), Error> {
        for name in wire.served.iter().flat_map(|served| &served.networks) {
            let now = self.site.surroundings.now();
            let own = self.site.addresses();
            let known = self.site.with(|known| {
                let network = known.networks.get(name)?.clone();
                let figures = known.figures(&network, &own, now);
                let mut status = network.status.clone();
                status.leases = i32::try_from(figures.leases).ok();
                status.free = i64::try_from(figures.free).ok();
                status.foreign_dhcp_servers = known.foreign(name).map(IpAddr::V4).collect();
                Some((network, status))
            });
            let Some((network, status)) = known else { continue };
            let written = self.write_status::<Network, _>(&network.metadata, &network.status, &status).await;
            // Another bastion of the network wrote; a moment later it is seen what.
            let written = match written {
                Err(error) if error.is_conflict() || error.is_not_found() => None,
                written => written?,
            };
            self.site.with(|known| written.into_iter().for_each(|network| known.put_network(network)));
        }
        Ok(())
    }

    /// Reports the bastion itself; enters it where there is none. Nothing is said of a bastion that has nothing to serve and that
    /// nobody entered.
    pub async fn bastion(&self, wire: &OnTheWire) -> Result<(), Error> {
        let api = self.client.resource::<Bastion>();
        let known = self.site.with(|known| known.bastion.clone());
        let bastion = match known {
            Some(bastion) => bastion,
            None if wire.served.is_empty() && wire.trouble.is_empty() => return Ok(()),
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let bastion = Bastion { metadata, ..Bastion::default() };
                match api.create(&bastion, &WriteParams::default()).await {
                    Err(error) if error.is_already_exists() => api.get(&self.name).await,
                    created => created,
                }?
            }
        };
        let status = self.bastion_status(&bastion.status, wire);
        let written = match self.write_status::<Bastion, _>(&bastion.metadata, &bastion.status, &status).await
        {
            Err(error) if error.is_conflict() => Some(api.get(&self.name).await?),
            written => written?,
        };
        self.site.with(|known| known.set_bastion(Some(written.unwrap_or(bastion))));
        Ok(())
    }

    fn bastion_status(&self, before: &BastionStatus, wire: &OnTheWire) -> BastionStatus {
        let now = self.site.surroundings.now();
        let due = before.last_heartbeat.is_none_or(|last| now.duration_since(last.0) >= HEARTBEAT);
        let served = |name: &str| wire.served.iter().find(|served| served.interface == name);
        let interfaces = wire.interfaces.iter().map(|interface| BastionInterface {
            name: interface.name.clone(),
            mac: interface.mac,
            addresses: interface.addresses.iter().map(|(address, _)| IpAddr::V4(*address)).collect(),
            network: served(&interface.name).and_then(|served| served.networks.first().cloned()),
        });
        let online = before.online == Some(true);
        let mut conditions = before.conditions.clone();
        put(&mut conditions, serving(wire), now);
        let (used, artefacts) = self.site.cache.get().map(|cache| cache.report()).unwrap_or_default();
        BastionStatus {
            cache_used_bytes: i64::try_from(used).ok().filter(|used| *used > 0),
            artefacts,
            online: Some(true),
            since: if online { before.since } else { Some(Time(self.since)) },
            last_heartbeat: if due || !online { Some(Time(now)) } else { before.last_heartbeat },
            version: self.version.clone(),
            addresses: wire.served.iter().map(|served| IpAddr::V4(served.address)).collect(),
            interfaces: interfaces.collect(),
            conditions,
            ..before.clone()
        }
    }

    /// Says that the bastion goes.
    pub async fn goodbye(&self) -> Result<(), Error> {
        let Some(bastion) = self.site.with(|known| known.bastion.clone()) else { return Ok(()) };
        let now = Some(Time(self.site.surroundings.now()));
        let status =
            BastionStatus { online: Some(false), since: now, last_heartbeat: now, ..bastion.status.clone() };
        let patch = json!({"status": difference(&bastion.status, &status)});
        self.client
            .resource::<Bastion>()
            .patch_status(&self.name, &Patch::Merge(patch), &PatchParams::default())
            .await
            .map(drop)
    }

    /// Writes what is new in a status, if the object is still as it was seen. What is there afterwards; nothing where nothing is new.
    async fn write_status<T, S>(
        &self,
        metadata: &ObjectMeta,
        before: &S,
        after: &S,
    ) -> Result<Option<T>, Error>
    where
        T: Resource + Serialize + DeserializeOwned,
        S: Serialize,
    {
        let Some(change) = difference(before, after) else { return Ok(None) };
        let name = metadata.name.as_deref().unwrap_or_default();
        let patch = json!({"metadata": {"resourceVersion": metadata.resource_version}, "status": change});
        let api = self.client.resource::<T>();
        api.patch_status(name, &Patch::Merge(patch), &PatchParams::default()).await.map(Some)
    }
}

/// Whether a bastion serves all that it is to.
fn serving(wire: &OnTheWire) -> Condition {
    let condition = Condition { kind: "Serving".into(), ..Condition::default() };
    let because = |status, reason: &str, message: Option<String>| Condition {
        status,
        reason: Some(reason.into()),
        message,
        ..condition
    };
    if !wire.trouble.is_empty() {
        let why: Vec<String> =
            wire.trouble.iter().map(|(interface, why)| format!("{interface}: {why}")).collect();
        return because(ConditionStatus::False, "InterfaceFailed", Some(why.join("; ")));
    }
    if wire.served.is_empty() {
        let why = "no Network that this bastion is to serve has an address of one of its interfaces";
        return because(ConditionStatus::False, "NothingToServe", Some(why.into()));
    }
    because(ConditionStatus::True, "InterfacesOpen", None)
}

/// Puts a condition in the place of the one of its kind.
fn put(conditions: &mut Vec<Condition>, condition: Condition, now: Timestamp) {
    let before = conditions.iter().position(|other| other.kind == condition.kind);
    let before = before.map(|at| conditions.remove(at));
    let same = before.filter(|before| before.status == condition.status);
    let since = same.and_then(|before| before.last_transition_time).or(Some(Time(now)));
    conditions.push(Condition { last_transition_time: since, ..condition });
}

/// The merge patch (RFC 7396) that makes the one of the other; nothing where they are the same.
fn difference(before: &impl Serialize, after: &impl Serialize) -> Option<Json> {
    between(&serde_json::to_value(before).ok()?, &serde_json::to_value(after).ok()?)
}

fn between(before: &Json, after: &Json) -> Option<Json> {
    if before == after {
        return None;
    }
    let (Json::Object(old), Json::Object(new)) = (before, after) else { return Some(after.clone()) };
    let mut patch = serde_json::Map::new();
    for gone in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(gone.clone(), Json::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => patch.extend(between(before, value).map(|change| (key.clone(), change))),
            None => patch.extend([(key.clone(), value.clone())]),
        }
    }
    Some(Json::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_say_what_is_new() {
        let check = |before: Json, after: Json, expected: Option<Json>| {
            assert_eq!(difference(&before, &after), expected, "{before} {after}");
        };
        check(json!({"a": 1}), json!({"a": 1}), None);
        check(
            json!({"a": 1, "b": {"c": 1, "d": 2}}),
            json!({"b": {"c": 3}}),
            Some(json!({"a": null, "b": {"c": 3, "d": null}})),
        );
        check(json!({"a": [1]}), json!({"a": [1, 2], "x": {}}), Some(json!({"a": [1, 2], "x": {}})));
    }

    #[test]
    fn what_keeps_a_bastion_from_serving_is_said() {
        let check = |wire: &OnTheWire, expected: (ConditionStatus, &str)| {
            let condition = serving(wire);
            assert_eq!((condition.status, condition.reason.as_deref()), (expected.0, Some(expected.1)));
        };
        let mut wire = OnTheWire::default();
        check(&wire, (ConditionStatus::False, "NothingToServe"));
        wire.served.push(lab_machine::serving::Served {
            interface: "eth1".into(),
            address: [10, 1, 0, 1].into(),
            prefix: 24,
            networks: vec!["rack".into()],
        });
        check(&wire, (ConditionStatus::True, "InterfacesOpen"));
        wire.trouble.insert("eth2".into(), "TFTP cannot be opened".into());
        check(&wire, (ConditionStatus::False, "InterfaceFailed"));
    }
}
