//! What the dialects of SQL differ in: one row each.

use clap::ValueEnum;

use crate::model::column::ColumnType;

/// An engine or warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    Duckdb,
    Athena,
    Spark,
    Bigquery,
    Snowflake,
    Clickhouse,
    Databricks,
}

impl Target {
    pub fn name(self) -> &'static str {
        self.dialect().name
    }

    /// What is wrong with `location`, and what to pass instead.
    pub fn reject_location(self, location: &str) -> Option<String> {
        let starts = self.dialect().locations;
        let is_readable = starts.is_empty() || starts.iter().any(|start| location.starts_with(start));
        let listed: Vec<String> = starts.iter().map(|start| format!("`{start}`")).collect();
        (!is_readable).then(|| listed.join(", "))
    }

    pub(super) fn dialect(self) -> &'static Dialect {
        match self {
            Self::Duckdb => &DUCKDB,
            Self::Athena => &ATHENA,
            Self::Spark => &SPARK,
            Self::Bigquery => &BIGQUERY,
            Self::Snowflake => &SNOWFLAKE,
            Self::Clickhouse => &CLICKHOUSE,
            Self::Databricks => &DATABRICKS,
        }
    }
}

/// A dialect of SQL. Only the shape of its statements is elsewhere: in `statements.rs`.
#[derive(Debug)]
pub struct Dialect {
    name: &'static str,
    /// How locations start that the engine reads; none for all, directories of this machine included.
    locations: &'static [&'static str],
    /// Around names, so that none is a reserved word.
    quote: char,
    /// Names without quotes are upper case: quoted ones must be, too, or every query would need the quotes.
    upper_case: bool,
    /// A backslash in a text escapes what follows it, and itself; elsewhere a quote is doubled.
    backslash: bool,
    /// Characters of a column's comment, where the engine limits them.
    max_comment: Option<usize>,
    types: Types,
}

/// The names of types.
#[derive(Debug)]
struct Types {
    text: &'static str,
    integer: &'static str,
    float: &'static str,
    boolean: &'static str,
    date: &'static str,
    timestamp: &'static str,
    nested: Nested,
}

/// How nested types are written.
#[derive(Debug)]
enum Nested {
    /// Before and after the item of a list, and the fields of a structure; between name and type of a field.
    Typed { list: (&'static str, &'static str), structure: (&'static str, &'static str), colon: &'static str },
    /// One type for all of them.
    Untyped(&'static str),
}

const HIVE_TYPES: Types = Types {
    text: "string",
    integer: "bigint",
    float: "double",
    boolean: "boolean",
    date: "date",
    timestamp: "timestamp",
    nested: Nested::Typed { list: ("array<", ">"), structure: ("struct<", ">"), colon: ":" },
};

const DUCKDB: Dialect = Dialect {
    name: "duckdb",
    locations: &[],
    quote: '"',
    upper_case: false,
    backslash: false,
    max_comment: None,
    types: Types {
        text: "varchar",
        integer: "bigint",
        float: "double",
        boolean: "boolean",
        date: "date",
        timestamp: "timestamptz",
        nested: Nested::Typed { list: ("", "[]"), structure: ("struct(", ")"), colon: " " },
    },
};

const ATHENA: Dialect = Dialect {
    name: "athena",
    locations: &["s3://"],
    quote: '`',
    upper_case: false,
    backslash: true,
    // The Glue Data Catalog rejects longer ones.
    max_comment: Some(255),
    types: HIVE_TYPES,
};

const SPARK: Dialect = Dialect {
    name: "spark",
    locations: &[],
    quote: '`',
    upper_case: false,
    backslash: true,
    max_comment: None,
    types: HIVE_TYPES,
};

const DATABRICKS: Dialect =
    Dialect { name: "databricks", locations: &["s3://", "gs://", "abfss://", "dbfs:/", "/Volumes/"], ..SPARK };

const BIGQUERY: Dialect = Dialect {
    name: "bigquery",
    locations: &["gs://"],
    quote: '`',
    upper_case: false,
    backslash: true,
    max_comment: Some(1024),
    types: Types {
        text: "string",
        integer: "int64",
        float: "float64",
        boolean: "bool",
        date: "date",
        timestamp: "timestamp",
        nested: Nested::Typed { list: ("array<", ">"), structure: ("struct<", ">"), colon: " " },
    },
};

const SNOWFLAKE: Dialect = Dialect {
    name: "snowflake",
    // External tables read a stage, which holds the URL and the credentials.
    locations: &["@"],
    quote: '"',
    upper_case: true,
    backslash: true,
    max_comment: None,
    types: Types {
        text: "varchar",
        integer: "bigint",
        float: "double",
        boolean: "boolean",
        date: "date",
        timestamp: "timestamp_tz",
        nested: Nested::Untyped("variant"),
    },
};

const CLICKHOUSE: Dialect = Dialect {
    name: "clickhouse",
    locations: &["/", "s3://", "gs://", "http://", "https://"],
    quote: '`',
    upper_case: false,
    backslash: true,
    max_comment: None,
    types: Types {
        text: "Nullable(String)",
        integer: "Nullable(Int64)",
        float: "Nullable(Float64)",
        boolean: "Nullable(Bool)",
        date: "Nullable(Date32)",
        timestamp: "Nullable(DateTime64(6, 'UTC'))",
        // Neither may be null in ClickHouse.
        nested: Nested::Typed { list: ("Array(", ")"), structure: ("Tuple(", ")"), colon: " " },
    },
};

impl Dialect {
    pub fn name(&self, name: &str) -> String {
        let name = if self.upper_case { name.to_uppercase() } else { name.to_owned() };
        self.exact_name(&name)
    }

    /// Of a column in the files, whose case matters.
    pub fn exact_name(&self, name: &str) -> String {
        let quote = self.quote;
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }

    pub fn text(&self, text: &str) -> String {
        let text =
            if self.backslash { text.replace('\\', "\\\\").replace('\'', "\\'") } else { text.replace('\'', "''") };
        format!("'{text}'")
    }

    /// The comment of a column, cut where the engine limits it.
    pub fn column_comment(&self, comment: &str) -> String {
        match self.max_comment {
            Some(limit) if comment.chars().count() > limit => {
                self.comment(&comment.chars().take(limit - 1).chain(['…']).collect::<String>())
            }
            _ => self.comment(comment),
        }
    }

    /// A comment in one line: statements end with a semicolon at the end of a line.
    pub fn comment(&self, comment: &str) -> String {
        self.text(&comment.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn data_type(&self, data_type: &ColumnType) -> String {
        let types = &self.types;
        match (data_type, &types.nested) {
            (ColumnType::Utf8 | ColumnType::Json, _) => types.text.to_owned(),
            (ColumnType::Int64, _) => types.integer.to_owned(),
            (ColumnType::Float64, _) => types.float.to_owned(),
            (ColumnType::Bool, _) => types.boolean.to_owned(),
            (ColumnType::Date, _) => types.date.to_owned(),
            (ColumnType::Timestamp | ColumnType::UnixSeconds, _) => types.timestamp.to_owned(),
            (ColumnType::List(_) | ColumnType::Struct(_), Nested::Untyped(name)) => (*name).to_owned(),
            (ColumnType::List(item), Nested::Typed { list: (before, after), .. }) => {
                format!("{before}{}{after}", self.data_type(item))
            }
            (ColumnType::Struct(fields), Nested::Typed { structure: (before, after), colon, .. }) => {
                let field = |(name, field): &(String, ColumnType)| {
                    format!("{}{colon}{}", self.exact_name(name), self.data_type(field))
                };
                format!("{before}{}{after}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
