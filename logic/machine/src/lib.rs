//! A machine that boots: pure decisions over what it said, what is wanted of it, and the time.
//!
//! [`client`] reads who asks, [`recognise`] finds the Server it is, [`offer`] decides what DHCP tells it, [`lease`] which
//! address it gets, [`boot`] what it is given to start, [`orders`] what our own system then does on it, and [`timeline`] with
//! [`silence`] why it stopped. [`serving`] says which networks are served at all, [`sighting`] what is reported of a machine, and
//! [`presence`] what its Server says once its agent has joined; [`wiping`] who is held until its disks are wiped.

pub mod boot;
pub mod client;
pub mod lease;
pub mod offer;
pub mod orders;
pub mod presence;
pub mod program;
pub mod recognise;
pub mod serving;
pub mod sighting;
pub mod silence;
pub mod timeline;
pub mod upgrade;
pub mod uuid;
pub mod wiping;
