//! `Bastion`: a site's boot server.

use super::size::Size;
use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Condition, Define, Kind, Subresource, check};
use lab_object::{ObjectMeta, Time, mac::MacAddress};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Bastion is a site's boot server: it answers machines that boot from the network and serves their files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bastion {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Bastion`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// What the bastion is to do.
    #[serde(skip_serializing_if = "unset")]
    pub spec: BastionSpec,
    /// What is the case with it; written by the bastion itself.
    #[serde(skip_serializing_if = "unset")]
    pub status: BastionStatus,
}

/// What a bastion is to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BastionSpec {
    /// Name of the site it serves: a word of your own, such as `home`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"))]
    pub site: Option<String>,
    /// The address under which machines reach it. Without it, the one of the interface a request came in on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The networks it serves. Without any, every network of its site that one of its interfaces is on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["network"]))]
    pub networks: Vec<BastionNetwork>,
    /// How much room downloaded kernels, images and boot programs may take, such as `20Gi`. Without it, `20Gi`. What was
    /// not used for the longest time makes room for the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_size: Option<Size>,
}

/// A network that a bastion serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BastionNetwork {
    /// Name of the Network object.
    #[schemars(length(min = 1, max = 253))]
    pub network: String,
    /// The bastion's interface on it, such as `eth1`. Without it, the one with an address of the network; a network behind
    /// a DHCP relay has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[^\s/]{1,15}$"))]
    pub interface: Option<String>,
}

/// What is the case with a bastion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BastionStatus {
    /// Whether it is connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// Since when it has been connected, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Its last heartbeat that was recorded. Heartbeats are recorded seldom while all is well; `online` is what counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Time>,
    /// Version of the bastion.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Addresses under which machines reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<IpAddr>,
    /// Its network interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub interfaces: Vec<BastionInterface>,
    /// How many bytes its downloads take at present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cache_used_bytes: Option<i64>,
    /// What it holds, or is fetching, for machines to boot and install from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["checksum"]))]
    pub artefacts: Vec<CachedArtefact>,
    /// End of its certificate, which it renews well before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<Time>,
    /// Aspects of its state: `Connected`, `Serving`, `ArtefactsReady`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
}

/// A network interface of a bastion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BastionInterface {
    /// The operating system's name for it, such as `eth1`.
    pub name: String,
    /// Its MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Addresses it has at present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Vec<IpAddr>,
    /// Name of the Network object it serves through this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// A file that a bastion holds or is fetching.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CachedArtefact {
    /// SHA-256 of the file: `sha256:` and 64 hexadecimal digits.
    pub checksum: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// How many bytes of it are there.
    #[schemars(range(min = 0))]
    pub done_bytes: i64,
    /// How many bytes it has, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub total_bytes: Option<i64>,
    /// Whether all of it is there and fits its checksum.
    #[serde(default, skip_serializing_if = "unset")]
    pub verified: bool,
    /// Why it could not be fetched, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

resource!(Bastion, "metal.lab", "v1alpha1", "bastions", namespaced: false);

impl Define for Bastion {
    fn define() -> Kind {
        Kind::of::<Self>("bastion")
            .categories(&["metal"])
            .columns([
                Column::path("Site", "spec.site", "The site it serves."),
                Column::path("Online", "status.online", "Whether it is connected.")
                    .of_type(ColumnType::Boolean),
                Column::path("Address", "status.addresses", "Addresses under which machines reach it."),
                Column::path("Heartbeat", "status.lastHeartbeat", "Time since its last recorded heartbeat.")
                    .of_type(ColumnType::Date),
                Column::path("Networks", "spec.networks.network", "The networks it serves.").wide(),
                Column::path("Version", "status.version", "Version of the bastion.").wide(),
            ])
            .selectable(&["spec.site", "spec.networks.network", "status.online", "status.interfaces.network"])
            .subresource(Subresource::Status)
            .subresource(Subresource::Logs)
            .validated_by(|new, _| check::sizes(new, "spec.cacheSize"))
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("home-1".into()), ..Default::default() },
            spec: BastionSpec {
                site: Some("home".into()),
                networks: vec![BastionNetwork { network: "rack1".into(), interface: Some("eth1".into()) }],
                cache_size: Some(Size::of_gib(50)),
                ..Default::default()
            },
            status: BastionStatus {
                online: Some(true),
                last_heartbeat: "2026-11-21T12:00:00Z".parse().map(Time).ok(),
                version: "0.1.0".into(),
                addresses: vec![IpAddr::from([10, 20, 0, 2])],
                ..Default::default()
            },
            ..Default::default()
        }
    }
}
