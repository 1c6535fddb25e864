//! How a space is shared out among what wants a part of it.

use lab_kinds::metal::size::Size;

/// 1 MiB: what partitions begin at multiples of.
pub const MIB: u64 = 1 << 20;

/// LVM's default extent; partitions and volumes of a new disk are whole multiples of it.
pub const EXTENT: u64 = 4 * MIB;

/// The least that a volume without a size gets, when its layout says nothing else.
pub const LEAST_REST: Size = Size::of_gib(1);

/// What one partition or volume wants, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// With less it does not do.
    pub least: u64,
    /// What it gets where there is room.
    pub full: u64,
    /// Whether it takes all that the others leave.
    pub rest: bool,
}

impl Wish {
    /// The wish of a part of this size in units of so many bytes; one without a size takes the rest.
    pub fn of(size: Option<Size>, least: Option<Size>, unit: u64) -> Self {
        let units = |size: Size| size.bytes.div_ceil(unit).max(1);
        match size {
            Some(size) => Self { least: units(least.unwrap_or(size)), full: units(size), rest: false },
            None => {
                let least = units(least.unwrap_or(LEAST_REST));
                Self { least, full: least, rest: true }
            }
        }
    }
}

/// The least that all wishes take together, in units.
pub fn least(wishes: &[Wish]) -> u64 {
    wishes.iter().fold(0, |sum, wish| sum.saturating_add(wish.least))
}

/// Shares out `available` units: to each its full size where that fits, otherwise each gives up the same share of what it
/// has above its least. `None` when even the least do not fit.
pub fn share(available: u64, wishes: &[Wish]) -> Option<Vec<u64>> {
    let spare = available.checked_sub(least(wishes))?;
    let slack: u128 = wishes.iter().map(|w| u128::from(w.full.saturating_sub(w.least))).sum();
    let given = |wish: &Wish| {
        let above = wish.full.saturating_sub(wish.least);
        // No more than `above`, so that it is a u64 again.
        let part = match u128::from(spare) >= slack {
            true => above,
            false => u64::try_from(u128::from(above) * u128::from(spare) / slack).unwrap_or(above),
        };
        wish.least + part
    };
    let mut sizes: Vec<u64> = wishes.iter().map(given).collect();
    let left = available - sizes.iter().sum::<u64>();
    if let Some(at) = wishes.iter().position(|wish| wish.rest) {
        sizes[at] += left;
    }
    Some(sizes)
}

/// A kind's number of bytes, which is never negative in what was admitted.
pub fn bytes(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or_default()
}

/// A number of bytes as kinds hold it.
pub fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A number of bytes as people write it, exact.
pub fn said(signed: i64) -> Size {
    Size::of_bytes(bytes(signed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(least: u64, full: u64) -> Wish {
        Wish { least, full, rest: false }
    }

    const REST: Wish = Wish { least: 5, full: 5, rest: true };

    #[test]
    fn shares() {
        let check = |available, wishes: &[Wish], expected: Option<&[u64]>| {
            assert_eq!(share(available, wishes).as_deref(), expected, "{available} among {wishes:?}");
        };
        check(100, &[wish(10, 40), wish(20, 20)], Some(&[40, 20]));
        check(100, &[wish(10, 40), REST], Some(&[40, 60]));
        // The rest falls to its least first, then the others give alike.
        check(45, &[wish(10, 40), REST], Some(&[40, 5]));
        check(30, &[wish(10, 40), REST], Some(&[25, 5]));
        check(40, &[wish(10, 30), wish(10, 50)], Some(&[16, 23]));
        check(15, &[wish(10, 40), REST], Some(&[10, 5]));
        check(14, &[wish(10, 40), REST], None);
        check(0, &[], Some(&[]));
    }

    #[test]
    fn wishes() {
        let gib = |n| Some(Size::of_gib(n));
        assert_eq!(Wish::of(gib(2), gib(1), EXTENT), wish(256, 512));
        assert_eq!(Wish::of(gib(2), None, EXTENT), wish(512, 512));
        assert_eq!(Wish::of(Some(Size::of_bytes(1)), None, EXTENT), wish(1, 1));
        assert_eq!(Wish::of(None, None, EXTENT), Wish { least: 256, full: 256, rest: true });
    }

    proptest! {
        #[test]
        fn fits_and_lacks_nothing(
            available in 0u64..10_000,
            parts in proptest::collection::vec((0u64..500, 0u64..2_000), 0..12),
            with_rest: bool,
        ) {
            let mut wishes: Vec<_> = parts.iter().map(|&(least, more)| wish(least, least + more)).collect();
            wishes.extend(with_rest.then_some(REST));
            let Some(sizes) = share(available, &wishes) else {
                prop_assert!(least(&wishes) > available);
                return Ok(());
            };
            prop_assert!(sizes.iter().sum::<u64>() <= available);
            for (size, wish) in sizes.iter().zip(&wishes) {
                prop_assert!(*size >= wish.least && (wish.rest || *size <= wish.full));
            }
            if with_rest {
                prop_assert_eq!(sizes.iter().sum::<u64>(), available);
            }
        }
    }
}
