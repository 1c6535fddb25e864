//! Verbs on machines, a file each. They write objects; whoever is responsible acts.

pub mod approve;
pub mod chosen;
pub mod cp;
pub mod debug;
pub mod describe;
pub mod exec;
pub mod forget;
pub mod iso;
pub mod logs;
pub mod plan;
pub mod port_forward;
pub mod power;
pub mod progress;
pub mod provision;
pub mod reprovision;
pub mod ssh;
pub mod stream;
