//! The protobuf wire format: tags, varints and lengths.

/// Bytes that are no protobuf, or not of the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {fault}")]
pub struct Malformed {
    /// Where, from the start of the body.
    pub offset: usize,
    /// What is wrong there.
    pub fault: String,
}

/// A field's value as it came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Reader<'a>),
}

/// Reads fields one by one; knows where in the whole body it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, offset }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn malformed(&self, fault: impl Into<String>) -> Malformed {
        Malformed { offset: self.offset, fault: fault.into() }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let here = *self;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or_else(|| here.malformed(format!("{} is no field number", tag >> 3)))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Value::Bytes(self.delimited()?),
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(here.malformed(format!("{other} is no wire type in use"))),
        };
        Ok(Some((number, value)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in 0..10 {
            let [byte] = self.array()?;
            if shift == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number is longer than 64 bits"))
    }

    fn delimited(&mut self) -> Result<Reader<'a>, Malformed> {
        let here = *self;
        let length = self.varint()?;
        let length = usize::try_from(length).ok().filter(|l| *l <= self.rest.len());
        let length = length.ok_or_else(|| here.malformed("a length goes beyond the end"))?;
        let inner = Reader { rest: &self.rest[..length], offset: self.offset };
        self.advance(length);
        Ok(inner)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let array = self.rest.first_chunk().copied();
        let array = array.ok_or_else(|| self.malformed("the body ends in the middle of a value"))?;
        self.advance(N);
        Ok(array)
    }

    fn advance(&mut self, count: usize) {
        self.rest = &self.rest[count..];
        self.offset += count;
    }
}
