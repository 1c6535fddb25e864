//! What is there from the first start on: the namespaces that every tool expects, the roles viewer, operator and admin, and
//! the disk layout that servers take when they name none.

use anyhow::Context;
use lab_client::{Client, WriteParams};
use lab_kinds::{
    core::{Namespace, namespace},
    metal::DiskLayout,
};
use lab_object::{ObjectMeta, Resource};

/// Creates what is missing, and what a new store comes with. What is there is left as it is.
pub async fn sow(client: &Client, is_new: bool) -> anyhow::Result<()> {
    for name in namespace::PERMANENT {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        plant(client, Namespace { metadata, ..Namespace::default() }).await?;
    }
    // Alone they give nobody anything; bindings and documents count on them.
    for role in lab_access::seed::roles() {
        plant(client, role).await?;
    }
    // Whoever deletes it does not want it back at the next start.
    if is_new {
        plant(client, DiskLayout::labvg()).await?;
    }
    Ok(())
}

async fn plant<T: Resource>(client: &Client, object: T) -> anyhow::Result<()> {
    match client.resource().create(&object, &WriteParams::default()).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_already_exists() => Ok(()),
        Err(error) => {
            let name = object.metadata().name.clone().unwrap_or_default();
            Err(error).with_context(|| format!("cannot create {} {name:?}", T::KIND))
        }
    }
}
