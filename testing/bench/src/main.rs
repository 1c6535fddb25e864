//! Benchmarks by name: `cargo xtask bench <name>`. Each runs beside a real peer, on the same machine and disk, in the
//! same run, and prints medians and ratios.

use clap::{Parser, Subcommand};

mod access;
mod agent;
mod api;
mod cli;
mod figures;
mod install;
mod netboot;
mod process;

/// Benchmarks, each beside a real peer.
#[derive(Parser)]
#[command(name = "cargo xtask bench", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {
    /// What permissions cost: decisions and filtered lists.
    Access(access::Options),
    /// Commands and streams on a machine, beside OpenSSH; an agent's memory; thousands of agents on one labd.
    Agent(agent::Options),
    /// Writes, lists, watches and start of labd, beside etcd.
    Api(api::Options),
    /// Whole runs of labctl, beside kubectl.
    Cli(cli::Options),
    /// A machine from power-on to SSH, and writing its image beside dd and mkfs.
    Install(install::Options),
    /// DHCP, TFTP, HTTP, boot answers and a storm of machines, beside dnsmasq, tftpd-hpa and nginx.
    Netboot(netboot::Options),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match Arguments::parse().name {
        Name::Access(options) => runtime.block_on(access::run(&options)),
        Name::Agent(options) => runtime.block_on(agent::run(&options)),
        Name::Api(options) => runtime.block_on(api::run(&options)),
        Name::Cli(options) => runtime.block_on(cli::run(&options)),
        Name::Install(options) => runtime.block_on(install::run(&options)),
        Name::Netboot(options) => runtime.block_on(netboot::run(&options)),
    }
}
