//! The statements of each dialect, in the order in which they are executed.

use super::dialect::{Dialect, Target};
use super::{Table, TableColumn};
use crate::model::column::ColumnType;

pub fn all(target: Target, table: &Table) -> Vec<String> {
    let dialect = target.dialect();
    let sql = Sql { dialect, table, name: dialect.name(&table.files.stream.name) };
    match target {
        Target::Duckdb => sql.duckdb(),
        Target::Athena => sql.athena(),
        Target::Spark => sql.spark(true),
        // Unity Catalog lists the directories of external tables itself.
        Target::Databricks => sql.spark(false),
        Target::Bigquery => sql.bigquery(),
        Target::Snowflake => sql.snowflake(),
        Target::Clickhouse => sql.clickhouse(),
    }
}

struct Sql<'a> {
    dialect: &'a Dialect,
    table: &'a Table<'a>,
    /// Quoted.
    name: String,
}

impl Sql<'_> {
    /// A view: DuckDB has no external tables. The rows without a file give every column and type of the catalog also where the
    /// files are older than a column, and cost nothing: filters reach the files on both sides of the union.
    fn duckdb(&self) -> Vec<String> {
        let all = self.all_columns();
        let columns = self.lines(all.clone(), |column| {
            format!("null::{} as {}", self.data_type(column), self.dialect.name(&column.name))
        });
        let keys = self.table.directories.iter();
        let types: Vec<String> =
            keys.map(|key| format!("{}: {}", self.dialect.name(&key.name), self.data_type(key))).collect();
        let hive = match types.as_slice() {
            [] => "false".to_owned(),
            types => format!("true, hive_types = {{{}}}", types.join(", ")),
        };
        // Brackets keep characters of a path from being patterns.
        let root: String = self.table.files.location.chars().fold(String::new(), |root, next| match next {
            '*' | '?' | '[' => format!("{root}[{next}]"),
            _ => format!("{root}{next}"),
        });
        let files = self.dialect.text(&format!("{root}/**/*.parquet"));
        let mut statements = vec![
            format!(
                "create or replace view {} as\nselect * from (\n  select\n  {}\n  limit 0\n)\nunion all by name\n\
                 select * from read_parquet({files}, union_by_name = true, hive_partitioning = {hive})",
                self.name,
                columns.replace('\n', "\n  "),
            ),
            format!("comment on view {} is {}", self.name, self.dialect.comment(&self.table.comment)),
        ];
        statements.extend(self.column_comments(all));
        statements
    }

    fn athena(&self) -> Vec<String> {
        let mut properties: Vec<(String, String)> = Vec::new();
        let mut template = format!("{}/", self.table.files.location);
        for (key, values) in self.table.values() {
            let name = &key.name;
            let first = values.first().map_or("", String::as_str);
            let of_days = |format: &str, unit: &str| {
                vec![
                    ("type", "date".to_owned()),
                    ("format", format.to_owned()),
                    ("range", format!("{first},NOW")),
                    ("interval", "1".to_owned()),
                    ("interval.unit", unit.to_owned()),
                ]
            };
            let projection = match name.as_str() {
                "day" => of_days("yyyy-MM-dd", "DAYS"),
                "month" => of_days("yyyy-MM", "MONTHS"),
                _ => vec![
                    ("type", "enum".to_owned()),
                    ("values", values.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
                ],
            };
            let named = projection.into_iter().map(|(setting, value)| (format!("projection.{name}.{setting}"), value));
            properties.extend(named);
            template.push_str(&format!("{name}=${{{name}}}/"));
        }
        if !properties.is_empty() {
            properties.insert(0, ("projection.enabled".to_owned(), "true".to_owned()));
            properties.push(("storage.location.template".to_owned(), template));
        }
        let pair =
            |(name, value): &(String, String)| format!("  {} = {}", self.dialect.text(name), self.dialect.text(value));
        let properties = match properties.iter().map(pair).collect::<Vec<_>>().join(",\n") {
            none if none.is_empty() => none,
            some => format!("\ntblproperties (\n{some}\n)"),
        };
        // Projected values are texts of the given format.
        let keys = self.lines(self.table.directories.iter(), |key| {
            let (name, text) = (self.dialect.name(&key.name), self.dialect.data_type(&ColumnType::Utf8));
            format!("{name} {text} comment {}", self.dialect.column_comment(&key.comment))
        });
        let partitioned = if keys.is_empty() { keys } else { format!("\npartitioned by (\n{keys}\n)") };
        let comment = match self.table.directories.as_slice() {
            [] => self.table.comment.clone(),
            _ => format!(
                "{} Lists the directories of its files: create it again after a new category, asset or domain, and after a backfill of \
                 earlier days.",
                self.table.comment
            ),
        };
        self.replaced(format!(
            "create external table {} (\n{}\n)\ncomment {}{partitioned}\nstored as parquet\nlocation {}{properties}",
            self.name,
            self.commented(self.table.columns.iter()),
            self.dialect.comment(&comment),
            self.dialect.text(&format!("{}/", self.table.files.location)),
        ))
    }

    /// `repaired`: the catalog knows only directories that a statement has found.
    fn spark(&self, repaired: bool) -> Vec<String> {
        let keys = self.directory_names();
        let partitioned =
            if keys.is_empty() { String::new() } else { format!("\npartitioned by ({})", keys.join(", ")) };
        let mut statements = self.replaced(format!(
            "create table {} (\n{}\n)\nusing parquet{partitioned}\ncomment {}\nlocation {}",
            self.name,
            self.commented(self.all_columns()),
            self.dialect.comment(&self.table.comment),
            self.dialect.text(&self.table.files.location),
        ));
        if repaired && !keys.is_empty() {
            statements.push(format!("msck repair table {}", self.name));
        }
        statements
    }

    fn bigquery(&self) -> Vec<String> {
        let location = &self.table.files.location;
        let keys = self.lines(self.table.directories.iter(), |key| {
            format!("{} {}", self.dialect.name(&key.name), self.data_type(key))
        });
        let columns = self.lines(self.table.columns.iter(), |column| {
            let (name, comment) = (self.dialect.name(&column.name), self.dialect.column_comment(&column.comment));
            format!("{name} {} options (description = {comment})", self.data_type(column))
        });
        let text = |text: &str| self.dialect.text(text);
        let mut options = vec![
            "format = 'PARQUET'".to_owned(),
            // Else a list is a record with a list of records.
            "enable_list_inference = true".to_owned(),
            format!("uris = [{}]", text(&format!("{location}/*"))),
            format!("description = {}", self.dialect.comment(&self.table.comment)),
        ];
        let partitioned = if keys.is_empty() {
            String::new()
        } else {
            options.push(format!("hive_partition_uri_prefix = {}", text(location)));
            format!("\nwith partition columns (\n{keys}\n)")
        };
        vec![format!(
            "create or replace external table {} (\n{columns}\n){partitioned}\noptions (\n  {}\n)",
            self.name,
            options.join(",\n  ")
        )]
    }

    /// The values of directories are cut from the path, counted from its end: the path begins with whatever the stage has.
    fn snowflake(&self) -> Vec<String> {
        let columns = self.lines(self.table.columns.iter(), |column| {
            let data_type = self.data_type(column);
            let value = format!("value:{}::{data_type}", self.dialect.exact_name(&column.name));
            format!("{} {data_type} as ({value})", self.dialect.name(&column.name))
        });
        let count = self.table.directories.len();
        let mut lines = vec![columns];
        for (index, key) in self.table.directories.iter().enumerate() {
            let data_type = self.data_type(key);
            let value = format!("split_part(split_part(metadata$filename, '/', -{}), '=', 2)", count - index + 1);
            lines.push(format!("  {} {data_type} as ({value}::{data_type})", self.dialect.name(&key.name)));
        }
        // Not enforced; fields of columns cannot be in it.
        let is_plain = self.table.key.iter().all(|column| !column.contains('.'));
        if is_plain && !self.table.key.is_empty() {
            let names: Vec<String> = self.table.key.iter().map(|column| self.dialect.name(column)).collect();
            lines.push(format!("  unique ({})", names.join(", ")));
        }
        let keys = self.directory_names();
        let partitioned = if keys.is_empty() { String::new() } else { format!("\npartition by ({})", keys.join(", ")) };
        let mut statements = vec![format!(
            "create or replace external table {} (\n{}\n){partitioned}\nlocation = {}/\nauto_refresh = false\n\
             file_format = (type = parquet use_logical_type = true)\ncomment = {}",
            self.name,
            lines.join(",\n"),
            self.table.files.location,
            self.dialect.comment(&self.table.comment),
        )];
        statements.extend(self.column_comments(self.all_columns()));
        statements
    }

    fn clickhouse(&self) -> Vec<String> {
        let files = self.dialect.text(&format!("{}/**/*.parquet", self.table.files.location));
        let engine = if self.table.files.location.starts_with('/') {
            format!("File(Parquet, {files})")
        } else {
            format!("S3({files}, Parquet)")
        };
        vec![format!(
            "create or replace table {} (\n{}\n)\nengine = {engine}\ncomment {}",
            self.name,
            self.commented(self.all_columns()),
            self.dialect.comment(&self.table.comment),
        )]
    }

    /// The columns of the files, then those of the directories.
    fn all_columns(&self) -> impl Iterator<Item = &TableColumn> + Clone {
        self.table.columns.iter().chain(&self.table.directories)
    }

    fn directory_names(&self) -> Vec<String> {
        self.table.directories.iter().map(|key| self.dialect.name(&key.name)).collect()
    }

    fn data_type(&self, column: &TableColumn) -> String {
        self.dialect.data_type(&column.data_type)
    }

    /// A line for each column, with commas between them.
    fn lines<'b>(
        &self,
        columns: impl Iterator<Item = &'b TableColumn>,
        line: impl Fn(&TableColumn) -> String,
    ) -> String {
        columns.map(|column| format!("  {}", line(column))).collect::<Vec<_>>().join(",\n")
    }

    fn commented<'b>(&self, columns: impl Iterator<Item = &'b TableColumn>) -> String {
        self.lines(columns, |column| {
            let (name, comment) = (self.dialect.name(&column.name), self.dialect.column_comment(&column.comment));
            format!("{name} {} comment {comment}", self.data_type(column))
        })
    }

    fn column_comments<'b>(&self, columns: impl Iterator<Item = &'b TableColumn>) -> Vec<String> {
        let comment = |column: &TableColumn| {
            let (name, comment) = (self.dialect.name(&column.name), self.dialect.column_comment(&column.comment));
            format!("comment on column {}.{name} is {comment}", self.name)
        };
        columns.map(comment).collect()
    }

    /// Where `create or replace` is missing. Files of external tables stay.
    fn replaced(&self, create: String) -> Vec<String> {
        vec![format!("drop table if exists {}", self.name), create]
    }
}
