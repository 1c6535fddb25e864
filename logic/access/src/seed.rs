//! The roles that every installation begins with.

use lab_kinds::iam::{Role, role::RoleSpec};
use lab_object::ObjectMeta;

/// Name, permission and purpose of each.
const ROLES: [(&str, &str, &str); 3] = [
    ("viewer", "read:*:*:*", "Sees everything but secrets and who may do what."),
    (
        "operator",
        "destroy:*:*:*",
        "Installs, changes and removes machines and all they need; sees no secrets.",
    ),
    ("admin", "admin:*:*:*", "May do everything, and says who may do what."),
];

/// The seeded roles: viewer, operator and admin, over everything. They are created where they are missing and are
/// ordinary objects from then on.
pub fn roles() -> Vec<Role> {
    ROLES
        .iter()
        .map(|(name, permission, description)| Role {
            metadata: ObjectMeta { name: Some((*name).into()), ..Default::default() },
            spec: RoleSpec {
                description: Some((*description).into()),
                permissions: vec![(*permission).into()],
            },
            ..Default::default()
        })
        .collect()
}
