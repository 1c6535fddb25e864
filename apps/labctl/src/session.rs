//! A command's way to the server: settings turned into a client.

use crate::{
    failure::Outcome,
    output,
    settings::{self, Globals},
};
use lab_client::{Client, Connection};
use std::sync::Arc;

/// The name by which labctl manages fields.
pub const MANAGER: &str = "labctl";

/// A server that can be asked, and the namespace that is meant.
pub struct Session {
    /// The client.
    pub client: Client,
    /// The namespace where none is named.
    pub namespace: String,
    /// How the server is reached.
    pub connection: Connection,
}

impl Session {
    /// Resolves the settings. Nothing is sent yet.
    pub fn open(globals: &Globals) -> Outcome<Self> {
        let connection = settings::connection(globals)?;
        let agent = format!("{MANAGER}/{}", env!("CARGO_PKG_VERSION"));
        let client =
            Client::connect(&agent, &connection)?.with_warnings(Arc::new(|text: &str| output::warn(text)));
        let namespace = connection.namespace.as_ref().map_or("default", |n| &n.value).to_owned();
        Ok(Self { client, namespace, connection })
    }
}
