//! The wire that machines boot over: DHCP, TFTP, HTTP boot, syslog. It knows nothing of machines' lives: what is answered, what
//! is served and what is kept is decided behind [`dhcp::Answerer`], [`files::Files`] and [`syslog::Sink`].

pub mod dhcp;
pub mod files;
pub mod http;
pub mod interface;
pub mod router;
pub mod syslog;
pub mod tftp;
