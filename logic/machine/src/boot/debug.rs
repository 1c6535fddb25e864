//! The rescue system: discovery's, with a way in.

use super::{CannotStart, Circumstances, System, discovery::own_system};

/// Whoever may log in is told over the network, and only to the holder of this boot's token.
pub(super) fn system(given: &Circumstances) -> Result<System, CannotStart> {
    let token = given.token.ok_or(CannotStart::NoToken)?;
    own_system("debug", Some(token), given)
}
