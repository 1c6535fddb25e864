//! Several agents on bad lines, certificates of seconds, streams that are open, and a labd that is ended in between.

use crate::{
    lab::{Lab, until},
    line::Line,
};
use lab_e2e::labd::Labd;
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long it goes on.
const LENGTH: Duration = Duration::from_secs(100);
/// How long certificates hold.
const LIFE: &str = "45s";

#[test]
#[ignore = "takes two minutes"]
fn agents_come_back_whatever_happens() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("labd.toml");
    fs::write(&config, format!("[identity]\nmachine-certificates = \"{LIFE}\"\n")).unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let labd = Labd::start_with(&folder.path().join("labd"), &arguments).unwrap();
    let address = labd.address();
    let lab = Lab { labd, folder };
    let names = ["m0", "m1", "m2", "m3"];
    let lines: Vec<Line> =
        [0, 20, 60, 150].map(|delay| Line::to(address, Duration::from_millis(delay))).into_iter().collect();
    let agents: Vec<_> =
        names.iter().zip(&lines).map(|(name, line)| lab.machine_at(name, line.address())).collect();
    let identity = |name: &str| fs::read(lab.folder.path().join(name).join("state/identity")).unwrap();
    let first = names.map(identity);

    // Every machine is asked for bytes all the time; what comes whole has to be right.
    let over = AtomicBool::new(false);
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
    let began = Instant::now();
    let Lab { labd, folder } = lab;
    let kubeconfig = labd.kubeconfig();
    let labctl = lab_e2e::program("labctl").unwrap();
    let (labd, whole) = thread::scope(|scope| {
        let asking: Vec<_> = names
            .map(|name| {
                let (over, bytes, kubeconfig, labctl) = (&over, &bytes, &kubeconfig, &labctl);
                scope.spawn(move || {
                    let mut whole = 0;
                    while !over.load(Ordering::Relaxed) {
                        let mut command = std::process::Command::new(labctl);
                        command.env("KUBECONFIG", kubeconfig).args(["exec", "-i", name, "--", "cat"]);
                        let output = crate::lab::with_input(&mut command, bytes);
                        if output.status.success() {
                            assert!(
                                output.stdout == *bytes,
                                "{name}: {} bytes came back",
                                output.stdout.len()
                            );
                            whole += 1;
                        }
                        thread::sleep(Duration::from_millis(300));
                    }
                    whole
                })
            })
            .into_iter()
            .collect();
        let mut labd = labd;
        let mut turn = 0;
        while began.elapsed() < LENGTH {
            thread::sleep(Duration::from_secs(4));
            match turn % 4 {
                0 => lines[turn / 4 % lines.len()].cut(),
                1 => {
                    let line = &lines[(turn / 4 + 1) % lines.len()];
                    line.silence(true);
                    thread::sleep(Duration::from_secs(2));
                    line.silence(false);
                }
                2 if turn % 8 == 2 => {
                    labd.kill().unwrap();
                    labd = Labd::start_at_with(&folder.path().join("labd"), address, &arguments).unwrap();
                }
                _ => {}
            }
            turn += 1;
        }
        over.store(true, Ordering::Relaxed);
        (labd, asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<u32>>())
    });
    println!("came whole: {whole:?}");
    assert!(whole.iter().all(|whole| *whole > 5), "{whole:?}");
    let lab = Lab { labd, folder };
    for ((name, agent), first) in names.iter().zip(&agents).zip(first) {
        lab.in_reach(agent, name);
        until("commands run", || lab.run(&["exec", name, "--", "true"], b"").status.success());
        let now = fs::read(lab.folder.path().join(name).join("state/identity")).unwrap();
        assert!(now != first, "{name}: its certificate was renewed");
    }
}
