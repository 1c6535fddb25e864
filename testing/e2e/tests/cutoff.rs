//! A site that loses labd: the real bastion, joined to the real labd, goes on with simulated machines while labd is dead, also after it was
//! killed itself, and catches up when labd is back. In a network namespace, without root where the system lets users have one.

use lab_e2e::{bastion::Bastion, labctl::Labctl, labd::Labd};
use lab_firmware::{Kind, Machine};
use lab_rack::place::{Neighbour, inside};
use lab_rack::simulated::{machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SITE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const PATIENCE: Duration = Duration::from_secs(60);
const NETWORK: &str = "{apiVersion: metal.lab/v1alpha1, kind: Network, metadata: {name: rack}, spec: {cidr: 10.9.0.0/16, site: home, \
                       dhcp: {mode: full, ranges: [{start: 10.9.128.0, end: 10.9.129.255}]}}}";

/// Switches machines on; all have to reach their kernel.
fn boot(neighbour: &Neighbour, machines: &[Machine]) {
    let booted = neighbour.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let wire = Wire::open(Way { pace: 0.1, ..Way::over(Neighbour::THERE) })?;
            Ok(power_on(&wire, machines.to_vec(), PATIENCE).await)
        })
    });
    let booted = booted.expect("they are switched on");
    let left: Vec<_> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_site_goes_on_without_labd_and_catches_up() {
    if !inside("a_site_goes_on_without_labd_and_catches_up") {
        return;
    }
    let neighbour = Neighbour::new().expect("a namespace is made");
    neighbour.crowd().expect("it has many addresses");
    let folder = tempfile::tempdir().expect("there is room");
    let folder = folder.path();
    lab_rack::programs::fill(&folder.join("files"), 10, 20_000, 50_000).expect("there is room");
    let labd = Labd::start_with(&folder.join("labd"), &["--no-bastion"]).expect("labd starts");
    let labctl = Labctl { kubeconfig: labd.kubeconfig() };
    labctl.run_with(&["create", "-f", "-"], NETWORK);
    let address = labd.address();
    let flags = Bastion::invited(folder, &labd, &labctl, "home").expect("it may join");
    let all = machines(10, &[Kind::Bios, Kind::UefiPxe, Kind::UefiHttp]);
    let names: Vec<String> = all.iter().map(|machine| machine.mac().dashed()).collect();
    let entered = |expected: &[String]| {
        labctl.until("the machines are Servers", PATIENCE, &["get", "srv", "-o", "name"], |found| {
            expected.iter().all(|name| found.contains(name.as_str()))
        });
    };

    let bastion = Bastion::start(folder, &flags, SITE).expect("it serves");
    boot(&neighbour, &all[..3]);
    entered(&names[..3]);
    labd.kill().expect("it is killed");
    boot(&neighbour, &all[..6]);
    // What is heard of machines is written once a second.
    std::thread::sleep(Duration::from_secs(3));
    drop(bastion);
    // Killed without a farewell, it starts with labd out of reach.
    let bastion = Bastion::start(folder, &flags, SITE).expect("it serves");
    boot(&neighbour, &all[5..]);

    let _labd = Labd::start_at(&folder.join("labd"), address).expect("labd starts again");
    entered(&names);
    for name in &names {
        // A machine's addresses are in its Server, and its boot in its log, from the time when nobody could be told.
        labctl.until("its boot is told", PATIENCE, &["logs", name], |log| {
            log.contains("sent DHCP discover") && log.contains("was given discovery")
        });
        let address = labctl.run(&["get", "srv", name, "-o", "jsonpath={.status.addresses[0]}"]);
        assert!(address.starts_with("10.9.12"), "{name}: {address}");
    }
    let told_twice = labctl.run(&["logs", &names[0]]).matches("was given discovery").count();
    assert_eq!(told_twice, 2, "both boots are told, each once");
    drop(bastion);
}
