//! A timestamp in eight bytes, for structs that exist a million times.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// In microseconds. `Option<CompactTimestamp>` takes eight bytes, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompactTimestamp(NonZeroU64);

/// Flips the sign, so that earlier is less and no timestamp of the calendar is zero.
const SIGN: u64 = 1 << 63;

impl CompactTimestamp {
    /// Since 1970.
    pub fn as_microsecond(self) -> i64 {
        (self.0.get() ^ SIGN) as i64
    }

    /// Saturates at the end of the calendar.
    pub fn from_microsecond(microseconds: i64) -> Self {
        Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX).into()
    }

    pub fn to_timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.as_microsecond()).unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for CompactTimestamp {
    /// Truncates to microseconds.
    fn from(time: Timestamp) -> Self {
        Self(NonZeroU64::new(time.as_microsecond() as u64 ^ SIGN).unwrap_or(NonZeroU64::MIN))
    }
}

impl FromStr for CompactTimestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl fmt::Debug for CompactTimestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_timestamp().fmt(out)
    }
}

impl Serialize for CompactTimestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_timestamp().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_as_instants_and_take_eight_bytes() {
        let texts = ["1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2026-03-01T05:00:00.000001Z"];
        let moments = texts.map(|text| text.parse::<CompactTimestamp>().unwrap());
        assert!(moments.is_sorted());
        assert_eq!(moments.map(|moment| moment.to_timestamp().to_string()), texts);
        assert_eq!(moments.map(|moment| CompactTimestamp::from_microsecond(moment.as_microsecond())), moments);
        assert_eq!(CompactTimestamp::from(Timestamp::MIN).as_microsecond(), Timestamp::MIN.as_microsecond());
        assert_eq!(size_of::<Option<CompactTimestamp>>(), 8);
    }
}
