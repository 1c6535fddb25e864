//! Carrying out an approved disk plan, step by step.
//!
//! The disks are read again first: the plan is carried out on those that it was made for, or not at all. Then each step looks
//! whether it is done, does what is missing, and tells how far it came. Whatever cut an installation off, the same call goes
//! on with it: what a step makes bears identifiers that only this plan yields.
//!
//! What is kept is out of reach in three ways: the hands' write set is what the steps say they write to; the kernel is told to
//! refuse writes to everything else; and preserved volumes are never brought up, so that they have no device at all.

mod act;
mod devices;
mod done;
mod progress;

pub use devices::NoDevice;

use crate::install::devices::Devices;
use crate::install::progress::Teller;
use jiff::Timestamp;
use lab_host::command::Run;
use lab_host::hands::{Hands, HandsError};
use lab_host::observe::{self, Tree};
use lab_install::approval::{self, Unapproved};
use lab_install::observed::Observed;
use lab_install::standing::{self, Changed};
use lab_install::steps::{Action, Step, steps};
use lab_kinds::metal::Server;
use lab_kinds::metal::server::hardware::FirmwareType;
use lab_kinds::metal::server::status::StageOutcome;
use lab_wire::site::{Installation, Progress};
use std::{
    io::{self, Read},
    path::PathBuf,
};

/// What an installation needs from outside the machine.
pub trait Site {
    /// The bytes of the operating system's image, from this one on.
    ///
    /// # Errors
    /// It cannot be had.
    fn image(&self, from: u64) -> io::Result<Box<dyn Read>>;

    /// Tells how far the installation has come. Failing to tell does not stop it.
    fn tell(&self, progress: &Progress);

    /// The time.
    fn now(&self) -> Timestamp;
}

/// The machine that is installed.
pub struct Machine<'a> {
    /// What runs its programs.
    pub run: &'a dyn Run,
    /// How its firmware started it.
    pub firmware: FirmwareType,
    /// Its SMBIOS UUID.
    pub uuid: Option<String>,
    /// Where the new system is mounted while it is written.
    pub target: PathBuf,
    /// The agent's executable, which the new system gets.
    pub agent: PathBuf,
}

/// Why a plan was not carried out to its end. Each says as one sentence what happened.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It may not be carried out.
    #[error("nothing was written: {0}")]
    Unapproved(Unapproved),
    /// The disks are not those it was made for.
    #[error("nothing was written, as the machine is not as it was when the plan was made: {0}")]
    Changed(Changed),
    /// The disks cannot be read.
    #[error("nothing was written, as the disks cannot be read: {0}")]
    Unreadable(String),
    /// The plan names a device that is not there.
    #[error("nothing was written: {0}")]
    NoDevice(NoDevice),
    /// A step failed. What was done before it stays, and the next attempt goes on from there.
    #[error("step {step} failed{}", if *lost { "; the machine's old system is lost already, and the next attempt goes on" } else { "; nothing was written before" })]
    Step {
        /// The step.
        step: String,
        /// Whether the point of no return had been reached.
        lost: bool,
        /// Why.
        #[source]
        source: StepError,
    },
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The machine did not do it.
    #[error(transparent)]
    Hands(#[from] HandsError),
    /// A device is not there.
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// The image cannot be had.
    #[error("fetching the image of {operating_system}")]
    NoImage {
        /// The operating system.
        operating_system: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system has none.
    #[error("operating system {operating_system} has no artefact with purpose image")]
    HasNoImage {
        /// The operating system.
        operating_system: String,
    },
}

impl InstallError {
    /// The whole as one sentence, causes and all.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// Carries out the plan of an installation to its end, or says why not.
///
/// # Errors
/// The plan is not approved, the disks are not those it was made for, or a step failed.
pub fn carry_out(given: &Installation, machine: &Machine, site: &dyn Site) -> Result<(), InstallError> {
    let teller = Teller::new(given, site);
    let steps = steps(&given.plan);
    let outcome = looked_at(given, machine, &steps, &teller).and_then(|install| install.all(&steps));
    if let Err(error) = &outcome {
        tracing::error!(error = error.sentence(), "the installation failed");
        teller.failed(&error.sentence());
    }
    outcome
}

/// The second look, after which nothing stands in the way.
fn looked_at<'a>(
    given: &'a Installation,
    machine: &'a Machine,
    steps: &[Step],
    teller: &'a Teller<'a>,
) -> Result<Install<'a>, InstallError> {
    teller.begin("check", 0);
    // Told apart by the machine as it is, not as its object says.
    let mut server: Server = given.server.clone();
    server.status.uuid = machine.uuid.clone().or(server.status.uuid);
    approval::approved(&server, &given.plan).map_err(InstallError::Unapproved)?;
    let mut problems = Vec::new();
    let (disks, volume_groups) = observe::disks(&Tree::new("/"), machine.run, &mut problems);
    if let Some(problem) = problems.into_iter().next() {
        return Err(InstallError::Unreadable(problem));
    }
    let observed = Observed { disks: &disks, volume_groups: &volume_groups, firmware: machine.firmware };
    standing::still_holds(&given.plan, &observed).map_err(InstallError::Changed)?;
    let devices = Devices::of(&given.plan, &disks).map_err(InstallError::NoDevice)?;
    let hands = Hands::new(machine.run, devices.writable(steps), &machine.target)
        .writing_boot_sectors_of(devices.boot_sectors(steps));
    let step_failed = |source| InstallError::Step { step: "check".into(), lost: false, source };
    for device in devices.kept(&given.plan, &disks) {
        hands.protect(&device).map_err(|error| step_failed(error.into()))?;
    }
    // What an earlier attempt left mounted, such as one that failed in this very boot.
    hands.unmount_all().map_err(|error| step_failed(error.into()))?;
    teller.end("check", StageOutcome::Done);
    Ok(Install { given, machine, devices, hands, site: teller.site, teller })
}

/// An installation on its way.
struct Install<'a> {
    given: &'a Installation,
    machine: &'a Machine<'a>,
    devices: Devices,
    hands: Hands<'a>,
    site: &'a dyn Site,
    teller: &'a Teller<'a>,
}

impl Install<'_> {
    fn all(&self, steps: &[Step]) -> Result<(), InstallError> {
        let mut lost = false;
        for step in steps.iter().filter(|step| step.action != Action::Check) {
            self.teller.begin(&step.id, self.total(&step.action));
            let done = self.one(step, steps).map_err(|source| {
                let lost = lost || step.point_of_no_return;
                InstallError::Step { step: step.id.clone(), lost, source }
            })?;
            lost |= step.point_of_no_return;
            tracing::info!(step = step.id, changed = done == StageOutcome::Done, "step");
            self.teller.end(&step.id, done);
        }
        self.teller.finished();
        Ok(())
    }

    /// Looks whether a step is done, and does it where it is not.
    fn one(&self, step: &Step, steps: &[Step]) -> Result<StageOutcome, StepError> {
        if self.is_done(step)? {
            return Ok(StageOutcome::Skipped);
        }
        let outcome = self.act(step, steps)?;
        if let lab_install::steps::Done::Marked(hash) = &step.done {
            self.hands.write_file(&step.mark(), 0o644, hash)?;
        }
        Ok(outcome)
    }
}
