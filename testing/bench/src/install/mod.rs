//! The whole way of a machine, from power-on to SSH, split by what it spends its time on; and what it takes to write an image, beside
//! `dd` and `mkfs` in the same machine. In a network namespace of its own.

mod disks;
mod lab;
mod timeline;

use crate::process::Place;
use anyhow::bail;
use lab_rack::place;
use lab_rack::qemu::Firmware;
use std::path::PathBuf;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Where `cargo xtask artefacts discovery` and `debian-13` put what they make.
    #[arg(long, default_value = "target/artefacts")]
    artefacts: PathBuf,
    /// Firmware of the machine: bios, uefi; one after the other.
    #[arg(long, value_delimiter = ',', default_values = ["bios", "uefi"])]
    firmware: Vec<String>,
}

/// Runs everything and prints the report.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    if !place::is_own() {
        let status = place::again(std::env::args_os().skip(1))?;
        if !status.success() {
            bail!("the benchmark failed in its own network namespace");
        }
        return Ok(());
    }
    place::ip(&["link", "set", "lo", "up"])?;
    for name in &options.firmware {
        let firmware = match name.as_str() {
            "bios" => Firmware::Bios,
            "uefi" => Firmware::Uefi,
            other => bail!("--firmware {other}: there are bios and uefi"),
        };
        lab::whole_way(options, name, firmware).await?;
    }
    Ok(())
}
