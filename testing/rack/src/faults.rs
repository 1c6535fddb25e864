//! What a wire does to packets: it loses, doubles, reorders and delays some. The same seed does the same to the same packets in order.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// How often something happens to a packet, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// It is lost.
    pub lost: f64,
    /// It comes twice.
    pub doubled: f64,
    /// It is overtaken by those after it.
    pub reordered: f64,
    /// It comes so late that its receiver has asked again.
    pub late: f64,
}

impl Faults {
    /// A wire without faults.
    pub const NONE: Self = Self { lost: 0.0, doubled: 0.0, reordered: 0.0, late: 0.0 };
    /// A bad cable.
    pub const BAD: Self = Self { lost: 0.05, doubled: 0.03, reordered: 0.05, late: 0.01 };

    /// When copies of a packet arrive; none where it is lost.
    pub fn fate(&self, random: &mut StdRng, late: Duration) -> Vec<Duration> {
        let mut happens = |chance: f64| chance > 0.0 && random.random_bool(chance);
        if happens(self.lost) {
            return Vec::new();
        }
        let delay = match (happens(self.late), happens(self.reordered)) {
            (true, _) => late,
            (_, true) => Duration::from_millis(3),
            _ => Duration::ZERO,
        };
        if happens(self.doubled) { vec![delay, delay + Duration::from_millis(1)] } else { vec![delay] }
    }
}

/// Random numbers that are the same in every run.
pub fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_often_as_was_said() {
        let count = |faults: Faults, is: fn(&[Duration]) -> bool| {
            let mut random = seeded(1);
            (0..10_000).filter(|_| is(&faults.fate(&mut random, Duration::from_secs(2)))).count()
        };
        assert_eq!(count(Faults::NONE, |fate| fate == [Duration::ZERO]), 10_000);
        assert!((400..600).contains(&count(Faults::BAD, <[_]>::is_empty)));
        assert!((200..400).contains(&count(Faults::BAD, |fate| fate.len() == 2)));
        assert!((50..150).contains(&count(Faults::BAD, |fate| fate.iter().any(|at| at.as_secs() == 2))));
    }
}
