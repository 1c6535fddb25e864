//! The command line.

use crate::config::Flags;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  labd                                     start with everything in its default place
  labd --data-dir ./data --listen 127.0.0.1:6443
  labd backup -o lab.backup                copy everything, while labd runs or not
  labd restore lab.backup --data-dir ./new put a copy into an empty directory

Flags win over the file named by --config, and that over the defaults.

Exit codes: 0 done (SIGTERM and SIGINT included), 1 failed, 2 wrong flags or configuration.";

/// Lab's control plane: one API for machines and what runs on them.
#[derive(Debug, Parser)]
#[command(name = "labd", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do other than to serve.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy everything, objects and keys, into one file, from a running labd or from its directory
    #[command(after_help = "\
Examples:
  labd backup -o lab.backup
  labd backup -o lab.backup --kubeconfig admin.kubeconfig   from a labd elsewhere

Secrets and the certificate authority's key are in it encrypted with the keys in the data directory's keys/ (or where --keys
says), which are not in it: keep a copy of them apart, for without them nobody can restore it.")]
    Backup {
        /// Where to write it; replaced only when the copy is whole
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Ask the labd that this kubeconfig names [default: the one on the data directory]
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Put a backup into an empty data directory
    #[command(after_help = "\
Examples:
  labd restore lab.backup --data-dir ./new --keys-from /safe/keys
  labd --data-dir ./new")]
    Restore {
        /// A file that `labd backup` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Directory with the keys of the labd that the backup is of; they are copied to where --keys says
        #[arg(long, value_name = "DIR")]
        keys_from: Option<PathBuf>,
    },
    /// Add a key by which secrets are encrypted at rest, to be used from now on
    #[command(after_help = "\
A running labd takes it up within seconds, encrypts every secret anew while it goes on reading, and logs when the older
keys can go. Backups of before still need them.")]
    RotateKey,
    /// Replace the administrator's kubeconfig, and revoke every certificate that was given to `admin` before
    #[command(after_help = "\
The labd of the data directory has to run. Who uses a copy of the old file is refused at once, also on open connections; the
new one lies in its place.")]
    RotateAdmin,
    /// Say which version this is
    Version,
    /// Write the man pages into a folder, for packages
    #[command(hide = true)]
    ManPages {
        /// The folder; made if it is not there
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}
