//! A disk that fails, runs full and loses power on command, and behaves as badly as real ones may.
//!
//! What is written lands in a cache. A sync moves it to the platter. After a failed sync the cache calls the pages clean,
//! although the platter never got them, and may or may not go on showing them. Losing power keeps any subset of the
//! unsynced sectors.

use crate::chance::Chance;
use lab_store::disk::{Disk, DiskFile};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

const SECTOR: usize = 512;

/// What goes wrong, after so many more operations that it applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Sync,
    Write,
    Length,
    Rename,
    Read,
}

#[derive(Debug, Default)]
struct Inode {
    cache: Vec<u8>,
    platter: Vec<u8>,
    dirty: BTreeSet<usize>,
    length_dirty: bool,
    /// Sectors that take up space.
    allocated: BTreeSet<usize>,
}

impl Inode {
    fn settle(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let upto = (from + SECTOR).min(self.cache.len());
        if from < upto {
            if self.platter.len() < upto {
                self.platter.resize(upto, 0);
            }
            self.platter[from..upto].copy_from_slice(&self.cache[from..upto]);
        }
    }

    fn revert(&mut self, sector: usize) {
        let from = sector * SECTOR;
        for at in from..(from + SECTOR).min(self.cache.len()) {
            self.cache[at] = self.platter.get(at).copied().unwrap_or(0);
        }
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.settle(sector);
        }
        self.platter.resize(self.cache.len(), 0);
        self.length_dirty = false;
    }

    fn fail_to_sync(&mut self, chance: &mut Chance) {
        // Half of the time the worst: nothing reached the platter, and everything seems to have.
        let worst = chance.percent(50);
        for sector in std::mem::take(&mut self.dirty) {
            match if worst { 2 } else { chance.below(3) } {
                0 => self.settle(sector),
                1 => self.revert(sector),
                _ => {}
            }
        }
    }

    fn lose_power(&mut self, chance: &mut Chance) {
        let dirty = std::mem::take(&mut self.dirty);
        let keep = chance.below(101);
        for sector in dirty {
            if chance.percent(keep) {
                self.settle(sector);
            }
        }
        if std::mem::take(&mut self.length_dirty) && chance.percent(50) {
            self.platter.resize(self.cache.len(), 0);
        }
    }
}

#[derive(Debug)]
struct World {
    chance: Chance,
    names: BTreeMap<String, usize>,
    inodes: Vec<Inode>,
    faults: Vec<(Fault, u64)>,
    full: bool,
    crash_in: Option<u64>,
    crashed: bool,
    gate_closed: bool,
    at_gate: bool,
    /// Digest of every operation so far, by which two runs are compared.
    trace: u64,
}

impl World {
    fn note(&mut self, operation: u64, offset: u64, length: u64) {
        for word in [operation, offset, length] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(17);
        }
    }

    /// Every operation passes here first.
    fn pass(&mut self, kind: Fault, offset: u64, length: u64) -> io::Result<()> {
        if self.crashed {
            return Err(io::Error::other("the power is off"));
        }
        self.note(kind as u64, offset, length);
        if let Some(left) = &mut self.crash_in {
            if *left == 0 {
                self.lose_power();
                return Err(io::Error::other("the power went off"));
            }
            *left -= 1;
        }
        if let Some(next) = self.faults.iter().position(|(fault, _)| *fault == kind) {
            if self.faults[next].1 == 0 {
                self.faults.remove(next);
                return Err(io::Error::other(format!("injected: {kind:?}")));
            }
            self.faults[next].1 -= 1;
        }
        Ok(())
    }

    fn lose_power(&mut self) {
        self.crashed = true;
        for inode in &mut self.inodes {
            inode.lose_power(&mut self.chance);
        }
    }
}

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk {
    world: Arc<Mutex<World>>,
    gate: Arc<Condvar>,
}

impl SimulatedDisk {
    pub fn new(seed: u64) -> Self {
        let world = World {
            chance: Chance(seed),
            names: BTreeMap::new(),
            inodes: Vec::new(),
            faults: Vec::new(),
            full: false,
            crash_in: None,
            crashed: false,
            gate_closed: false,
            at_gate: false,
            trace: 0,
        };
        Self { world: Arc::new(Mutex::new(world)), gate: Arc::new(Condvar::new()) }
    }

    /// Makes an operation of a kind fail, after so many that succeed.
    pub fn inject(&self, fault: Fault, after: u64) {
        self.world.lock().faults.push((fault, after));
    }

    /// Makes everything succeed again, but for a lost power.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        (world.full, world.crash_in) = (false, None);
        world.faults.clear();
    }

    /// Refuses what needs new space.
    pub fn fill_up(&self) {
        self.world.lock().full = true;
    }

    /// Loses power after so many operations.
    pub fn crash_in(&self, operations: u64) {
        self.world.lock().crash_in = Some(operations);
    }

    /// Loses power now, unless it is lost already.
    pub fn crash(&self) {
        let mut world = self.world.lock();
        if !world.crashed {
            world.lose_power();
        }
        self.gate.notify_all();
    }

    pub fn crashed(&self) -> bool {
        self.world.lock().crashed
    }

    /// Gives power back: only what is on the platter is there.
    pub fn reboot(&self) {
        let mut world = self.world.lock();
        (world.crashed, world.full, world.crash_in) = (false, false, None);
        world.faults.clear();
        for inode in &mut world.inodes {
            inode.cache.clone_from(&inode.platter);
            inode.dirty.clear();
        }
    }

    /// Holds every sync back until what this returns is dropped.
    pub fn close_gate(&self) -> ClosedGate {
        self.world.lock().gate_closed = true;
        ClosedGate(self.clone())
    }

    /// Whether a sync is being held back.
    pub fn at_gate(&self) -> bool {
        self.world.lock().at_gate
    }

    pub fn trace(&self) -> u64 {
        self.world.lock().trace
    }
}

/// Syncs wait for this to be dropped.
pub struct ClosedGate(SimulatedDisk);

impl Drop for ClosedGate {
    fn drop(&mut self) {
        let mut world = self.0.world.lock();
        (world.gate_closed, world.at_gate) = (false, false);
        self.0.gate.notify_all();
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world.lock();
        if world.crashed {
            return Err(io::Error::other("the power is off"));
        }
        let inode = match (create, world.names.get(name)) {
            (false, Some(inode)) => *inode,
            (false, None) => return Err(ErrorKind::NotFound.into()),
            (true, _) => {
                world.inodes.push(Inode::default());
                let inode = world.inodes.len() - 1;
                world.names.insert(name.into(), inode);
                inode
            }
        };
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world.lock();
        let result = world.pass(Fault::Rename, 0, 0);
        // A failed rename, or one in which the power goes, may have happened nevertheless.
        if (result.is_ok() || world.chance.percent(50))
            && let Some(inode) = world.names.remove(from)
        {
            world.names.insert(to.into(), inode);
        }
        result
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world.lock();
        if world.crashed {
            return Err(io::Error::other("the power is off"));
        }
        world.names.remove(name);
        Ok(())
    }

    fn allocated(&self, name: &str) -> io::Result<u64> {
        let world = self.world.lock();
        let inode = world.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok((world.inodes[*inode].allocated.len() * SECTOR) as u64)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.world.lock().inodes[self.inode].cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        world.pass(Fault::Read, offset, out.len() as u64)?;
        let offset = offset as usize;
        let bytes = world.inodes[self.inode].cache.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        let result = world.pass(Fault::Write, offset, data.len() as u64);
        if world.crashed {
            return result;
        }
        let World { chance, inodes, full, .. } = &mut *world;
        let inode = &mut inodes[self.inode];
        let offset = offset as usize;
        let sectors = offset / SECTOR..(offset + data.len()).div_ceil(SECTOR);
        if *full && sectors.clone().any(|s| !inode.allocated.contains(&s)) {
            return Err(ErrorKind::StorageFull.into());
        }
        // What fails may have got half-way.
        let length = if result.is_ok() { data.len() } else { chance.below(data.len() as u64 + 1) as usize };
        if inode.cache.len() < offset + length {
            inode.cache.resize(offset + length, 0);
            inode.length_dirty = true;
        }
        inode.cache[offset..offset + length].copy_from_slice(&data[..length]);
        let written = offset / SECTOR..(offset + length).div_ceil(SECTOR);
        inode.dirty.extend(written.clone());
        inode.allocated.extend(written);
        result
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        world.pass(Fault::Length, 0, length)?;
        let inode = &mut world.inodes[self.inode];
        let length = length as usize;
        inode.cache.resize(length, 0);
        let beyond = length.div_ceil(SECTOR);
        inode.allocated.split_off(&beyond);
        inode.dirty.split_off(&beyond);
        inode.length_dirty = true;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world.lock();
        while world.gate_closed && !world.crashed {
            world.at_gate = true;
            self.disk.gate.wait(&mut world);
        }
        let result = world.pass(Fault::Sync, 0, 0);
        if world.crashed {
            return result;
        }
        let World { chance, inodes, .. } = &mut *world;
        let inode = &mut inodes[self.inode];
        if result.is_ok() {
            inode.sync()
        } else {
            inode.fail_to_sync(chance)
        }
        result
    }
}
