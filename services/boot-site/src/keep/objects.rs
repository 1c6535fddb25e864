//! The last known objects, from which a site goes on when labd is out of reach.

use super::{KeepError, io, lines::replace};
use crate::Knowledge;
use crate::knowledge::ServedOnce;
use lab_kinds::metal::{Bastion, Network, OperatingSystem, Server};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const VERSION: u32 = 1;

/// A copy of the objects that a site answers from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Objects {
    version: u32,
    servers: Vec<Server>,
    networks: Vec<Network>,
    operating_systems: Vec<OperatingSystem>,
    bastion: Option<Bastion>,
    served: BTreeMap<String, ServedOnce>,
}

impl Objects {
    /// What is known now.
    pub fn of(known: &Knowledge) -> Self {
        Self {
            version: VERSION,
            servers: known.servers.values().cloned().collect(),
            networks: known.networks.values().cloned().collect(),
            operating_systems: known.operating_systems.values().cloned().collect(),
            bastion: known.bastion.clone(),
            served: known.served.clone(),
        }
    }

    /// Reads a copy; nothing where there is none, or one that is not understood: then labd has to be asked first.
    pub fn read(path: &Path) -> Result<Option<Self>, KeepError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("read", path)(error)),
        };
        let copy = serde_json::from_slice(&bytes).inspect_err(
            |error| tracing::warn!(path = %path.display(), %error, "the copy of the objects is not understood"),
        );
        Ok(copy.ok().filter(|copy: &Self| copy.version == VERSION))
    }

    /// Writes the copy in the place of the one before.
    pub fn write(&self, path: &Path) -> Result<(), KeepError> {
        let bytes =
            serde_json::to_vec(self).map_err(|error| io("write", path)(std::io::Error::other(error)))?;
        replace(path, &bytes)
    }

    /// Lets a site know all of it.
    pub fn restore(self, known: &mut Knowledge) {
        known.served = self.served;
        self.servers.into_iter().for_each(|server| known.put_server(server));
        self.networks.into_iter().for_each(|network| known.put_network(network));
        self.operating_systems.into_iter().for_each(|os| known.put_operating_system(os));
        known.set_bastion(self.bastion);
    }
}
