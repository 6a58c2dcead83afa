//! What was counted in answers, and the figures that follow from it.

use super::seeded::mix;

/// One in millionths.
pub(crate) const ONE: i64 = 1_000_000;

/// One row of a report: its objects, and what was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    pub(crate) digits: Vec<u64>,
    pub(crate) tally: Tally,
    /// What was counted, by engine.
    pub(crate) said: Vec<i64>,
}

/// What was counted for one row of a report.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Answers of the row's context, such as those of its engine.
    pub(crate) answers: i64,
    /// Mentions, citations or assessments.
    pub(crate) said: i64,
    /// The same, of all rows of the context.
    pub(crate) all: i64,
    /// The sum of the positions at which the asset was named.
    pub(crate) positions: i64,
    pub(crate) positive: i64,
    /// The share of what was said, averaged over engines, in millionths.
    pub(crate) share: i64,
}

/// A figure in millionths; `None` if nothing was counted that it could be of.
pub(crate) type Measure = fn(&Tally) -> Option<i64>;

impl Tally {
    /// What the column `name` of a report on answers is.
    pub(crate) fn measure(name: &str) -> Option<Measure> {
        fn ratio(count: i64, of: i64) -> Option<i64> {
            (count * ONE + of / 2).checked_div(of)
        }
        Some(match name {
            "executions" => |tally| Some(tally.answers * ONE),
            "mentions_count" | "count" | "occurrences" => |tally| Some(tally.said * ONE),
            "positive" => |tally| Some(tally.positive * ONE),
            "negative" => |tally| Some((tally.said - tally.positive) * ONE),
            "visibility_score" => |tally| ratio(tally.said, tally.answers),
            "share_of_voice" => |tally| ratio(tally.said, tally.all),
            "average_position" => |tally| ratio(tally.positions, tally.said),
            "citation_share" => |tally| Some(tally.share),
            "positive_sentiment" => |tally| ratio(tally.positive * 100, tally.said),
            "negative_sentiment" => |tally| Some(100 * ONE - ratio(tally.positive * 100, tally.said)?),
            "occurrence" => |tally| ratio(tally.said * 100, tally.all),
            _ => return None,
        })
    }

    /// Counts that no answers are behind, where an account wants more rows than its answers have.
    pub(crate) fn invented(number: u64) -> Self {
        let below = |limit: i64, turn: u32| (mix(number.rotate_left(turn)) % limit.max(1) as u64) as i64;
        let answers = 1 + below(40, 1);
        let said = below(answers + 1, 2);
        Self {
            answers,
            said,
            all: said + below(60, 3),
            positions: said * (1 + below(5, 4)) + below(said + 1, 5),
            positive: below(said + 1, 6),
            share: below(ONE + 1, 7),
        }
    }

    /// The counts after the vendor restated them.
    pub(crate) fn restated(self, number: u64) -> Self {
        let more = 1 + (number % 5) as i64;
        Self {
            answers: self.answers + 1 + more,
            said: self.said + more,
            all: self.all + 2 + 2 * more,
            positions: self.positions + 2 * more,
            positive: self.positive + 1,
            share: (self.share + more * 100) % ONE,
        }
    }
}
