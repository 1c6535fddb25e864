//! Sockets: opened on every interface that is to be served, closed on those that are not any more.

use crate::Site;
use lab_machine::serving::{Attached, Served, serving};
use lab_netboot::dhcp::{Neighbours, Socket, listen};
use lab_netboot::interface::{Interface, interfaces, most_neighbours};
use lab_netboot::router::Solicitations;
use lab_netboot::{http, syslog, tftp};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// How often is looked whether interfaces came, went, or got other addresses.
const LOOK: Duration = Duration::from_secs(5);

/// The ports that are served. Firmware takes no others than the standard ones for DHCP and TFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// DHCP.
    pub dhcp: u16,
    /// PXE's second question.
    pub pxe: u16,
    /// TFTP.
    pub tftp: u16,
    /// HTTP.
    pub http: u16,
    /// Syslog, over UDP and TCP.
    pub syslog: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { dhcp: 67, pxe: 4011, tftp: 69, http: 80, syslog: 514 }
    }
}

/// What is served at present, for the Bastion's status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OnTheWire {
    /// Interfaces with open sockets.
    pub served: Vec<Served>,
    /// Why interfaces that should be served are not.
    pub trouble: BTreeMap<String, String>,
    /// Every interface of this machine.
    pub interfaces: Vec<Interface>,
}

/// The open sockets.
pub(crate) struct Wire {
    site: Arc<Site>,
    ports: Ports,
    open: BTreeMap<String, Open>,
    tell: tokio::sync::watch::Sender<OnTheWire>,
}

struct Open {
    served: Served,
    tasks: JoinSet<(&'static str, io::Result<()>)>,
}

impl Wire {
    /// No sockets yet.
    pub fn new(site: Arc<Site>, ports: Ports, tell: tokio::sync::watch::Sender<OnTheWire>) -> Self {
        open_many_files();
        Self { site, ports, open: BTreeMap::new(), tell }
    }

    /// Opens and closes sockets as networks and interfaces come and go. Never ends.
    pub async fn tend(mut self) {
        loop {
            self.look().await;
            let changed = self.site.changed.notified();
            // Whatever changes, changes in crowds.
            let _ = tokio::time::timeout(LOOK, changed).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn look(&mut self) {
        let interfaces = match interfaces() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "this machine's interfaces cannot be listed");
                return;
            }
        };
        let attached: Vec<Attached> = interfaces
            .iter()
            .map(|interface| Attached {
                name: interface.name.clone(),
                addresses: interface.addresses.clone(),
            })
            .collect();
        let wanted = self.site.with(|known| serving(&attached, known.bastion(), known.networks()));
        let mut trouble = self.broken();
        self.open.retain(|_, open| wanted.contains(&open.served));
        let addresses =
            wanted.iter().map(|served| (served.interface.clone(), (served.address, served.prefix)));
        // Answers are made as soon as sockets are open.
        self.site.serve_on(addresses.collect());
        for served in wanted {
            if self.open.contains_key(&served.interface) {
                continue;
            }
            match self.open(&served).await {
                Ok(tasks) => {
                    let networks = served.networks.join(", ");
                    tracing::info!(interface = served.interface, address = %served.address, networks, "serving");
                    if let Some(most) = most_neighbours().filter(|most| hosts(served.prefix) > *most) {
                        tracing::warn!(
                            interface = served.interface,
                            "the network has room for more than the {most} machines that this system's kernel reaches at once; where \
                             there are so many, raise net.ipv4.neigh.default.gc_thresh3"
                        );
                    }
                    self.open.insert(served.interface.clone(), Open { served, tasks });
                }
                Err(why) => {
                    trouble.insert(served.interface, why);
                }
            }
        }
        self.tell(interfaces, trouble);
    }

    /// Closes interfaces on which something failed; they are opened again at once, or say why not.
    fn broken(&mut self) -> BTreeMap<String, String> {
        let mut trouble = BTreeMap::new();
        self.open.retain(|interface, open| match open.tasks.try_join_next() {
            None => true,
            Some(ended) => {
                let why = match ended {
                    Ok((what, Err(error))) => format!("{what} failed: {error}"),
                    Ok((what, Ok(()))) => format!("{what} ended"),
                    Err(error) => error.to_string(),
                };
                tracing::error!(interface, why, "opening anew");
                trouble.insert(interface.clone(), why);
                false
            }
        });
        trouble
    }

    fn tell(&self, interfaces: Vec<Interface>, trouble: BTreeMap<String, String>) {
        let served = self.open.values().map(|open| open.served.clone()).collect();
        let now = OnTheWire { served, trouble, interfaces };
        self.tell.send_if_modified(|before| {
            for (interface, why) in &now.trouble {
                if before.trouble.get(interface) != Some(why) {
                    tracing::error!(interface, why, "not served, will try again");
                }
            }
            let changed = *before != now;
            *before = now.clone();
            changed
        });
    }

    async fn open(&self, served: &Served) -> Result<JoinSet<(&'static str, io::Result<()>)>, String> {
        let Ports { dhcp, pxe, tftp, http, syslog } = self.ports;
        let (interface, address): (Arc<str>, Ipv4Addr) = (served.interface.as_str().into(), served.address);
        let named = |what: &'static str, port: u16| {
            move |error: io::Error| format!("{what} on {address}:{port} cannot be opened: {}", hinted(&error))
        };
        let at = |port| SocketAddr::from((address, port));
        let dhcp_socket = Socket::open(&interface, dhcp).map_err(named("DHCP", dhcp))?;
        let pxe_socket = Socket::open(&interface, pxe).map_err(named("PXE", pxe))?;
        let tftp_socket = UdpSocket::bind(at(tftp)).await.map_err(named("TFTP", tftp))?;
        let http_socket = TcpListener::bind(at(http)).await.map_err(named("HTTP", http))?;
        let syslog_udp = UdpSocket::bind(at(syslog)).await.map_err(named("syslog", syslog))?;
        let syslog_tcp = TcpListener::bind(at(syslog)).await.map_err(named("syslog", syslog))?;
        let mut tasks = JoinSet::new();
        // Addresses are given out all the same; clients find for themselves what is in use.
        let neighbours = Neighbours::open(&interface).inspect_err(|error| {
            tracing::warn!(%interface, %error, "addresses are offered without a look whether somebody has them");
        });
        for (what, socket, neighbours) in [("DHCP", dhcp_socket, neighbours.ok()), ("PXE", pxe_socket, None)]
        {
            let (site, interface) = (self.site.clone(), interface.clone());
            tasks.spawn(async move { (what, listen(&socket, interface, neighbours.as_ref(), &*site).await) });
        }
        match Solicitations::open(&interface) {
            Ok(Some(solicitations)) => {
                let site = self.site.clone();
                tasks.spawn(async move {
                    let answered = solicitations.answer(|mac| site.router_solicited(mac)).await;
                    ("router solicitations", answered)
                });
            }
            Ok(None) => {}
            // Machines boot all the same, only later.
            Err(error) => {
                tracing::warn!(%interface, %error, "iPXE will wait for an IPv6 router: it cannot be told that there is none")
            }
        }
        let site = self.site.clone();
        tasks.spawn(async { ("TFTP", tftp::serve(tftp_socket, site, tftp::Settings::default()).await) });
        let site = self.site.clone();
        tasks.spawn(async { ("HTTP", http::serve(http_socket, site, http::Settings::default()).await) });
        let site = self.site.clone();
        tasks.spawn(async { ("syslog", syslog::serve_udp(syslog_udp, site).await) });
        let site = self.site.clone();
        tasks.spawn(async { ("syslog", syslog::serve_tcp(syslog_tcp, site).await) });
        Ok(tasks)
    }
}

/// How many addresses a network has.
fn hosts(prefix: u8) -> u64 {
    1 << 32_u8.saturating_sub(prefix)
}

/// A machine that boots takes connections and files; shells and systemd begin programs with room for 1,024.
fn open_many_files() {
    let of = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(of);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(of, most) {
        tracing::warn!(%error, "many machines at once may have to wait: the limit of open files stays as it is");
    }
}

/// What can be done about a socket that cannot be opened.
fn hinted(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("{error}; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE")
        }
        io::ErrorKind::AddrInUse => format!("{error}; another program has the port: `ss -lntup` shows which"),
        _ => error.to_string(),
    }
}
