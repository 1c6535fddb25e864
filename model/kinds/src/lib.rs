//! Every kind we define, a folder per group, and the registry that describes them.
//!
//! Discovery, OpenAPI, tables, validation, aliases and completion all derive from a kind's registration, so that a
//! further kind is one file and its name in its group's list.

pub mod audit;
pub mod condition;
pub mod coordination;
pub mod core;
pub mod iam;
pub mod k8s;
pub mod kind;
pub mod metal;
pub mod registry;
pub mod typed;

mod check;

pub use condition::{Condition, ConditionStatus};
pub use kind::{
    Cell, Column, ColumnType, Define, Kind, LazySchema, NameRule, Scope, SelectableField, Subresource,
    TokenRule,
};
pub use registry::Registry;

use std::sync::LazyLock;

static COMPILED_IN: LazyLock<Registry> = LazyLock::new(|| {
    // All of it says how people and machines prove who they are.
    let iam = iam::kinds().into_iter().map(Kind::confidential).collect();
    let groups = [core::kinds(), coordination::kinds(), metal::kinds(), iam, audit::kinds()];
    Registry::new(groups.into_iter().flatten())
});

/// Every kind that is compiled in. Schemas are built once in a process, each when it is first looked at.
pub fn registry() -> Registry {
    COMPILED_IN.clone()
}

/// Lists the kinds of a group by module and type; each is also tested to survive its typed form.
macro_rules! kinds {
    ($($module:ident::$kind:ident),* $(,)?) => {
        $(pub use $module::$kind;)*

        /// The registrations of this group's kinds.
        pub(crate) fn kinds() -> Vec<crate::Kind> {
            vec![$(<$kind as crate::Define>::define()),*]
        }

        #[cfg(test)]
        mod typed_form {
            $(
                #[test]
                fn $module() {
                    crate::typed::tests::survives::<super::$kind>();
                    crate::typed::tests::reads_what_is_admitted::<super::$kind>();
                }
            )*
        }
    };
}
pub(crate) use kinds;
