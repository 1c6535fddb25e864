//! What is there from the first start on: the namespaces that every tool expects, and the kinds' own seeds.

use anyhow::Context;
use lab_client::{Client, WriteParams};
use lab_kinds::core::Namespace;
use lab_object::ObjectMeta;

/// Namespaces that exist everywhere.
const NAMESPACES: [&str; 2] = ["default", "kube-system"];

/// Creates what is missing. What is there is left as it is.
pub async fn sow(client: &Client) -> anyhow::Result<()> {
    for name in NAMESPACES {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        match client.resource().create(&namespace, &WriteParams::default()).await {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create namespace {name:?}")),
        }
    }
    Ok(())
}
