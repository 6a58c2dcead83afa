//! The columns of streams that charts read: loaded into SQLite under short names, and selected under the same names from the views of
//! `ddl --target duckdb`, so that one text of SQL runs in both.

use crate::model::day::Day;

/// A relation that charts query.
#[derive(Debug, PartialEq, Eq)]
pub struct Relation {
    /// In the SQL of charts.
    pub name: &'static str,
    pub stream: &'static str,
    pub columns: &'static [Column],
    pub days: LoadedDays,
}

/// A column of a relation.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// In the files, with the field of a structure after a dot.
    pub path: &'static str,
    pub name: &'static str,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is: text, integer or float.
    Plain,
    /// As text, `YYYY-MM-DD`: SQLite has no dates.
    Date,
    /// As 0 or 1: SQLite has no booleans.
    Flag,
    /// A list of texts: one row for each item.
    Each,
}

/// The days of a stream that charts read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadedDays {
    /// All that the report covers.
    Period,
    /// At most the last so many: counts of single citations and answers are large.
    Last(i64),
    /// A list has none.
    List,
}

const fn plain(path: &'static str, name: &'static str) -> Column {
    Column { path, name, kind: Kind::Plain }
}

const DATE: Column = Column { path: "date", name: "date", kind: Kind::Date };

pub const SHARES: Relation = Relation {
    name: "shares",
    stream: "visibility_v2_by_day",
    columns: &[
        DATE,
        plain("asset.name", "asset"),
        Column { path: "asset.owned", name: "owned", kind: Kind::Flag },
        plain("share_of_voice", "share_of_voice"),
        plain("visibility_score", "visibility"),
        plain("average_position", "mean_rank"),
    ],
    days: LoadedDays::Period,
};

pub const ENGINE_SHARES: Relation = Relation {
    name: "engine_shares",
    stream: "visibility_v2_by_model",
    columns: &[
        DATE,
        plain("model.name", "engine"),
        plain("asset.name", "asset"),
        Column { path: "asset.owned", name: "owned", kind: Kind::Flag },
        plain("visibility_score", "visibility"),
    ],
    days: LoadedDays::Last(14),
};

pub const DOMAIN_CITATIONS: Relation = Relation {
    name: "domain_citations",
    stream: "citations_v2_domain_by_model",
    columns: &[DATE, plain("domain", "domain"), plain("count", "citations")],
    days: LoadedDays::Last(14),
};

pub const THEME_DAYS: Relation = Relation {
    name: "theme_days",
    stream: "sentiment_v2_by_theme",
    columns: &[
        DATE,
        plain("asset_name", "asset"),
        plain("theme.name", "theme"),
        plain("positive_sentiment", "positive"),
        plain("occurrence", "occurrence"),
    ],
    days: LoadedDays::Last(14),
};

pub const ANSWERS: Relation = Relation {
    name: "answers",
    stream: "answers_v2",
    columns: &[plain("run_id", "run_id"), plain("prompt_id", "prompt_id"), plain("prompt", "prompt")],
    days: LoadedDays::Last(28),
};

pub const MENTIONS: Relation = Relation {
    name: "mentions",
    stream: "answers_v2",
    columns: &[plain("run_id", "run_id"), Column { path: "mentions", name: "asset", kind: Kind::Each }],
    days: LoadedDays::Last(28),
};

pub const CITED_URLS: Relation = Relation {
    name: "cited_urls",
    stream: "answers_v2",
    columns: &[plain("run_id", "run_id"), Column { path: "citations", name: "url", kind: Kind::Each }],
    days: LoadedDays::Last(28),
};

pub const ASSET_LIST: Relation = Relation {
    name: "asset_list",
    stream: "assets",
    columns: &[
        plain("name", "name"),
        Column { path: "is_owned", name: "owned", kind: Kind::Flag },
        plain("category.id", "category_id"),
    ],
    days: LoadedDays::List,
};

pub const BOT_VISITS: Relation = Relation {
    name: "bot_visits",
    stream: "bots_v2",
    columns: &[
        DATE,
        plain("bot_name", "bot"),
        plain("bot_provider", "provider"),
        plain("bot_type", "purpose"),
        plain("count", "visits"),
    ],
    days: LoadedDays::Period,
};

pub const REFERRAL_VISITS: Relation = Relation {
    name: "referral_visits",
    stream: "referrals_v2",
    columns: &[DATE, plain("referral_source", "source"), plain("visits", "visits")],
    days: LoadedDays::Period,
};

/// What the relations of one section hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// The columns of the scope and their values, such as `category_id` and an id.
    pub scope: Vec<(&'static str, String)>,
    pub period: Period,
}

/// The days of a section, as texts that compare like dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub first: Day,
    pub last: Day,
}

impl Period {
    /// The last seven days begin.
    pub fn week_from(self) -> Day {
        self.last.plus(-6)
    }

    /// The seven days before them begin.
    pub fn before_from(self) -> Day {
        self.last.plus(-13)
    }

    /// The days that `days` selects.
    pub fn days(self, days: LoadedDays) -> Option<(Day, Day)> {
        match days {
            LoadedDays::Period => Some((self.first, self.last)),
            LoadedDays::Last(days) => Some((self.first.max(self.last.plus(1 - days)), self.last)),
            LoadedDays::List => None,
        }
    }

    /// The days by the names that charts use.
    pub fn columns(self) -> [(&'static str, Day); 4] {
        [
            ("first_day", self.first),
            ("before_from", self.before_from()),
            ("week_from", self.week_from()),
            ("last_day", self.last),
        ]
    }
}

impl Relation {
    /// The relation over the views of `ddl --target duckdb`: a name and the query for it.
    fn duckdb(&self, extract: &Extract) -> String {
        let columns = self.columns.iter().map(|column| {
            let Column { path, name, kind } = column;
            match kind {
                Kind::Plain if path == name => (*path).to_owned(),
                Kind::Plain => format!("{path} as {name}"),
                Kind::Date => format!("cast({path} as varchar) as {name}"),
                Kind::Flag => format!("cast({path} as integer) as {name}"),
                Kind::Each => format!("unnest({path}) as {name}"),
            }
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let list_scope = self.columns.iter().find(|column| column.name == "category_id");
        let mut filters = Vec::new();
        for (column, value) in &extract.scope {
            let column = list_scope.map_or(*column, |column| column.path);
            filters.push(format!("{column} = {}", literal(value)));
        }
        if let Some((first, last)) = extract.period.days(self.days) {
            filters.push(format!("date between '{first}' and '{last}'"));
        }
        let stream = self.stream;
        format!("{} as (\n  select {columns}\n  from {stream}\n  where {}\n)", self.name, filters.join(" and "))
    }
}

/// `sql` for DuckDB: what SQLite has as tables is defined first.
pub fn duckdb_sql(relations: &[&Relation], extract: &Extract, sql: &str) -> String {
    let period = extract.period.columns().map(|(name, day)| format!("'{day}' as {name}")).join(", ");
    let mut names: Vec<String> = relations.iter().map(|relation| relation.duckdb(extract)).collect();
    if sql.contains("period") {
        names.push(format!("period as (\n  select {period}\n)"));
    }
    with_relations(&names, sql)
}

/// `sql`, with `relations` before those that it defines itself.
pub fn with_relations(relations: &[String], sql: &str) -> String {
    let relations = relations.join(", ");
    match sql.strip_prefix("with ") {
        Some(rest) => format!("with {relations}, {rest}"),
        None => format!("with {relations}\n{sql}"),
    }
}

/// A text in SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The coverage table of the lake at `url`, for DuckDB.
pub fn coverage_relation<'a>(url: &str, streams: impl IntoIterator<Item = &'a str>, period: Period) -> String {
    let file = literal(&format!("{url}/_profound_export/coverage.parquet"));
    let streams: Vec<String> = streams.into_iter().map(literal).collect();
    format!(
        "coverage as (\n  select stream, cast(day as varchar) as day, status, \"rows\" as row_count,\n    \
         strftime(extracted_at at time zone 'UTC', '%Y-%m-%d %H:%M') as extracted\n  from read_parquet({file})\n  \
         where stream in ({}) and (day is null or day >= '{}')\n)",
        streams.join(", "),
        period.first
    )
}
