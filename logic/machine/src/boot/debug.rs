//! The rescue system: discovery's, with a way in; or Anaconda's, where a machine is installed by it.

use super::install::{anaconda, rest_of_system};
use super::{CannotStart, Circumstances, System, discovery::own_system};
use lab_kinds::metal::operating_system::Method;

/// Whoever may log in is told over the network, and only to the holder of this boot's token.
pub(super) fn system(given: &Circumstances) -> Result<System, CannotStart> {
    let token = given.token.ok_or(CannotStart::NoToken)?;
    let theirs = given.operating_system.filter(|os| {
        os.spec.method == Method::Kickstart && given.platform.architecture() == Some(os.spec.architecture)
    });
    let Some(os) = theirs else { return own_system("debug", Some(token), given) };
    let mut arguments = anaconda(os, &format!("{}/answers/{token}/rescue.cfg", given.base), given);
    arguments.extend(["inst.rescue".into(), "inst.sshd".into()]);
    rest_of_system(os, arguments, given)
}
