//! `Network`: an IP network on a site, and how machines on it get their addresses.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Condition, Define, Kind, Subresource, check};
use ipnet::IpNet;
use lab_object::{FieldError, Json, ObjectMeta, mac::MacAddress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// Network is an IP network on a site: its addresses, and how machines on it get theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Network`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Standard object metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What the network is to be.
    pub spec: NetworkSpec,
    /// What is the case with it; written by the bastions that serve it.
    #[serde(default, skip_serializing_if = "unset")]
    pub status: NetworkStatus,
}

/// What a network is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSpec {
    /// The network's addresses in CIDR notation, such as `10.20.0.0/24`.
    #[schemars(with = "String", extend("format" = "cidr"))]
    pub cidr: IpNet,
    /// Name of the site the network is on; that of its bastions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub site: Option<String>,
    /// The VLAN's number, where machines have to tag their frames; absent for an untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<i32>,
    /// The router's address, such as `10.20.0.1`. Without one machines reach only this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Addresses of the DNS servers, the preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub dns: Vec<IpAddr>,
    /// The DNS domain that machines complete names with, such as `lab.example`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$")
    )]
    pub domain: Option<String>,
    /// Largest packet in bytes, where it is not the usual 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 9216))]
    pub mtu: Option<i32>,
    /// How machines get their addresses and learn of their boot server.
    #[serde(default = "Dhcp::beside_another")]
    pub dhcp: Dhcp,
}

impl NetworkSpec {
    /// A network of which no more is said: without site, VLAN, router or names, beside somebody else's DHCP server.
    pub fn new(cidr: IpNet) -> Self {
        Self {
            cidr,
            site: None,
            vlan: None,
            gateway: None,
            dns: Vec::new(),
            domain: None,
            mtu: None,
            dhcp: Dhcp::beside_another(),
        }
    }
}

/// How machines get their addresses and learn of their boot server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dhcp {
    /// `full` gives addresses out, `proxy` only names the boot server beside somebody else's DHCP server, `off` answers
    /// nobody.
    #[serde(default = "DhcpMode::beside_another")]
    pub mode: DhcpMode,
    /// The addresses that are given out in mode `full`, besides those of servers and reservations. Without any, only
    /// machines with an address of their own are answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["start"]))]
    pub ranges: Vec<DhcpRange>,
    /// Addresses kept for machines that are no Server objects, such as switches and BMCs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mac"]))]
    pub reservations: Vec<DhcpReservation>,
    /// For how many seconds an address is given out in mode `full`. Machines that are booting get 30 seconds.
    #[serde(default = "Dhcp::default_lease_seconds")]
    #[schemars(range(min = 30, max = 31_536_000))]
    pub lease_seconds: i32,
}

impl Dhcp {
    /// What is safe on a network of which nothing is known: to name the boot server, but give no addresses out.
    pub fn beside_another() -> Self {
        Self {
            mode: DhcpMode::beside_another(),
            ranges: Vec::new(),
            reservations: Vec::new(),
            lease_seconds: Self::default_lease_seconds(),
        }
    }

    /// An hour.
    pub fn default_lease_seconds() -> i32 {
        3600
    }
}

/// How a bastion answers DHCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DhcpMode {
    /// It gives addresses out and names the boot server.
    Full,
    /// It only names the boot server.
    Proxy,
    /// It answers nobody.
    Off,
}

impl DhcpMode {
    fn beside_another() -> Self {
        Self::Proxy
    }
}

/// Addresses that are given out, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DhcpRange {
    /// The first address, such as `10.20.0.100`.
    pub start: Ipv4Addr,
    /// The last address, such as `10.20.0.199`.
    pub end: Ipv4Addr,
}

/// An address kept for a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DhcpReservation {
    /// The machine's MAC address.
    pub mac: MacAddress,
    /// The address it gets, inside or outside of the ranges.
    pub address: Ipv4Addr,
    /// The host name it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub hostname: Option<String>,
}

/// What is the case with a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkStatus {
    /// How many addresses are given out at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub leases: Option<i32>,
    /// How many addresses of the ranges are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub free: Option<i64>,
    /// Other DHCP servers that were heard on the network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub foreign_dhcp_servers: Vec<IpAddr>,
    /// Aspects of the network's state: `Served`, `AddressesLeft`, `NoForeignServer`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
}

resource!(Network, "metal.lab", "v1alpha1", "networks", namespaced: false);

impl Network {
    /// A network of this name, about which nothing has been reported yet.
    pub fn new(name: impl Into<String>, spec: NetworkSpec) -> Self {
        Self {
            api_version: ApiVersion::default(),
            kind: KindName::default(),
            metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
            spec,
            status: NetworkStatus::default(),
        }
    }
}

impl Define for Network {
    fn define() -> Kind {
        Kind::of::<Self>("network")
            .short_names(&["net"])
            .categories(&["metal"])
            .columns([
                Column::path("Site", "spec.site", "The site the network is on."),
                Column::path("CIDR", "spec.cidr", "The network's addresses."),
                Column::path("VLAN", "spec.vlan", "The VLAN's number.").of_type(ColumnType::Integer),
                Column::path("DHCP", "spec.dhcp.mode", "How machines get their addresses."),
                Column::path("Gateway", "spec.gateway", "The router's address.").wide(),
                Column::path("DNS", "spec.dns", "The DNS servers' addresses.").wide(),
                Column::path("Domain", "spec.domain", "The DNS domain.").wide(),
                Column::path("Leases", "status.leases", "How many addresses are given out.")
                    .of_type(ColumnType::Integer)
                    .wide(),
            ])
            .selectable(&["spec.site", "spec.cidr", "spec.vlan", "spec.dhcp.mode"])
            .subresource(Subresource::Status)
            .validated_by(validate)
    }

    fn example() -> Self {
        let spec = NetworkSpec {
            cidr: IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 20, 0, 0), 24)),
            site: Some("home".into()),
            vlan: None,
            gateway: Some(IpAddr::from([10, 20, 0, 1])),
            dns: vec![IpAddr::from([10, 20, 0, 1])],
            domain: Some("lab.example".into()),
            mtu: None,
            dhcp: Dhcp {
                mode: DhcpMode::Full,
                ranges: vec![DhcpRange {
                    start: Ipv4Addr::new(10, 20, 0, 100),
                    end: Ipv4Addr::new(10, 20, 0, 199),
                }],
                reservations: vec![DhcpReservation {
                    mac: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0xff]),
                    address: Ipv4Addr::new(10, 20, 0, 2),
                    hostname: Some("leaf-1".into()),
                }],
                lease_seconds: 3600,
            },
        };
        let status = NetworkStatus { leases: Some(3), free: Some(97), ..Default::default() };
        Self { status, ..Self::new("rack1", spec) }
    }
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let Some(cidr) = check::typed::<IpNet>(new, "/spec/cidr") else { return Vec::new() };
    let mut errors = check::canonical::<MacAddress>(new, &["spec.dhcp.reservations[].mac"]);
    errors.extend(check::canonical::<IpAddr>(new, &["spec.gateway", "spec.dns[]"]));
    errors.extend(check::canonical::<IpNet>(new, &["spec.cidr"]));
    if cidr.trunc() != cidr {
        let why = format!("has bits set beyond its prefix; did you mean {}?", cidr.trunc());
        errors.push(FieldError::invalid("spec.cidr", &new["spec"]["cidr"], why));
        return errors;
    }
    let inside = |text: &str| usable(cidr, text);
    for path in [
        "spec.gateway",
        "spec.dhcp.ranges[].start",
        "spec.dhcp.ranges[].end",
        "spec.dhcp.reservations[].address",
    ] {
        errors.extend(check::texts(new, path, inside));
    }
    errors.extend(check::duplicates(new, "spec.dhcp.reservations[].address"));
    errors.extend(ranges(new));
    let full = new["spec"]["dhcp"]["mode"] == "full";
    if full && matches!(cidr, IpNet::V6(_)) {
        errors.push(FieldError::invalid(
            "spec.dhcp.mode",
            &"full".into(),
            "addresses are given out in IPv4 networks only; choose proxy or off",
        ));
    }
    errors
}

/// An address in the network that a machine can have.
fn usable(cidr: IpNet, text: &str) -> Result<(), String> {
    let Ok(address) = text.parse::<IpAddr>() else { return Ok(()) };
    let IpNet::V4(v4) = cidr else {
        return if cidr.contains(&address) { Ok(()) } else { Err(format!("must lie in {cidr}")) };
    };
    // Networks of one or two addresses (RFC 3021) have neither a network nor a broadcast address.
    let edge = v4.prefix_len() < 31 && (address == v4.network() || address == v4.broadcast());
    if !cidr.contains(&address) {
        Err(format!("must lie in {cidr}"))
    } else if edge {
        Err(format!("must be a machine's address, not that of the network {cidr} or its broadcast address"))
    } else {
        Ok(())
    }
}

/// Ranges run forwards and do not overlap.
fn ranges(network: &Json) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut before: Vec<DhcpRange> = Vec::new();
    for (place, value) in check::each(network, "spec.dhcp.ranges[]") {
        let Ok(range) = DhcpRange::deserialize(value) else { continue };
        if range.end < range.start {
            errors.push(FieldError::invalid(
                format!("{place}.end"),
                &value["end"],
                "must not be before start",
            ));
        } else if let Some(other) = before.iter().find(|b| range.start <= b.end && b.start <= range.end) {
            let why = format!("overlaps the range {} to {}", other.start, other.end);
            errors.push(FieldError::invalid(place, value, why));
        }
        before.push(range);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(spec: Json, fields: &[&str]) {
        let errors = validate(&json!({"spec": spec}), None);
        let found: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(found, fields, "{errors:?}");
    }

    #[test]
    fn refuses() {
        check(json!({"cidr": "10.0.0.0/24", "gateway": "10.0.0.1"}), &[]);
        check(json!({"cidr": "10.0.0.5/24"}), &["spec.cidr"]);
        check(json!({"cidr": "10.0.0.0/24", "gateway": "10.0.1.1"}), &["spec.gateway"]);
        check(json!({"cidr": "10.0.0.0/24", "gateway": "10.0.0.255"}), &["spec.gateway"]);
        check(json!({"cidr": "FD00::/64", "gateway": "fd00:0::1"}), &["spec.gateway", "spec.cidr"]);
        check(json!({"cidr": "10.0.0.0/31", "gateway": "10.0.0.0"}), &[]);
        check(json!({"cidr": "fd00::/64", "gateway": "fd00::1", "dhcp": {"mode": "proxy"}}), &[]);
        check(
            json!({"cidr": "fd00::/64", "gateway": "fd01::1", "dhcp": {"mode": "full"}}),
            &["spec.gateway", "spec.dhcp.mode"],
        );
        let range = |start: &str, end: &str| json!({"start": start, "end": end});
        let ranges =
            |ranges: Json| json!({"cidr": "10.0.0.0/24", "dhcp": {"mode": "full", "ranges": ranges}});
        check(ranges(json!([range("10.0.0.10", "10.0.0.20"), range("10.0.0.21", "10.0.0.21")])), &[]);
        check(
            ranges(json!([range("10.0.0.10", "10.0.0.20"), range("10.0.0.20", "10.0.0.30")])),
            &["spec.dhcp.ranges[1]"],
        );
        check(ranges(json!([range("10.0.0.20", "10.0.0.10")])), &["spec.dhcp.ranges[0].end"]);
        check(ranges(json!([range("10.0.0.20", "10.0.1.10")])), &["spec.dhcp.ranges[0].end"]);
        check(
            json!({"cidr": "10.0.0.0/24", "dhcp": {"reservations": [
                {"mac": "52:54:00:00:00:01", "address": "10.0.0.2"}, {"mac": "52:54:00:00:00:02", "address": "10.0.0.2"}]}}),
            &["spec.dhcp.reservations[1].address"],
        );
    }

    #[test]
    fn is_safe_beside_another_dhcp_server() {
        let network: Network =
            serde_json::from_value(json!({"spec": {"cidr": "10.0.0.0/24"}})).expect("it is valid");
        assert_eq!(network.spec.dhcp, Dhcp::beside_another());
        assert_eq!(network.spec.dhcp.mode, DhcpMode::Proxy);
    }
}
