//! How servers are registered: columns, selectors, checks, names.

use super::*;
use crate::{Column, Define, Kind, Subresource, check};
use lab_object::{FieldError, Json};

impl Define for Server {
    fn define() -> Kind {
        Kind::of::<Self>("server")
            .short_names(&["srv"])
            .categories(&["metal"])
            .columns([
                Column::path("Role", "spec.role", "What the machine is for."),
                Column::path("Environment", "spec.environment", "What the machine belongs to."),
                Column::with("Phase", phase, "Where the machine is in its life."),
                Column::with("Stage", stage, "The stage that is under way, and how far the whole has come."),
                Column::with("Address", address, "The address it is best reached by."),
                Column::path("Cloud", "spec.cloud", "Where the machine stands.").wide(),
                Column::with("Hostname", hostname, "The name the machine gives itself.").wide(),
                Column::path("OS", "spec.install.operatingSystem", "What is, or is to be, installed.").wide(),
                Column::path("Bastion", "status.bastion", "The bastion that answers the machine.").wide(),
                Column::with("MAC", mac, "The NIC it boots from.").wide(),
                Column::path("Product", "status.hardware.product", "What the machine is.").wide(),
                Column::path("Agent", "status.agent.version", "Version of the agent that runs on it.").wide(),
            ])
            .selectable(&[
                "spec.hostname",
                "spec.role",
                "spec.cloud",
                "spec.environment",
                "spec.addresses.network",
                "spec.install.operatingSystem",
                "spec.install.layout",
                "status.phase",
                "status.bastion",
                "status.uuid",
                "status.addresses",
                "status.nics.mac",
                "status.nics.network",
                "status.disks.serial",
                "status.hardware.serial",
                "status.agent.online",
            ])
            .subresource(Subresource::Status)
            .subresource(Subresource::Log)
            .subresource(Subresource::Tunnel)
            .subresource(Subresource::Agent)
            .subresource(Subresource::Exec)
            .subresource(Subresource::PortForward)
            .subresource(Subresource::SshCertificate)
            .subresource(Subresource::Journal)
            .validated_by(validate)
            .aliased_by(aliases)
    }

    fn example() -> Self {
        super::example::server()
    }
}

/// Where it is; what nobody has seen yet is registered.
fn phase(server: &Json) -> Json {
    match &server["status"]["phase"] {
        Json::Null => "Registered".into(),
        phase => phase.clone(),
    }
}

/// The stage with the percentage, such as `write-image 42%`.
fn stage(server: &Json) -> Json {
    let status = &server["status"];
    match (status["stage"].as_str(), status["percent"].as_i64()) {
        (Some(stage), Some(percent)) => format!("{stage} {percent}%").into(),
        (Some(stage), None) => stage.into(),
        _ => Json::Null,
    }
}

/// The first address at present, else the first it is to have.
fn address(server: &Json) -> Json {
    let present = server.pointer("/status/addresses/0");
    present.or_else(|| server.pointer("/spec/addresses/0/address")).cloned().unwrap_or_default()
}

fn hostname(server: &Json) -> Json {
    let wanted = server.pointer("/spec/hostname");
    wanted.or_else(|| server.pointer("/status/hostname")).cloned().unwrap_or_default()
}

/// The NIC it booted from, else the first one.
fn mac(server: &Json) -> Json {
    let nics = server["status"]["nics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let nic = nics.iter().find(|nic| nic["boot"] == true).or(nics.first());
    nic.map(|nic| &nic["mac"]).or_else(|| server.pointer("/spec/macs/0")).cloned().unwrap_or_default()
}

/// Every name but its own by which a server may be asked for: UID, host names, MAC addresses, IP addresses.
fn aliases(server: &Json) -> Vec<String> {
    const PLACES: [&str; 9] = [
        "metadata.uid",
        "spec.hostname",
        "status.hostname",
        "spec.uuid",
        "status.uuid",
        "spec.macs[]",
        "status.nics[].mac",
        "spec.addresses[].address",
        "status.addresses[]",
    ];
    let places = PLACES.into_iter().chain(["status.nics[].addresses[]"]);
    let texts = places.flat_map(|place| check::each(server, place)).filter_map(|(_, value)| value.as_str());
    let mut names: Vec<String> = texts.filter(|text| !text.is_empty()).map(canonical).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A name as servers' aliases are written: MAC addresses with colons, IP addresses in their shortest form, everything in
/// lower case. What people type is brought into this form before it is looked up.
pub fn canonical(name: &str) -> String {
    if let Ok(mac) = name.parse::<MacAddress>() {
        return mac.to_string();
    }
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.to_lowercase(),
    }
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let mut errors =
        check::canonical::<MacAddress>(new, &["spec.macs[]", "spec.addresses[].mac", "status.nics[].mac"]);
    errors.extend(check::canonical::<IpAddr>(new, &["spec.addresses[].address", "status.addresses[]"]));
    errors.extend(check::sizes(new, "spec.install.diskSelector.minSize"));
    errors.extend(check::sizes(new, "spec.install.diskSelector.maxSize"));
    errors.extend(check::texts(new, "spec.addresses[].address", assignable));
    errors.extend(check::texts(new, "spec.admin.authorizedKeys[]", check::openssh_key));
    errors.extend(check::texts(new, "spec.bmc.address", host_and_port));
    errors.extend(selector_bounds(new));
    errors.extend(usb_is_never_chosen(new));
    errors
}

/// An address a machine can be given: of one machine, and not of itself.
fn assignable(text: &str) -> Result<(), &'static str> {
    match text.parse::<IpAddr>() {
        Ok(a) if a.is_unspecified() || a.is_loopback() || a.is_multicast() => {
            Err("must be the address of one machine on a network")
        }
        Ok(IpAddr::V4(a)) if a.is_broadcast() => Err("must be the address of one machine on a network"),
        _ => Ok(()),
    }
}

/// A host name or IP address, with or without a port.
fn host_and_port(text: &str) -> Result<(), &'static str> {
    if text.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    if !port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err("the port must be a number from 1 to 65535");
    }
    if lab_object::name::check_subdomain(host).is_empty() {
        Ok(())
    } else {
        Err("must be a host name or an IP address, with :PORT or without; no scheme, no path")
    }
}

fn selector_bounds(server: &Json) -> Vec<FieldError> {
    let size = |field: &str| check::typed::<Size>(server, &format!("/spec/install/diskSelector/{field}"));
    match (size("minSize"), size("maxSize")) {
        (Some(min), Some(max)) if min > max => vec![FieldError::invalid(
            "spec.install.diskSelector.maxSize",
            &max.to_string().into(),
            format!("must be at least minSize ({min})"),
        )],
        _ => Vec::new(),
    }
}

fn usb_is_never_chosen(server: &Json) -> Vec<FieldError> {
    let transports = check::each(server, "spec.install.diskSelector.transports[]");
    let usb = transports.into_iter().filter(|(_, transport)| *transport == "usb");
    usb.map(|(place, _)| FieldError::forbidden(place, "nothing is installed on USB disks")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@desk";

    #[track_caller]
    fn check(spec: Json, fields: &[&str]) {
        let errors = validate(&json!({"spec": spec}), None);
        let found: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(found, fields, "{errors:?}");
    }

    #[test]
    fn refuses() {
        let install = |selector: Json| json!({"install": {"operatingSystem": "a", "diskSelector": selector}});
        check(json!({}), &[]);
        check(json!({"addresses": [{"address": "10.0.0.1"}, {"address": "fd00::1"}]}), &[]);
        check(
            json!({"addresses": [{"address": "0.0.0.0"}, {"address": "::1"}, {"address": "224.0.0.1"},
                {"address": "255.255.255.255"}, {"address": "10.0.0.1"}]}),
            &[
                "spec.addresses[0].address",
                "spec.addresses[1].address",
                "spec.addresses[2].address",
                "spec.addresses[3].address",
            ],
        );
        check(
            json!({"macs": ["52:54:00:12:34:56", "52-54-00-12-34-57"], "addresses": [{"address": "FD00:0::1",
                "mac": "52:54:00:12:34:5A"}]}),
            &["spec.macs[1]", "spec.addresses[0].mac", "spec.addresses[0].address"],
        );
        check(install(json!({"minSize": "1Gi", "maxSize": "2Gi", "transports": ["nvme"]})), &[]);
        check(install(json!({"minSize": "2Gi", "maxSize": "1Gi"})), &["spec.install.diskSelector.maxSize"]);
        check(install(json!({"minSize": "99999999Ti"})), &["spec.install.diskSelector.minSize"]);
        check(install(json!({"transports": ["nvme", "usb"]})), &["spec.install.diskSelector.transports[1]"]);
        check(
            json!({"admin": {"authorizedKeys": [KEY, &KEY[..60], "ssh-dss AAAA", &format!("{KEY}\nx")]}}),
            &["spec.admin.authorizedKeys[1]", "spec.admin.authorizedKeys[2]", "spec.admin.authorizedKeys[3]"],
        );
        for (address, valid) in [
            ("10.0.0.1", true),
            ("fd00::1", true),
            ("[fd00::1]:443", true),
            ("bmc-1.example:8443", true),
            ("bmc-1", true),
            ("https://bmc-1", false),
            ("bmc-1:0", false),
            ("bmc-1:99999", false),
            ("bmc_1", false),
        ] {
            check(json!({"bmc": {"address": address}}), if valid { &[] } else { &["spec.bmc.address"] });
        }
    }

    #[test]
    fn answers_to_every_name() {
        let server = json!({
            "metadata": {"name": "a", "uid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
            "spec": {"hostname": "db-1", "macs": ["52-54-00-12-34-56"], "addresses": [{"address": "10.0.0.5"}]},
            "status": {"hostname": "db-1", "addresses": ["FD00:0::5"], "uuid": "4c4c4544-0042-3510-8054-b4c04f564433",
                "nics": [{"mac": "52:54:00:12:34:57", "addresses": ["10.0.0.6"]}]},
        });
        assert_eq!(
            aliases(&server),
            [
                "10.0.0.5",
                "10.0.0.6",
                "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                "4c4c4544-0042-3510-8054-b4c04f564433",
                "52:54:00:12:34:56",
                "52:54:00:12:34:57",
                "db-1",
                "fd00::5",
            ]
        );
        assert_eq!(canonical("5254.0012.3456"), "52:54:00:12:34:56");
        assert_eq!(canonical("DB-1"), "db-1");
    }

    #[test]
    fn cells() {
        let planned = json!({"spec": {"macs": ["a"], "addresses": [{"address": "b"}], "hostname": "c"}});
        let running = json!({"status": {"stage": "write-image", "percent": 42, "hostname": "d", "addresses": ["e", "f"],
            "nics": [{"mac": "g"}, {"mac": "h", "boot": true}]}});
        for (server, expected) in
            [(planned, json!(["a", "b", "c", null])), (running, json!(["h", "e", "d", "write-image 42%"]))]
        {
            let cells = [mac, address, hostname, stage].map(|cell| cell(&server));
            assert_eq!(Json::from(cells.to_vec()), expected);
        }
    }
}
