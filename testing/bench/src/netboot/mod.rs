//! The boot server beside dnsmasq, tftpd-hpa and nginx: the real `bastion`, joined to a labd, and clients in another network namespace. It
//! makes both namespaces itself.

mod answers;
mod dhcp;
mod http;
mod servers;
mod storm;
mod tftp;

use crate::figures::{Row, print};
use crate::process::Place;
use anyhow::{Context, bail};
use lab_rack::place::{self, Neighbour};
use servers::{Bastion, Peer};
use std::fs;
use std::path::Path;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Only this: dhcp, tftp, http, answers, storm; everything without.
    #[arg(long)]
    only: Vec<String>,
    /// Runs of each; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// DHCP transactions a run. dnsmasq goes through a list of its leases: from about 3,000 on it leaves some unanswered for a minute.
    #[arg(long, default_value_t = 500)]
    transactions: u32,
    /// DHCP transactions at once.
    #[arg(long, default_value_t = 64)]
    at_once: u32,
    /// Size of the file that is fetched by TFTP, in MiB.
    #[arg(long, default_value_t = 20)]
    tftp_mib: usize,
    /// Size of the image that is fetched by HTTP, in MiB.
    #[arg(long, default_value_t = 300)]
    http_mib: usize,
    /// Servers that are known while boot answers are asked for.
    #[arg(long, default_value_t = 10_000)]
    servers: usize,
    /// Boot answers a run.
    #[arg(long, default_value_t = 50_000)]
    answers: usize,
    /// Machines that are switched on at once.
    #[arg(long, default_value_t = 2_000)]
    machines: u32,
    /// What part of the firmware's own times passes in the storm.
    #[arg(long, default_value_t = 1.0)]
    pace: f64,
    /// How many seconds the storm may take.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

impl Options {
    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }
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
    let neighbour = Neighbour::new()?;
    neighbour.crowd()?;
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let files = directory.path().join("files");
    fill(&files, options)?;
    if options.wants("dhcp") {
        dhcp(options, &neighbour, directory.path(), &files).await?;
    }
    if options.wants("tftp") {
        tftp(options, &neighbour, directory.path(), &files).await?;
    }
    if options.wants("http") {
        http(options, &neighbour, directory.path(), &files).await?;
    }
    if options.wants("answers") {
        let bastion = Bastion::start(options, directory.path(), &files, options.servers).await?;
        let rates = repeated(options, || answers::rate(&neighbour, options.answers))?;
        print(
            "-",
            &[Row::rate(format!("boot answers, {} servers known", options.servers), "1/s", &rates, &[])],
        );
        bastion.stop()?;
    }
    if options.wants("storm") {
        storm::run(options, &neighbour, directory.path(), &files).await?;
    }
    Ok(())
}

fn fill(files: &Path, options: &Options) -> anyhow::Result<()> {
    lab_rack::programs::fill(files, 1, 10 << 20, 20 << 20)?;
    let file = |name: &str, mib: usize| {
        let path = files.join(name);
        fs::write(&path, vec![0x5a; mib << 20]).with_context(|| format!("writing {}", path.display()))
    };
    file("tftp.bin", options.tftp_mib)?;
    file("image.bin", options.http_mib)
}

/// A figure as often as is asked for.
fn repeated(options: &Options, mut measure: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Vec<f64>> {
    (0..options.runs).map(|_| measure()).collect()
}

async fn dhcp(
    options: &Options,
    neighbour: &Neighbour,
    directory: &Path,
    files: &Path,
) -> anyhow::Result<()> {
    let measure = |first: u32| -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
        let (mut rates, mut tails) = (Vec::new(), Vec::new());
        for run in 0..options.runs as u32 {
            let first = first + run * options.transactions;
            let found = dhcp::measure(neighbour, first, options.transactions, options.at_once)?;
            rates.push(found.rate);
            tails.push(found.p99_ms);
        }
        Ok((rates, tails))
    };
    // Machines that were never seen, whose addresses are looked for before they are offered; then the same once more.
    let bastion = Bastion::start(options, directory, files, 0).await?;
    let ours = (measure(0)?, measure(0)?);
    bastion.stop()?;
    let peer = Peer::dnsmasq_dhcp(directory).await?;
    let theirs = (measure(0)?, measure(0)?);
    peer.stop()?;
    let at_once = options.at_once;
    let rows = [
        Row::rate(format!("DHCP, new machines, {at_once} at once"), "1/s", &ours.0.0, &theirs.0.0),
        Row::cost("their p99", "ms", &ours.0.1, &theirs.0.1),
        Row::rate(format!("DHCP, known machines, {at_once} at once"), "1/s", &ours.1.0, &theirs.1.0),
        Row::cost("their p99", "ms", &ours.1.1, &theirs.1.1),
    ];
    print("dnsmasq", &rows);
    Ok(())
}

async fn tftp(
    options: &Options,
    neighbour: &Neighbour,
    directory: &Path,
    files: &Path,
) -> anyhow::Result<()> {
    let cases = [("UEFI", 1, true), ("UEFI", 50, true), ("iPXE", 1, false), ("iPXE", 50, false)];
    let bytes = (options.tftp_mib << 20) as f64;
    let measure = || -> anyhow::Result<Vec<Vec<f64>>> {
        let case = |(_, clients, uefi): &(&str, usize, bool)| {
            repeated(options, || {
                tftp::rate(neighbour, *clients, *uefi, bytes / if *clients > 1 { 10.0 } else { 1.0 })
            })
        };
        cases.iter().map(case).collect()
    };
    let small = files.join("tftp-tenth.bin");
    fs::write(&small, vec![0x5a; (options.tftp_mib << 20) / 10])?;
    let bastion = Bastion::start(options, directory, files, 0).await?;
    let ours = measure()?;
    bastion.stop()?;
    for (name, peer) in
        [("tftpd-hpa", Peer::tftpd(files).await?), ("dnsmasq", Peer::dnsmasq_tftp(files).await?)]
    {
        let peer = peer.start().await?;
        let theirs = measure()?;
        peer.stop()?;
        let mut rows = Vec::new();
        for ((who, clients, _), (ours, theirs)) in cases.iter().zip(ours.iter().zip(&theirs)) {
            rows.push(Row::rate(format!("TFTP as {who} fetches, {clients} at once"), "MB/s", ours, theirs));
        }
        print(name, &rows);
    }
    Ok(())
}

async fn http(
    options: &Options,
    neighbour: &Neighbour,
    directory: &Path,
    files: &Path,
) -> anyhow::Result<()> {
    let bytes = (options.http_mib as u64) << 20;
    let measure = |clients: usize| repeated(options, || http::rate(neighbour, clients, bytes));
    let bastion = Bastion::start(options, directory, files, 0).await?;
    let ours = (measure(1)?, measure(100)?);
    bastion.stop()?;
    let peer = Peer::nginx(directory, files)?.start().await?;
    let theirs = (measure(1)?, measure(100)?);
    peer.stop()?;
    let rows = [
        Row::rate(format!("HTTP, {} MiB, 1 client", options.http_mib), "MB/s", &ours.0, &theirs.0),
        Row::rate("HTTP, the same, 100 clients at once", "MB/s", &ours.1, &theirs.1),
    ];
    print("nginx", &rows);
    Ok(())
}
