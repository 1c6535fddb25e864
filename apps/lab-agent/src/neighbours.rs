//! Who is at the other end of each cable: heard while the machine runs, as switches say it every half minute only.

use crate::console::say;
use lab_host::lldp::Listener;
use lab_kinds::metal::server::{Nic, hardware::LldpNeighbour};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc, thread};

/// What was heard so far, by interface.
#[derive(Debug, Clone, Default)]
pub struct Neighbours(Arc<Mutex<BTreeMap<String, LldpNeighbour>>>);

impl Neighbours {
    /// Listens from now on. Where that is not possible, nobody is ever heard.
    pub fn listen() -> Self {
        let heard = Self::default();
        let listener = match Listener::new() {
            Ok(listener) => listener,
            Err(error) => {
                say(&format!("who is at the other end of the cables cannot be heard: {error}"));
                return heard;
            }
        };
        let own = heard.clone();
        thread::spawn(move || {
            while let Ok((interface, said)) = listener.next() {
                match said.seconds {
                    // It takes leave.
                    0 => own.all().remove(&interface),
                    _ => own.all().insert(interface, said.neighbour),
                };
            }
        });
        heard
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, LldpNeighbour>> {
        self.0.lock()
    }

    /// Enters what was heard, and returns whether any of it is new.
    pub fn enter(&self, nics: &mut [Nic]) -> bool {
        let heard = self.all();
        let mut news = false;
        for nic in nics {
            let neighbour = heard.get(&nic.name);
            if nic.lldp.as_ref() != neighbour {
                nic.lldp = neighbour.cloned();
                news = true;
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::{Define, metal::Server};

    #[test]
    fn only_what_is_new() {
        let mut nics = Server::example().status.nics;
        nics.truncate(1);
        nics[0].lldp = None;
        let neighbours = Neighbours::default();
        assert!(!neighbours.enter(&mut nics), "nobody was heard");
        let leaf = LldpNeighbour { chassis: "leaf-1".into(), port: "7".into(), ..LldpNeighbour::default() };
        neighbours.all().insert(nics[0].name.clone(), leaf.clone());
        neighbours.all().insert("another".into(), LldpNeighbour::default());
        assert!(neighbours.enter(&mut nics));
        assert_eq!(nics[0].lldp, Some(leaf));
        assert!(!neighbours.enter(&mut nics), "that was heard before");
        neighbours.all().clear();
        assert!(neighbours.enter(&mut nics) && nics[0].lldp.is_none(), "it took leave");
    }
}
