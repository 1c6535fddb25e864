//! Plans, as tables of machines and what becomes of their disks.

mod approval;
mod cut;
mod machine;
mod plans;
mod properties;
mod renewal;
mod standing;
mod steps;
mod text;
