//! A server as it looks while its plan waits for approval.

use super::hardware::*;
use super::plan::*;
use super::status::*;
use super::*;
use crate::{Condition, ConditionStatus};
use lab_object::Time;

const HASH: &str = "sha256:3b0c1a5f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3";

pub(super) fn server() -> Server {
    Server {
        metadata: ObjectMeta {
            name: Some("rack1-node3".into()),
            labels: [("rack".into(), "1".into())].into(),
            ..Default::default()
        },
        spec: spec(),
        status: status(),
        ..Default::default()
    }
}

fn at(text: &str) -> Option<Time> {
    text.parse().map(Time).ok()
}

fn spec() -> ServerSpec {
    ServerSpec {
        hostname: Some("rack1-node3".into()),
        role: Some(MachineRole::Worker),
        cloud: Some("baremetal".into()),
        environment: Some("production".into()),
        macs: vec![MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56])],
        addresses: vec![ServerAddress {
            address: IpAddr::from([10, 20, 0, 13]),
            network: Some("rack1".into()),
            mac: None,
        }],
        bmc: Some(Bmc {
            protocol: BmcProtocol::Redfish,
            address: "10.20.1.13".into(),
            credentials: Some(SecretReference { namespace: "default".into(), name: "bmc-rack-1".into() }),
            certificate: None,
        }),
        power: Power { state: Some(PowerState::On), cycle: None },
        install: Some(Install {
            operating_system: "debian-13".into(),
            layout: Install::default_layout(),
            disk_selector: DiskSelector { min_size: Some(Size::of_gib(200)), ..Default::default() },
            approve: None,
            reprovision: None,
            kernel_arguments: vec!["iommu=pt".into()],
        }),
        ..Default::default()
    }
}

fn status() -> ServerStatus {
    ServerStatus {
        phase: Some(Phase::Planned),
        message: Some("The plan waits for approval.".into()),
        bastion: Some("site-a".into()),
        uuid: Some("4c4c4544-0042-3510-8054-b4c04f564433".into()),
        addresses: vec![IpAddr::from([10, 20, 0, 13])],
        hardware: hardware(),
        disks: vec![disk()],
        nics: vec![nic()],
        boot: Some(BootStatus {
            at: at("2026-11-21T12:00:00Z"),
            firmware: Some(FirmwareType::Uefi),
            client_architecture: Some(7),
            answer: Some(BootAnswer::Discovery),
            step: Some(BootStep::Heard),
            served_once: None,
            served_generation: None,
        }),
        plan: Some(plan()),
        conditions: vec![Condition {
            kind: "PlanReady".into(),
            status: ConditionStatus::True,
            reason: Some("DiskFound".into()),
            last_transition_time: at("2026-11-21T12:01:30Z"),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn hardware() -> Hardware {
    Hardware {
        manufacturer: "Dell Inc.".into(),
        product: "PowerEdge R650".into(),
        serial: "B5Q8VD3".into(),
        architecture: Some(Architecture::Amd64),
        cpu: Cpu {
            model: "Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz".into(),
            sockets: 2,
            cores: 32,
            threads: 64,
            max_mhz: Some(3500),
        },
        memory_bytes: Some(270_582_939_648),
        firmware: Firmware { kind: Some(FirmwareType::Uefi), secure_boot: Some(false), ..Default::default() },
        tpm: Some(Tpm { version: "2.0".into(), ..Default::default() }),
        ..Default::default()
    }
}

fn disk() -> Disk {
    Disk {
        name: "nvme0n1".into(),
        serial: "S64GNE0R602394".into(),
        wwn: "eui.0025388b71b0a1c2".into(),
        size_bytes: 960_197_124_096,
        sector_bytes: Some(512),
        model: "SAMSUNG MZQL2960HCJR-00A07".into(),
        transport: Some(Transport::Nvme),
        ..Default::default()
    }
}

fn nic() -> Nic {
    Nic {
        mac: MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
        name: "enp1s0".into(),
        driver: "ice".into(),
        link: Some(true),
        speed_mbps: Some(25_000),
        boot: true,
        network: Some("rack1".into()),
        addresses: vec![IpAddr::from([10, 20, 0, 13])],
        lldp: Some(LldpNeighbour {
            chassis: "00:1c:73:aa:bb:cc".into(),
            port: "Ethernet13".into(),
            system: "leaf-1".into(),
            ..Default::default()
        }),
    }
}

fn plan() -> Plan {
    let gib = |n: i64| n << 30;
    Plan {
        hash: Some(HASH.into()),
        made_at: at("2026-11-21T12:01:30Z"),
        operating_system: "debian-13".into(),
        layout: Install::default_layout(),
        disks: vec![DiskPlan {
            name: "nvme0n1".into(),
            serial: "S64GNE0R602394".into(),
            wwn: "eui.0025388b71b0a1c2".into(),
            size_bytes: 960_197_124_096,
            transport: Some(Transport::Nvme),
            fate: Fate::Create,
            why: "The first NVMe disk of at least 200Gi.".into(),
            now: "empty".into(),
            partitions: vec![PartitionPlan {
                number: 1,
                name: "efi".into(),
                fate: Fate::Create,
                size_bytes: 600 << 20,
                file_system: "vfat".into(),
                mount: Some("/boot/efi".into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        volume_group: Some(VolumeGroupPlan {
            name: "labvg".into(),
            fate: Fate::Create,
            volumes: vec![VolumePlan {
                name: "root".into(),
                fate: Fate::Create,
                size_bytes: gib(33),
                file_system: "xfs".into(),
                mount: Some("/".into()),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}
