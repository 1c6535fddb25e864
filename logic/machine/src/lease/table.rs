//! The leases of one network.

use super::{NoAddress, Pool, Verdict};
use jiff::Timestamp;
use lab_object::mac::MacAddress;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// How long an address is held for a client that was offered it. UEFI firmware collects offers for up to 4 s.
const OFFER_SECONDS: i64 = 30;
/// How long an address rests that somebody else was found to use.
const CONFLICT_SECONDS: i64 = 600;
/// How long an address counts as free that was looked for and that nobody had: from its offer to the client's request, and a while for clients
/// that ask again.
const FREE_SECONDS: i64 = 60;
/// How long after its lease ended a client is taken to have its address for itself still.
const OWN_SECONDS: i64 = 86_400;
/// The version of the stored form.
const VERSION: u32 = 1;

/// The leases of one network. Stored as JSON with a version; a table of a newer version is refused, not misread.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Leases {
    by_address: BTreeMap<Ipv4Addr, Lease>,
    by_mac: HashMap<MacAddress, Ipv4Addr>,
    /// Addresses whose leases changed since they were last taken to be stored.
    changed: BTreeSet<Ipv4Addr>,
    /// Until when addresses count as free, in seconds since 1970.
    free: HashMap<Ipv4Addr, i64>,
    /// When those are next gone through for what is over.
    tidy: i64,
}

/// An address and who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The client's hardware address; for an address in conflict, that of the client that was to have it.
    pub mac: MacAddress,
    /// Whether it was taken.
    pub state: State,
    /// Until when it is held, in seconds since 1970.
    pub until: i64,
}

/// Whether an address was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was offered.
    Offered,
    /// The client took it.
    Bound,
    /// Somebody else was found to use it.
    Conflict,
}

/// How many addresses there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Addresses that clients have at present.
    pub leases: usize,
    /// Addresses of the ranges that are free.
    pub free: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    version: u32,
    leases: Vec<Lease>,
}

/// A stored table has a version that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the table of leases has version {found}, and this program reads version {VERSION}; use the newer program that wrote it"
)]
pub struct UnknownVersion {
    /// The version found.
    pub found: u32,
}

impl From<Leases> for Stored {
    fn from(table: Leases) -> Self {
        Self { version: VERSION, leases: table.by_address.into_values().collect() }
    }
}

impl TryFrom<Stored> for Leases {
    type Error = UnknownVersion;
    fn try_from(stored: Stored) -> Result<Self, UnknownVersion> {
        if stored.version != VERSION {
            return Err(UnknownVersion { found: stored.version });
        }
        let mut table = Self::default();
        stored.leases.into_iter().for_each(|lease| table.restore(lease));
        Ok(table)
    }
}

impl Leases {
    /// Chooses an address for a client that looks for one, and holds it for half a minute: the one kept for it, the one it had,
    /// the one it asks for, one that nobody had yet, or else the one that was given up longest ago.
    pub fn offer(
        &mut self,
        pool: &Pool,
        mac: MacAddress,
        requested: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Result<Ipv4Addr, NoAddress> {
        let address = self.choose(pool, mac, requested, now)?;
        let held =
            self.by_address.get(&address).filter(|lease| lease.mac == mac && lease.state == State::Bound);
        let now = now.as_second();
        // An offer does not shorten what the client has already.
        let (state, until) = match held {
            Some(lease) if lease.until > now => (State::Bound, lease.until),
            _ => (State::Offered, now + OFFER_SECONDS),
        };
        self.put(Lease { address, mac, state, until });
        Ok(address)
    }

    /// The address that a client would be offered, where somebody else may have it: nobody of ours had it lately, and it was not looked for.
    /// It is held for the client meanwhile. Servers look before they offer (RFC 2131 section 2.2).
    pub fn unsure(
        &mut self,
        pool: &Pool,
        mac: MacAddress,
        requested: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Option<Ipv4Addr> {
        let address = self.choose(pool, mac, requested, now).ok()?;
        let own = self.by_address.get(&address).is_some_and(|lease| {
            lease.mac == mac
                && lease.state == State::Bound
                && now.as_second() < lease.until.saturating_add(OWN_SECONDS)
        });
        if own {
            self.found_free(address, now);
        }
        if self.free.get(&address).is_some_and(|until| now.as_second() < *until) {
            return None;
        }
        let until = now.as_second() + OFFER_SECONDS;
        self.put(Lease { address, mac, state: State::Offered, until });
        Some(address)
    }

    /// An address was looked for, and nobody has it.
    pub fn found_free(&mut self, address: Ipv4Addr, now: Timestamp) {
        let now = now.as_second();
        if self.tidy <= now {
            self.free.retain(|_, until| now < *until);
            self.tidy = now + FREE_SECONDS;
        }
        self.free.insert(address, now + FREE_SECONDS);
    }

    /// Gives a client the address it asks for, for so many seconds. An address of ours that the table does not know is granted
    /// where nobody else has it, as the table may have been lost.
    pub fn request(
        &mut self,
        pool: &Pool,
        mac: MacAddress,
        address: Ipv4Addr,
        seconds: u32,
        now: Timestamp,
    ) -> Verdict {
        let nak = |why: String| Verdict::Nak { why };
        if !pool.contains(address) {
            return nak(format!("{address} is not of this network"));
        }
        if !pool.allows(mac, address) {
            return nak(format!("{address} is not for this client"));
        }
        match self.by_address.get(&address) {
            Some(lease) if lease.state == State::Conflict && lease.until > now.as_second() => {
                return nak(format!("{address} was found in use by another machine"));
            }
            Some(lease) if lease.mac != mac && lease.until > now.as_second() => {
                return nak(format!("{address} is held by {}", lease.mac));
            }
            _ => {}
        }
        if let Some(kept) = pool.kept_for(mac)
            && kept != address
            && self.is_free_for(kept, mac, now)
        {
            return nak(format!("{kept} is kept for this client"));
        }
        self.put(Lease { address, mac, state: State::Bound, until: now.as_second() + i64::from(seconds) });
        Verdict::Ack(address)
    }

    /// A client found the address that it was given in use (DHCPDECLINE). Only the client that has it may say so.
    pub fn decline(&mut self, mac: MacAddress, address: Ipv4Addr, now: Timestamp) {
        if self.by_address.get(&address).is_some_and(|lease| lease.mac == mac) {
            self.conflict(mac, address, now);
        }
    }

    /// Somebody else was found to use an address that a client was to have.
    pub fn conflict(&mut self, mac: MacAddress, address: Ipv4Addr, now: Timestamp) {
        self.free.remove(&address);
        self.put(Lease { address, mac, state: State::Conflict, until: now.as_second() + CONFLICT_SECONDS });
    }

    /// A client gives its address up. It gets it again where it comes back before others need it.
    pub fn release(&mut self, mac: MacAddress, address: Ipv4Addr, now: Timestamp) {
        if let Some(lease) = self.by_address.get_mut(&address).filter(|lease| lease.mac == mac) {
            lease.until = lease.until.min(now.as_second());
            self.changed.insert(address);
        }
    }

    /// Puts a stored lease back. Of several for one address or one client the last one holds.
    pub fn restore(&mut self, lease: Lease) {
        self.put(lease);
        self.changed.remove(&lease.address);
    }

    /// Whether leases changed since they were last taken.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The leases that changed since they were last taken. What is only offered is not among them: nobody relies on it.
    pub fn take_changed(&mut self) -> Vec<Lease> {
        let changed = std::mem::take(&mut self.changed);
        changed.iter().filter_map(|address| self.by_address.get(address).copied()).collect()
    }

    /// The address that a client has, or had last.
    pub fn of(&self, mac: MacAddress) -> Option<Ipv4Addr> {
        self.by_mac.get(&mac).copied()
    }

    /// Who has an address at present.
    pub fn holder(&self, address: Ipv4Addr, now: Timestamp) -> Option<MacAddress> {
        let lease = self.by_address.get(&address)?;
        (lease.state == State::Bound && lease.until > now.as_second()).then_some(lease.mac)
    }

    /// The client that had an address last, even if its lease has ended: iPXE and installers go on with an address whose
    /// short lease is over.
    pub fn last_holder(&self, address: Ipv4Addr) -> Option<MacAddress> {
        self.by_address.get(&address).filter(|lease| lease.state == State::Bound).map(|lease| lease.mac)
    }

    /// Every lease, in the order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_address.values()
    }

    /// How many addresses are given out, and how many are free.
    pub fn figures(&self, pool: &Pool, now: Timestamp) -> Figures {
        let live = self.by_address.values().filter(|lease| lease.until > now.as_second());
        let (mut leases, mut taken) = (0, 0);
        for lease in live {
            leases += usize::from(lease.state == State::Bound);
            taken += u64::from(pool.kept_for(lease.mac) != Some(lease.address));
        }
        Figures { leases, free: pool.size().saturating_sub(taken) }
    }

    fn choose(
        &self,
        pool: &Pool,
        mac: MacAddress,
        requested: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Result<Ipv4Addr, NoAddress> {
        let kept = pool.kept_for(mac);
        let wishes = [kept, self.by_mac.get(&mac).copied(), requested];
        let mut wishes = wishes.into_iter().flatten();
        if let Some(address) =
            wishes.find(|address| pool.allows(mac, *address) && self.is_free_for(*address, mac, now))
        {
            return Ok(address);
        }
        let mut oldest: Option<(i64, Ipv4Addr)> = None;
        for address in pool.round(mac) {
            match self.by_address.get(&address) {
                None => return Ok(address),
                Some(lease) if lease.until <= now.as_second() => {
                    let this = (lease.until, address);
                    oldest = Some(oldest.map_or(this, |other| other.min(this)));
                }
                Some(_) => {}
            }
        }
        oldest.map(|(_, address)| address).ok_or(match kept {
            Some(address) if pool.size() == 0 => NoAddress::InConflict { address },
            _ if pool.size() == 0 => NoAddress::NoRanges,
            _ => NoAddress::Exhausted,
        })
    }

    fn is_free_for(&self, address: Ipv4Addr, mac: MacAddress, now: Timestamp) -> bool {
        self.by_address.get(&address).is_none_or(|lease| {
            lease.until <= now.as_second() || (lease.mac == mac && lease.state != State::Conflict)
        })
    }

    /// One address has one client, and one client one address.
    fn put(&mut self, lease: Lease) {
        if lease.state != State::Offered {
            self.changed.insert(lease.address);
        }
        if let Some(before) = self.by_address.insert(lease.address, lease) {
            self.forget(before.mac, lease.address);
        }
        if lease.state == State::Conflict {
            return;
        }
        if let Some(before) = self.by_mac.insert(lease.mac, lease.address)
            && before != lease.address
        {
            self.by_address.remove(&before);
        }
    }

    /// A client has not this address any more. It may have another one by now.
    fn forget(&mut self, mac: MacAddress, address: Ipv4Addr) {
        if self.by_mac.get(&mac) == Some(&address) {
            self.by_mac.remove(&mac);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::metal::Server;
    use lab_kinds::metal::network::{Dhcp, DhcpMode, DhcpRange, DhcpReservation, NetworkSpec};
    use lab_kinds::metal::server::ServerAddress;
    use proptest::prelude::*;

    fn mac(last: u8) -> MacAddress {
        MacAddress([0x52, 0x54, 0, 0, 0, last])
    }
    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 9, 0, last)
    }
    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is a time")
    }

    /// Addresses 10 to 13; 12 kept for machine 200, 50 for 201, 60 for server 202; 10 is the router's.
    fn pool() -> Pool {
        let reservation = |mac, address| DhcpReservation { mac, address, hostname: None };
        let spec = NetworkSpec {
            gateway: Some(ip(10).into()),
            dhcp: Dhcp {
                mode: DhcpMode::Full,
                ranges: vec![
                    DhcpRange { start: ip(13), end: ip(14) },
                    DhcpRange { start: ip(10), end: ip(12) },
                ],
                reservations: vec![reservation(mac(200), ip(12)), reservation(mac(201), ip(50))],
                lease_seconds: 3600,
            },
            ..NetworkSpec::new("10.9.0.0/24".parse().expect("it is a network"))
        };
        let mut server = Server::default();
        server.spec.macs = vec![mac(202), mac(203)];
        server.spec.addresses = vec![ServerAddress { address: ip(60).into(), network: None, mac: None }];
        Pool::new("rack", &spec, [&server], &[ip(14)])
    }

    #[test]
    fn firmware_then_ipxe_then_the_system_get_one_address() {
        let (pool, mut leases) = (pool(), Leases::default());
        let first = leases.offer(&pool, mac(1), None, at(0)).expect("there is one");
        assert!([ip(11), ip(13)].contains(&first));
        assert_eq!(leases.request(&pool, mac(1), first, 30, at(1)), Verdict::Ack(first));
        for later in [5, 100, 1000] {
            assert_eq!(leases.offer(&pool, mac(1), None, at(later)), Ok(first));
            assert_eq!(leases.request(&pool, mac(1), first, 30, at(later)), Verdict::Ack(first));
        }
        assert_eq!(leases.iter().count(), 1);
        assert_eq!(leases.holder(first, at(1010)), Some(mac(1)));
        assert_eq!(leases.holder(first, at(1030)), None);
        assert_eq!(leases.last_holder(first), Some(mac(1)));
    }

    #[test]
    fn kept_addresses() {
        let (pool, mut leases) = (pool(), Leases::default());
        for (machine, address) in [(200, 12), (201, 50), (202, 60)] {
            assert_eq!(leases.offer(&pool, mac(machine), Some(ip(11)), at(0)), Ok(ip(address)));
            assert_eq!(
                leases.request(&pool, mac(machine), ip(address), 60, at(1)),
                Verdict::Ack(ip(address))
            );
        }
        // A server's other NIC gets an address of the ranges while the first one has the server's.
        let other = leases.offer(&pool, mac(203), None, at(2)).expect("there is one");
        assert!([ip(11), ip(13)].contains(&other));
        assert_eq!(leases.offer(&pool, mac(203), None, at(1000)), Ok(ip(60)));
        for (machine, address) in [(1, 12), (1, 50), (1, 10), (1, 14), (1, 99)] {
            let verdict = leases.request(&pool, mac(machine), ip(address), 60, at(3));
            assert!(matches!(verdict, Verdict::Nak { .. }), "{machine} {address}");
        }
        // A machine that kept an address from before its reservation is sent for the new one.
        assert!(matches!(leases.request(&pool, mac(201), ip(11), 60, at(4000)), Verdict::Nak { .. }));
    }

    #[test]
    fn taken_addresses_and_the_end_of_the_pool() {
        let (pool, mut leases) = (pool(), Leases::default());
        let a = leases.offer(&pool, mac(1), None, at(0)).expect("there is one");
        assert_eq!(leases.request(&pool, mac(1), a, 100, at(0)), Verdict::Ack(a));
        let b = leases.offer(&pool, mac(2), Some(a), at(0)).expect("there is one");
        assert_ne!(a, b);
        assert!(matches!(leases.request(&pool, mac(2), a, 100, at(0)), Verdict::Nak { .. }));
        assert_eq!(leases.request(&pool, mac(2), b, 200, at(0)), Verdict::Ack(b));
        assert_eq!(leases.offer(&pool, mac(3), None, at(50)), Err(NoAddress::Exhausted));
        assert_eq!(leases.figures(&pool, at(50)).leases, 2);
        // What was given up longest ago goes first.
        assert_eq!(leases.offer(&pool, mac(3), None, at(300)), Ok(a));
        assert_eq!(leases.offer(&pool, mac(1), None, at(300)), Ok(b));
        assert!(matches!(
            leases.request(&pool, mac(9), Ipv4Addr::new(10, 8, 0, 11), 60, at(0)),
            Verdict::Nak { .. }
        ));
    }

    #[test]
    fn a_lost_table_is_grown_again_from_what_clients_say() {
        let (pool, mut leases) = (pool(), Leases::default());
        assert_eq!(leases.request(&pool, mac(1), ip(13), 60, at(0)), Verdict::Ack(ip(13)));
        assert!(matches!(leases.request(&pool, mac(2), ip(13), 60, at(1)), Verdict::Nak { .. }));
    }

    #[test]
    fn conflicts_rest() {
        let (pool, mut leases) = (pool(), Leases::default());
        let a = leases.offer(&pool, mac(1), None, at(0)).expect("there is one");
        leases.request(&pool, mac(1), a, 30, at(0));
        // Nobody but its client can take an address out of the pool.
        leases.decline(mac(2), a, at(1));
        assert_eq!(leases.offer(&pool, mac(1), None, at(1)), Ok(a));
        leases.decline(mac(1), a, at(1));
        let b = leases.offer(&pool, mac(1), Some(a), at(2)).expect("there is another");
        assert_ne!(a, b);
        assert!(matches!(leases.request(&pool, mac(1), a, 30, at(3)), Verdict::Nak { .. }));
        assert_eq!(leases.offer(&pool, mac(2), Some(a), at(2)), Err(NoAddress::Exhausted));
        assert_eq!(leases.offer(&pool, mac(2), Some(a), at(602)), Ok(a));
    }

    #[test]
    fn looked_for_once() {
        let (pool, mut leases) = (pool(), Leases::default());
        let a = leases.unsure(&pool, mac(1), None, at(0)).expect("nobody knows who has it");
        // It is held while it is looked for.
        let b = leases.unsure(&pool, mac(2), Some(a), at(0)).expect("nor this one");
        assert_ne!(a, b);
        leases.conflict(mac(1), a, at(0));
        leases.found_free(b, at(0));
        assert_eq!(leases.unsure(&pool, mac(1), None, at(0)), None, "none is left");
        assert_eq!(leases.offer(&pool, mac(1), None, at(0)), Err(NoAddress::Exhausted));
        assert_eq!(leases.unsure(&pool, mac(2), None, at(1)), None);
        assert_eq!(leases.offer(&pool, mac(2), None, at(1)), Ok(b));
        assert_eq!(leases.unsure(&pool, mac(2), None, at(70)), Some(b), "it was not taken");
        // Whoever had an address lately is given it without a look, also after its lease.
        leases.found_free(b, at(70));
        assert_eq!(leases.request(&pool, mac(2), b, 30, at(71)), Verdict::Ack(b));
        for later in [100, 5_000, 80_000] {
            assert_eq!(leases.unsure(&pool, mac(2), None, at(later)), None, "{later}");
            assert_eq!(leases.offer(&pool, mac(2), None, at(later)), Ok(b));
            assert_eq!(leases.unsure(&pool, mac(2), None, at(later + 1)), None, "{later}");
            assert_eq!(leases.request(&pool, mac(2), b, 30, at(later + 1)), Verdict::Ack(b));
        }
        assert_eq!(leases.unsure(&pool, mac(2), None, at(300_000)), Some(b));
        // An address in conflict is looked for again when it has rested.
        assert_eq!(leases.unsure(&pool, mac(3), Some(a), at(700)), Some(a));
    }

    #[test]
    fn released_and_taken_again() {
        let (pool, mut leases) = (pool(), Leases::default());
        leases.request(&pool, mac(1), ip(11), 3600, at(0));
        leases.release(mac(2), ip(11), at(1));
        assert_eq!(leases.holder(ip(11), at(2)), Some(mac(1)));
        leases.release(mac(1), ip(11), at(3));
        assert_eq!(leases.holder(ip(11), at(4)), None);
        assert_eq!(leases.offer(&pool, mac(1), None, at(5)), Ok(ip(11)));
    }

    #[test]
    fn a_network_without_ranges() {
        let (mut leases, pool) = (Leases::default(), Pool::default());
        assert_eq!(leases.offer(&pool, mac(1), None, at(0)), Err(NoAddress::NoRanges));
    }

    #[test]
    fn the_stored_form() {
        let mut leases = Leases::default();
        leases.request(&pool(), mac(1), ip(11), 30, at(1000));
        let text = serde_json::to_string(&leases).expect("it is JSON");
        let expected = r#"{"version":1,"leases":[{"address":"10.9.0.11","mac":"52:54:00:00:00:01","state":"bound","until":1030}]}"#;
        assert_eq!(text, expected);
        let read: Leases = serde_json::from_str(&text).expect("it is a table");
        assert_eq!(read.holder(ip(11), at(1001)), Some(mac(1)));
        let newer = text.replace(r#""version":1"#, r#""version":2"#);
        assert!(
            serde_json::from_str::<Leases>(&newer)
                .expect_err("it is newer")
                .to_string()
                .contains("version 2")
        );
    }

    proptest! {
        /// Whatever clients do: no address has two holders, and no client two addresses.
        #[test]
        fn nobody_shares_an_address(steps in proptest::collection::vec((0u8..5, 0u8..5, 8u8..16, 0i64..50), 1..200)) {
            let (pool, mut leases, mut now) = (pool(), Leases::default(), 0);
            let mut granted: std::collections::HashMap<Ipv4Addr, (MacAddress, i64)> = Default::default();
            for (what, client, address, later) in steps {
                now += later;
                let (client, address) = (mac(client), ip(address));
                match what {
                    0 | 1 => { let _ = leases.offer(&pool, client, Some(address), at(now)); }
                    2 => {
                        let verdict = leases.request(&pool, client, address, 30, at(now));
                        if verdict == Verdict::Ack(address) {
                            // Who takes another address gives up the one it had.
                            granted.retain(|_, (holder, _)| *holder != client);
                            if let Some((other, until)) = granted.insert(address, (client, now + 30)) {
                                prop_assert!(until <= now, "{} has {} until {}", other, address, until);
                            }
                        }
                    }
                    3 => leases.decline(client, address, at(now)),
                    _ => {
                        leases.release(client, address, at(now));
                        granted.retain(|held, (holder, _)| *held != address || *holder != client);
                    }
                }
                let mut held: Vec<_> = leases.iter().filter(|l| l.state != State::Conflict).map(|l| l.mac).collect();
                held.sort_unstable();
                let count = held.len();
                held.dedup();
                prop_assert_eq!(held.len(), count);
            }
        }
    }
}
