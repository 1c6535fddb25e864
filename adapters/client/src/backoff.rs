//! How long to wait before trying again.

use std::time::Duration;

/// Waits that double from `first` to `most`, spread so that many clients do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// Tells clients apart: two with different seeds wait differently. Handed in, as this crate makes no randomness.
    pub seed: u64,
}

impl Backoff {
    /// For connections: 200 ms to 30 s.
    pub fn connections(seed: u64) -> Self {
        Self { first: Duration::from_millis(200), most: Duration::from_secs(30), seed }
    }

    /// For reconcilers: 50 ms to 5 min.
    pub fn reconcilers(seed: u64) -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(300), seed }
    }

    /// The wait after this many failures (1 for the first): between half and the whole of the doubled wait.
    pub fn after(&self, failures: u32) -> Duration {
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = doubled.min(self.most);
        let spread = mix(self.seed ^ u64::from(failures)) >> 11;
        whole.mul_f64(0.5 + 0.5 * (spread as f64 / (1_u64 << 53) as f64))
    }
}

/// SplitMix64's finaliser: every bit of the input moves half of the output's.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_bounds_and_differ_by_seed() {
        let backoff =
            |seed| Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5), seed };
        for (failures, least, most) in
            [(1, 50, 100), (2, 100, 200), (4, 400, 800), (9, 2500, 5000), (99, 2500, 5000)]
        {
            for seed in 0..50 {
                let wait = backoff(seed).after(failures).as_millis();
                assert!((least..=most).contains(&wait), "{failures} failures: {wait} ms");
            }
        }
        assert_ne!(backoff(1).after(3), backoff(2).after(3));
    }
}
