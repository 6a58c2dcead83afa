//! The figures of the report: a title, a query, and how its columns are shown. A new figure is a new entry.

use super::source::{
    ANSWERS, ASSET_LIST, BOT_VISITS, CITED_URLS, DOMAIN_CITATIONS, ENGINE_SHARES, MENTIONS, REFERRAL_VISITS, Relation,
    SHARES, THEME_DAYS,
};

/// One query and how it is shown.
#[derive(Debug)]
pub struct Figure {
    /// Part of anchors.
    pub id: &'static str,
    pub title: &'static str,
    /// What the numbers mean.
    pub about: &'static str,
    pub relations: &'static [&'static Relation],
    pub sql: &'static str,
    pub shape: Shape,
    /// What the column `total` counts, if the query leaves some out.
    pub total: Option<&'static str>,
    /// The column that is part of the title where all rows have the same.
    pub subject: Option<&'static str>,
}

#[derive(Debug)]
pub enum Shape {
    /// The figures of the first row, large.
    Tiles(&'static [Tile]),
    /// A line for each value of `name`; the rows have `date`.
    Lines {
        name: &'static str,
        value: &'static str,
        format: Format,
    },
    Table(&'static [Shown]),
}

/// A large figure, and how it changed.
#[derive(Debug)]
pub struct Tile {
    pub label: &'static str,
    pub value: Shown,
    pub change: Option<Shown>,
}

/// A column of the query.
#[derive(Debug)]
pub struct Shown {
    pub column: &'static str,
    pub heading: &'static str,
    pub format: Format,
    /// Shows the size of the figure among those of its column.
    pub bar: bool,
    /// Where there is no value.
    pub none: &'static str,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Day,
    /// A number of whole things.
    Count,
    /// From 0 to 1, as per cent.
    Share,
    /// From 0 to 100, as per cent.
    Percent,
    /// A difference of two shares, in percentage points.
    SharePoints,
    /// The same, of others: neither good nor bad.
    SharePointsOfOthers,
    /// A difference of two percentages, in percentage points.
    Points,
    /// A relative change, as per cent; neither good nor bad.
    Growth,
    /// A mean rank.
    Rank,
    /// A difference of two mean ranks: lower is better.
    RankChange,
}

impl Format {
    /// The name in `data-format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Day => "day",
            Self::Count => "count",
            Self::Share => "share",
            Self::Percent => "percent",
            Self::SharePoints => "share-points",
            Self::SharePointsOfOthers => "share-points",
            Self::Points => "points",
            Self::Growth => "growth",
            Self::Rank => "rank",
            Self::RankChange => "rank-change",
        }
    }

    pub fn is_number(self) -> bool {
        self != Self::Text
    }

    pub fn is_change(self) -> bool {
        matches!(self, Self::SharePoints | Self::SharePointsOfOthers | Self::Points | Self::Growth | Self::RankChange)
    }
}

const fn shown(column: &'static str, heading: &'static str, format: Format) -> Shown {
    Shown { column, heading, format, bar: false, none: "–" }
}

const fn bar(column: &'static str, heading: &'static str, format: Format) -> Shown {
    Shown { column, heading, format, bar: true, none: "–" }
}

/// Those of each category.
pub const CATEGORY: [Figure; 6] = [
    Figure {
        id: "headline",
        title: "Where you are",
        about: "Your asset with the largest share of voice, on its newest day. Changes are against the newest day before the last seven.",
        relations: &[&SHARES],
        sql: include_str!("sql/headline.sql"),
        shape: Shape::Tiles(&[
            Tile {
                label: "share of voice",
                value: shown("share_of_voice", "Share of voice", Format::Share),
                change: Some(shown("share_change", "Change", Format::SharePoints)),
            },
            Tile {
                label: "visibility",
                value: shown("visibility", "Visibility", Format::Share),
                change: Some(shown("visibility_change", "Change", Format::SharePoints)),
            },
            Tile {
                label: "average position",
                value: shown("mean_rank", "Average position", Format::Rank),
                change: Some(shown("rank_change", "Change", Format::RankChange)),
            },
        ]),
        total: None,
        subject: None,
    },
    Figure {
        id: "share-of-voice",
        title: "Share of voice by day",
        about: "Share of all mentions of tracked assets, as the API counts it for each day.",
        relations: &[&SHARES],
        sql: include_str!("sql/share_of_voice.sql"),
        shape: Shape::Lines { name: "asset", value: "share_of_voice", format: Format::Share },
        total: Some("assets, your own first, then by their newest share"),
        subject: None,
    },
    Figure {
        id: "engines",
        title: "Visibility by answer engine",
        about: "Share of an engine's answers that name your leading asset, on its newest day of the last seven, and the most visible competitor there. Changes are against the newest day of the seven before.",
        relations: &[&SHARES, &ENGINE_SHARES],
        sql: include_str!("sql/engines.sql"),
        shape: Shape::Table(&[
            shown("engine", "Answer engine", Format::Text),
            shown("asset", "Your asset", Format::Text),
            bar("visibility", "Visibility", Format::Share),
            shown("change", "Change, points", Format::SharePoints),
            shown("rival", "Leading competitor", Format::Text),
            shown("rival_visibility", "Its visibility", Format::Share),
        ]),
        total: None,
        subject: Some("asset"),
    },
    Figure {
        id: "domains",
        title: "Most cited domains",
        about: "Citations of the last seven days and their share of all citations; the movement is against the seven days before.",
        relations: &[&DOMAIN_CITATIONS],
        sql: include_str!("sql/domains.sql"),
        shape: Shape::Table(&[
            shown("place", "Rank", Format::Count),
            Shown { none: "new", ..shown("place_before", "Before", Format::Count) },
            shown("domain", "Domain", Format::Text),
            bar("citations", "Citations", Format::Count),
            shown("share", "Share", Format::Share),
            shown("change", "Change, points", Format::SharePointsOfOthers),
        ]),
        total: Some("domains by citations"),
        subject: None,
    },
    Figure {
        id: "themes",
        title: "Sentiment by theme",
        about: "Share of positive statements about your assets, for each theme on its newest day of the last seven. Changes are against the newest day of the seven before.",
        relations: &[&THEME_DAYS],
        sql: include_str!("sql/themes.sql"),
        shape: Shape::Table(&[
            shown("asset", "Your asset", Format::Text),
            shown("theme", "Theme", Format::Text),
            bar("positive", "Positive", Format::Percent),
            shown("change", "Change, points", Format::Points),
            shown("date", "Day", Format::Day),
        ]),
        total: Some("themes, up to eight for each asset by occurrence"),
        subject: Some("asset"),
    },
    Figure {
        id: "prompts",
        title: "Prompts where competitors are named and you are not",
        about: "Answers of the last 28 days that name a tracked competitor and none of your assets; for each prompt the competitor and the host that most of them name and cite.",
        relations: &[&ANSWERS, &MENTIONS, &CITED_URLS, &ASSET_LIST],
        sql: include_str!("sql/prompts.sql"),
        shape: Shape::Table(&[
            shown("prompt", "Prompt", Format::Text),
            bar("gaps", "Without you", Format::Count),
            shown("answers", "Answers", Format::Count),
            shown("ours", "With you", Format::Count),
            shown("rival", "Named instead", Format::Text),
            shown("host", "Most cited", Format::Text),
        ]),
        total: Some("prompts by such answers"),
        subject: None,
    },
];

/// Those of each site.
pub const SITE: [Figure; 4] = [
    Figure {
        id: "bot-days",
        title: "Visits of AI bots by day",
        about: "Visits by the purpose of the bot, for each UTC day.",
        relations: &[&BOT_VISITS],
        sql: include_str!("sql/bot_days.sql"),
        shape: Shape::Lines { name: "purpose", value: "visits", format: Format::Count },
        total: Some("purposes by visits"),
        subject: None,
    },
    Figure {
        id: "bots",
        title: "Bots",
        about: "Visits of the last seven days; changes are against the seven days before.",
        relations: &[&BOT_VISITS],
        sql: include_str!("sql/bots.sql"),
        shape: Shape::Table(&[
            shown("bot", "Bot", Format::Text),
            shown("provider", "Run by", Format::Text),
            bar("visits", "Visits", Format::Count),
            shown("change", "Change", Format::Growth),
        ]),
        total: Some("bots by visits"),
        subject: None,
    },
    Figure {
        id: "referral-days",
        title: "Visits of people from answer engines by day",
        about: "Visits by source, for each UTC day, without the sources `other`, `internal` and `none`, which are in the next table.",
        relations: &[&REFERRAL_VISITS],
        sql: include_str!("sql/referral_days.sql"),
        shape: Shape::Lines { name: "source", value: "visits", format: Format::Count },
        total: Some("sources by visits"),
        subject: None,
    },
    Figure {
        id: "referrals",
        title: "Referrals",
        about: "Visits of the last seven days; changes are against the seven days before.",
        relations: &[&REFERRAL_VISITS],
        sql: include_str!("sql/referrals.sql"),
        shape: Shape::Table(&[
            shown("source", "Source", Format::Text),
            bar("visits", "Visits", Format::Count),
            shown("change", "Change", Format::Growth),
        ]),
        total: Some("sources by visits"),
        subject: None,
    },
];

/// At the foot of the page.
pub const COVERAGE: Figure = Figure {
    id: "coverage",
    title: "Coverage and freshness",
    about: "The streams of this page, of all categories and sites. A day counts once, however many categories it concerns. Provisional days may still be restated by the API. Counted when the page was made; the file of the SQL is as the last run left it.",
    relations: &[],
    sql: include_str!("sql/coverage.sql"),
    shape: Shape::Table(&[
        shown("stream", "Stream", Format::Text),
        shown("newest_day", "Newest day", Format::Day),
        shown("extracted", "Extracted, UTC", Format::Text),
        shown("row_count", "Rows", Format::Count),
        shown("provisional", "Provisional days", Format::Count),
        shown("missing", "Missing days", Format::Count),
        shown("suspect", "Suspect days", Format::Count),
        shown("stale", "Stale days", Format::Count),
        shown("not_entitled", "Not entitled", Format::Count),
    ]),
    total: None,
    subject: None,
};
