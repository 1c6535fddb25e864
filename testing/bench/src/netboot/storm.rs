//! Thousands of machines that are switched on at once: all have to reach their kernel.

use super::Options;
use super::servers::Bastion;
use crate::figures::percentile;
use anyhow::bail;
use lab_firmware::Kind;
use lab_rack::place::Neighbour;
use lab_rack::simulated::{Booted, machines, power_on};
use lab_rack::wire::{Way, Wire};
use std::path::Path;
use std::time::Duration;

/// What the boot server may take at most, in MiB.
const MEMORY: f64 = 150.0;

/// Switches them on, and prints how they fared.
pub async fn run(
    options: &Options,
    neighbour: &Neighbour,
    directory: &Path,
    files: &Path,
) -> anyhow::Result<()> {
    let kinds = [Kind::Bios, Kind::BiosPxe, Kind::UefiPxe, Kind::UefiPxe2016, Kind::UefiHttp];
    let machines = machines(options.machines, &kinds);
    let bastion = Bastion::start(options, directory, files, 0).await?;
    let before = bastion.process.resident()?;
    let patience = Duration::from_secs(options.patience);
    let booted: Vec<Booted> = neighbour.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let wire = Wire::open(Way { pace: options.pace, ..Way::over(Neighbour::THERE) })?;
            Ok(power_on(&wire, machines, patience).await)
        })
    })?;
    let most = bastion.process.most_resident()?;
    let left: Vec<&Booted> = booted.iter().filter(|booted| !booted.runs_kernel()).collect();
    println!("storm: {} of {} machines reached their kernel", booted.len() - left.len(), booted.len());
    for kind in kinds {
        let took: Vec<f64> =
            booted.iter().filter(|one| one.kind == kind).map(|one| one.took.as_secs_f64()).collect();
        let (half, all) = (percentile(&took, 50.0), percentile(&took, 100.0));
        println!("  {kind:14} half within {half:6.1} s, all within {all:6.1} s");
    }
    println!(
        "  {:.0} MB of files, memory {before:.0} MiB before, {most:.0} MiB at most (wanted: below {MEMORY:.0})",
        booted.iter().map(|one| one.bytes).sum::<u64>() as f64 / 1e6
    );
    bastion.stop()?;
    for one in left.iter().take(5) {
        println!("  left behind: {} ({}): {:?}", one.mac, one.kind, one.end);
    }
    if !left.is_empty() || most > MEMORY {
        bail!("the storm was not weathered");
    }
    Ok(())
}
