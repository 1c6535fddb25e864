//! Numbers and texts at places in bytes that may be cut short.

/// Little-endian numbers at a place; nothing where the bytes end before.
pub trait At {
    /// One byte.
    fn u8_at(&self, at: usize) -> Option<u8>;
    /// Two bytes.
    fn u16_at(&self, at: usize) -> Option<u16>;
    /// Four bytes.
    fn u32_at(&self, at: usize) -> Option<u32>;
}

impl At for [u8] {
    fn u8_at(&self, at: usize) -> Option<u8> {
        self.get(at).copied()
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.get(at..at.checked_add(2)?)?.try_into().ok()?))
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }
}
