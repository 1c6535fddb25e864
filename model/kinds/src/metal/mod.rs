//! `metal.lab/v1alpha1`: machines, what they are connected to and what is put on them.

pub mod bastion;
pub mod disk_layout;
pub mod network;
pub mod operating_system;
pub mod server;
pub mod size;
pub mod ssh_certificate;

crate::kinds![
    server::Server,
    network::Network,
    bastion::Bastion,
    operating_system::OperatingSystem,
    disk_layout::DiskLayout,
];
