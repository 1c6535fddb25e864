//! Verbs on labctl itself and on the site as a whole, a file each.

pub mod completion;
pub mod doctor;
pub mod login;
pub mod man_pages;
pub mod passwd;
pub mod roles;
pub mod version;
