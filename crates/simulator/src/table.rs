//! Any number of rows, made when they are asked for: columns bound to what fills them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use catalog::Catalog;
use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;

use super::account::Account;
use super::asked::{Asked, Usual};
use super::axes::{BoundAxis, axes_of, row_axis};
use super::axis::{Axis, told};
use super::days::{DayRows, Days};
use super::figure::Figure;
use super::hash::{mix, salt, write_uuid};
use super::invent::invented;
use super::lists::in_type;
use super::radix::Combinations;
use super::words;
use super::world::{Entry, Place, World, text};
use super::write::{Number, ONE, encoded, write_instant, write_integer, write_number};

/// What else the rows depend on.
#[derive(Debug)]
pub(super) struct Conditions<'a> {
    pub(super) account: &'a Account,
    pub(super) catalog: &'a Catalog,
    pub(super) now: Timestamp,
    pub(super) first_day: Day,
    /// How often each day has been restated.
    pub(super) revisions: &'a BTreeMap<Day, u64>,
    /// How many rows of a list were touched, and when.
    pub(super) touched: &'a BTreeMap<String, (usize, Timestamp)>,
}

/// The rows of one answer, none of them made yet.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Bound>,
    combinations: Combinations,
    axes: Vec<BoundAxis>,
    days: Days,
    /// Rows within a day are turned by this many, as ties are in an order that is not total.
    turned: u64,
    sentences: Vec<Box<[u8]>>,
    answer_bytes: usize,
}

#[derive(Debug)]
struct Bound {
    column: Column,
    source: Source,
    salt: u64,
    /// One row of so many has no value; 0 is none.
    null_in: u64,
}

/// Where the values of a column come from.
#[derive(Debug)]
enum Source {
    /// The row's day.
    Day,
    /// The first second of the row's day, or of the day after, since 1970.
    Second { next: bool },
    /// The identifier of the row itself.
    RowId,
    /// The same in every row.
    Fixed(Box<[u8]>),
    /// An instant within the row's day.
    InDay,
    /// An instant before the row's day.
    Earlier,
    /// The identifier of the row's execution.
    Run { axis: usize },
    /// What the column tells of the row's object.
    Object { axis: usize, ready: Vec<Box<[u8]>> },
    /// A figure.
    Figure(Figure),
    /// One of some values, or several when it is a list.
    Choice { values: Vec<Box<[u8]>>, at_most: Option<u64> },
    /// The text of an answer.
    LongText,
}

/// One row on its way: filled by [`Table::row`], read by the columns.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) day: usize,
    pub(super) number: u64,
    pub(super) digits: Vec<u64>,
    /// What the row is about: its execution, if it has one, else the row itself.
    pub(super) subject: u64,
    pub(super) figures: u64,
}

impl Table {
    pub(super) fn new(asked: &Asked, world: &World, conditions: &Conditions<'_>) -> Self {
        let day_column = asked.day_column.as_deref();
        let axes = axes_of(asked, world);
        // The identity of the rows: the scope and what tells rows apart, whatever figures are asked for.
        let mut grain: Vec<_> =
            asked.columns.iter().filter(|(_, key)| *key).map(|(column, _)| column.name.as_str()).collect();
        grain.sort_unstable();
        let identity = asked.place.identity(world, &format!("{grain:?}{}", asked.kind));
        let changed = asked.place.changed.as_deref().map_or(0, |changed| salt(1, changed));
        let mut table = Self {
            columns: Vec::new(),
            combinations: Combinations::new(Vec::new(), 0),
            axes,
            days: Days::new(Vec::new(), asked.order),
            turned: 0,
            sentences: words::SENTENCES
                .iter()
                .enumerate()
                // Without the quotes: sentences are joined within one text.
                .map(|(index, text)| {
                    let text = encoded(&json!(text), index % 5 == 4);
                    text[1..text.len() - 1].into()
                })
                .collect(),
            answer_bytes: conditions.account.answer_bytes,
        };
        let full = table.make_room(conditions.account.rows_per_day.get(&asked.stream).copied(), identity, asked, world);
        let rows = |day: Day| rows_on(day, asked, world, conditions, identity, full);
        let days = asked.days.iter().map(|day| {
            let number = day.to_epoch_days() as u64;
            let keys = mix(identity ^ mix(number));
            let revision = conditions.revisions.get(day).copied().unwrap_or(0);
            DayRows {
                day: *day,
                label: day.to_string(),
                start_second: asked.zone.start_of(*day).as_second(),
                next_second: asked.zone.start_of(day.next()).as_second(),
                rows: rows(*day),
                keys,
                figures: mix(keys ^ mix(revision.wrapping_add(1)) ^ changed),
            }
        });
        table.days = Days::new(days.collect(), asked.order);
        table.columns =
            asked.columns.iter().map(|(column, key)| table.bind(column, *key, day_column, asked, world)).collect();
        table
    }

    /// Grows the vocabulary until a day of `wanted` rows fits; returns the rows of a full day.
    fn make_room(&mut self, wanted: Option<u64>, identity: u64, asked: &Asked, world: &World) -> Exactly {
        let counted = self.axes.iter().filter(|axis| axis.counted).count();
        let run = self.axes.iter().any(|axis| axis.counted && axis.axis == Axis::Run);
        let usual = match counted {
            _ if run => 20,
            0 => 1,
            1 => 24,
            2 => 60,
            3 => 80,
            4 => 110,
            _ => 150,
        };
        let usual = match asked.usual {
            Usual::ByGrain | Usual::Steady => usual,
            Usual::One => return Exactly { rows: 1, exact: true },
            Usual::Few => 2 + mix(identity) % 3,
        };
        let rows = wanted.unwrap_or(usual);
        let product = |axes: &[BoundAxis]| {
            axes.iter().filter(|axis| axis.counted).fold(1u64, |product, axis| product.saturating_mul(axis.len.max(1)))
        };
        if wanted.is_some() || run {
            // Where some objects were left out, those that would be added could be the same ones.
            let grows = |axis: &&mut BoundAxis| axis.counted && axis.whole && 0 < axis.axis.elasticity();
            let most = self.axes.iter_mut().filter(grows).max_by_key(|axis| axis.axis.elasticity());
            if let Some(most) = most {
                let known = std::mem::replace(&mut most.len, 1);
                let kind = most.axis.clone();
                let needed = rows.div_ceil(product(&self.axes)).max(known);
                if let Some(most) = self.axes.iter_mut().find(|axis| axis.axis == kind) {
                    most.len = needed;
                    let ready = most.entries.len() as u64..kind.ready(needed);
                    most.entries.extend(ready.map(|index| kind.entry(world, &asked.place, index)));
                }
            }
        }
        let sizes: Vec<_> = self.axes.iter().filter(|axis| axis.counted).map(|axis| axis.len.max(1)).collect();
        // Executions are counted in order, so that the rows of one stand together.
        self.combinations = Combinations::new(sizes, if run { 0 } else { identity | 1 });
        let exact = wanted.is_some() || asked.usual == Usual::Few;
        Exactly { rows: rows.min(self.combinations.count()), exact }
    }

    fn bind(&self, column: &Column, key: bool, day_column: Option<&str>, asked: &Asked, world: &World) -> Bound {
        let column_salt = salt(0, same_as(&column.name));
        let bound = |source, null_in| Bound { column: column.clone(), source, salt: column_salt, null_in };
        if day_column == Some(column.name.as_str()) {
            let source = match column.data_type {
                ColumnType::Timestamp => Source::InDay,
                ColumnType::UnixSeconds => Source::Second { next: false },
                _ => Source::Day,
            };
            return bound(source, 0);
        }
        if let Some(fixed) = asked.fixed(&column.name) {
            let value = in_type(fixed, &column.data_type);
            return bound(Source::Fixed(encoded(&value, false)), 0);
        }
        if asked.signal.as_deref() == Some(column.name.as_str()) && !asked.zero {
            let most = column.range.map_or(500, |[_, most]| most as i64);
            return match column.data_type {
                ColumnType::Bool => bound(Source::Fixed(b"true".as_slice().into()), 0),
                ColumnType::Float64 => bound(Source::Figure(Figure::Fraction(ONE.min(most * ONE), most * ONE)), 0),
                _ => bound(Source::Figure(Figure::Whole(1, most)), 0),
            };
        }
        if let Some(index) = self.axis_for(column, key) {
            let axis = &self.axes[index];
            if axis.axis == Axis::Run {
                return bound(Source::Run { axis: index }, 0);
            }
            let ready = axis.entries.iter().enumerate().map(|(position, entry)| {
                encoded(
                    &told(entry, &column.name, &column.data_type, &column.values, position as u64),
                    position % 4 == 3,
                )
            });
            let null_in = if !key && axis.axis == Axis::Persona { 4 } else { 0 };
            return bound(Source::Object { axis: index, ready: ready.collect() }, null_in);
        }
        match &column.data_type {
            ColumnType::Int64 | ColumnType::Float64 => {
                let (figure, null_in) = self.figure(column, asked);
                bound(Source::Figure(figure), if asked.positional { 0 } else { null_in })
            }
            ColumnType::Timestamp if column.name.starts_with("first") => bound(Source::Earlier, 10),
            ColumnType::Timestamp => bound(Source::InDay, if asked.positional { 0 } else { 30 }),
            ColumnType::UnixSeconds => bound(Source::Second { next: true }, 0),
            ColumnType::Date => bound(Source::Day, 0),
            ColumnType::Bool if asked.zero => bound(Source::Fixed(b"false".as_slice().into()), 0),
            ColumnType::Utf8 if column.name == "id" => bound(Source::RowId, 0),
            ColumnType::Utf8 if column.long_text => bound(Source::LongText, 50),
            _ => {
                let (values, at_most) = choices(column, asked, world);
                bound(Source::Choice { values, at_most }, 25)
            }
        }
    }

    /// The axis whose object `column` tells of.
    fn axis_for(&self, column: &Column, key: bool) -> Option<usize> {
        let axis = row_axis(column, key)?;
        let find = |wanted: &Axis| self.axes.iter().position(|bound| bound.axis == *wanted);
        let found = find(&axis).or_else(|| axis.implied_by().iter().find_map(find))?;
        // A list is the object's own, or it names other objects than the row's.
        let own = |entry: &Entry| entry.contains_key(&column.name);
        let is_list = matches!(column.data_type, ColumnType::List(_));
        (!is_list || self.axes[found].entries.first().is_some_and(own)).then_some(found)
    }

    fn figure(&self, column: &Column, asked: &Asked) -> (Figure, u64) {
        let name = column.name.as_str();
        if asked.zero {
            let zero = if column.data_type == ColumnType::Int64 { Figure::Whole(0, 0) } else { Figure::Fraction(0, 0) };
            return (zero, 0);
        }
        let has = |name: &str| asked.columns.iter().any(|(other, _)| other.name == name);
        let millionths = |bound: f64| (bound * ONE as f64) as i64;
        let bots = self.axes.iter().position(|axis| axis.axis == Axis::Bot);
        let visits = |kind: &'static str| -> Option<Figure> {
            let axis = bots?;
            let counts = self.axes[axis].entries.iter().map(|entry| kind.is_empty() || text(entry, "bot_type") == kind);
            Some(Figure::Visits { axis, counts: counts.collect(), of: salt(0, "count") })
        };
        let special = match name {
            "rank" | "visibility_rank" => Some(Figure::Rank),
            "negative_sentiment" if has("positive_sentiment") => {
                Some(Figure::RestOfHundred { of: salt(0, "positive_sentiment") })
            }
            "count" => visits(""),
            "citations" => visits("ai_assistant"),
            "indexing" => visits("index"),
            "training" => visits("ai_training"),
            "agents" => visits("ai_agent"),
            _ => None,
        };
        let figure = special.unwrap_or_else(|| match (&column.data_type, column.range) {
            (ColumnType::Int64, Some([low, high])) => Figure::Whole(low as i64, high as i64),
            (ColumnType::Int64, None) => Figure::Whole(0, 500),
            (_, Some([low, high])) => Figure::Fraction(millionths(low), millionths(high)),
            (_, None) if column.unit.as_deref() == Some("rank") => Figure::Fraction(ONE, 12 * ONE),
            (_, None) => Figure::Fraction(0, 40 * ONE),
        });
        let null_in = match (&figure, column.unit.as_deref()) {
            (Figure::RestOfHundred { .. }, _) => 0,
            _ if name == "positive_sentiment" => 0,
            (_, Some("rank")) => 12,
            _ => 60,
        };
        (figure, null_in)
    }

    /// All rows.
    pub(super) fn total(&self) -> u64 {
        self.days.total()
    }

    /// The days that have rows, in the order of the answer.
    pub(super) fn days(&self) -> &Days {
        &self.days
    }

    /// The columns, by index.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|bound| &bound.column)
    }

    /// Turns the rows within each day, as an order does that leaves ties open.
    pub(super) fn turn(&mut self, by: u64) {
        self.turned = by;
    }

    /// Begins row `number` of the day at `day`.
    pub(super) fn row(&self, day: usize, number: u64, row: &mut Row) {
        let of_day = self.days.get(day);
        let number = if self.turned == 0 { number } else { (number + self.turned) % of_day.rows };
        row.day = day;
        row.number = number;
        row.figures = mix(of_day.figures ^ number);
        row.subject = number;
        row.digits.resize(self.axes.len(), 0);
        self.combinations.write(number, &mut row.digits);
        for (index, axis) in self.axes.iter().enumerate() {
            if axis.axis == Axis::Run {
                if !axis.counted {
                    row.digits[index] = number;
                }
                row.subject = row.digits[index];
            }
        }
        for (index, axis) in self.axes.iter().enumerate() {
            if !axis.counted && axis.axis != Axis::Run {
                row.digits[index] = mix(of_day.keys ^ mix(row.subject ^ axis.salt)) % axis.len.max(1);
            }
        }
    }

    /// The number that column `index` holds in `row`, or `None` when the column holds no numbers.
    pub(super) fn number(&self, index: usize, row: &Row) -> Option<Number> {
        let bound = &self.columns[index];
        let Source::Figure(figure) = &bound.source else {
            return None;
        };
        if self.is_null(bound, row) {
            return Some(Number::Null);
        }
        Some(figure.value(mix(row.figures ^ bound.salt), row))
    }

    fn is_null(&self, bound: &Bound, row: &Row) -> bool {
        bound.null_in != 0 && mix(row.figures ^ !bound.salt).is_multiple_of(bound.null_in)
    }

    /// Writes the value of column `index` in `row`.
    pub(super) fn write(&self, index: usize, row: &Row, world: &World, place: &Place, out: &mut Vec<u8>) {
        let bound = &self.columns[index];
        if self.is_null(bound, row) {
            out.extend_from_slice(b"null");
            return;
        }
        let day = self.days.get(row.day);
        match &bound.source {
            Source::Figure(figure) => write_number(figure.value(mix(row.figures ^ bound.salt), row), out),
            Source::Object { axis, ready } => {
                let digit = row.digits[*axis];
                match ready.get(digit as usize) {
                    Some(text) => out.extend_from_slice(text),
                    // Beyond what is kept ready: made for this row.
                    None => {
                        let entry = self.axes[*axis].axis.entry(world, place, digit);
                        let column = &bound.column;
                        let value = told(&entry, &column.name, &column.data_type, &column.values, digit);
                        out.extend_from_slice(&encoded(&value, false));
                    }
                }
            }
            Source::Day => {
                out.push(b'"');
                out.extend_from_slice(day.label.as_bytes());
                out.push(b'"');
            }
            Source::Second { next } => {
                write_integer(if *next { day.next_second } else { day.start_second }, out);
            }
            Source::RowId => {
                out.push(b'"');
                write_uuid(day.keys ^ mix(row.number) ^ bound.salt, out);
                out.push(b'"');
            }
            Source::Fixed(text) => out.extend_from_slice(text),
            Source::Run { axis } => {
                let around: (&[u8], &[u8]) = match bound.column.data_type {
                    ColumnType::Struct(_) => (b"{\"id\":\"", b"\",\"name\":null}"),
                    _ => (b"\"", b"\""),
                };
                out.extend_from_slice(around.0);
                write_uuid(day.keys ^ mix(row.digits[*axis]), out);
                out.extend_from_slice(around.1);
            }
            Source::InDay => {
                // Within 23 hours, which even the shortest day has; the same for every row of an execution.
                let number = mix(day.keys ^ mix(row.subject) ^ bound.salt);
                let second = day.start_second + (number % (23 * 3600)) as i64;
                write_instant(second, (number >> 60 == 0).then_some((number >> 32) as u32 % 1_000_000), out);
            }
            Source::Earlier => {
                let number = mix(day.keys ^ mix(row.number) ^ bound.salt);
                write_instant(day.start_second - (number % (90 * 86_400)) as i64, None, out);
            }
            Source::Choice { values, at_most } => self.write_choice(bound, values, *at_most, row, out),
            Source::LongText => self.write_text(row, out),
        }
    }

    fn write_choice(&self, bound: &Bound, values: &[Box<[u8]>], at_most: Option<u64>, row: &Row, out: &mut Vec<u8>) {
        let number = mix(mix(self.days.get(row.day).figures ^ row.subject) ^ bound.salt);
        let count = values.len() as u64;
        let first = (number >> 8) % count.max(1);
        let Some(at_most) = at_most else {
            out.extend_from_slice(values.get(first as usize).map_or(b"null", |value| value));
            return;
        };
        out.push(b'[');
        for position in 0..(number % (at_most + 1)).min(count) {
            if 0 < position {
                out.push(b',');
            }
            out.extend_from_slice(&values[((first + position) % count) as usize]);
        }
        out.push(b']');
    }

    fn write_text(&self, row: &Row, out: &mut Vec<u8>) {
        let mut number = mix(self.days.get(row.day).figures ^ mix(row.subject));
        out.push(b'"');
        if !number.is_multiple_of(40) {
            let goal = out.len() + self.answer_bytes / 2 + (number >> 16) as usize % (self.answer_bytes + 1);
            write_number(Number::Integer((number >> 1) as i64), out);
            out.push(b' ');
            while out.len() < goal {
                number = mix(number);
                out.extend_from_slice(&self.sentences[number as usize % self.sentences.len()]);
            }
        }
        out.push(b'"');
    }

    /// Whether column `index` holds numbers.
    pub(super) fn is_numeric(&self, index: usize) -> bool {
        matches!(self.columns[index].source, Source::Figure(_))
    }
}

/// Rows of a full day, and whether days may have fewer.
#[derive(Debug, Clone, Copy)]
struct Exactly {
    rows: u64,
    exact: bool,
}

fn rows_on(day: Day, asked: &Asked, world: &World, conditions: &Conditions<'_>, identity: u64, full: Exactly) -> u64 {
    if asked.usual == Usual::One {
        return 1;
    }
    let today = asked.zone.today(conditions.now);
    if day < conditions.first_day || today < day {
        return 0;
    }
    let number = mix(identity ^ mix(day.to_epoch_days() as u64) ^ 0x5eed);
    let quiet = asked.place.category.is_some_and(|index| 0 < index && index + 1 == world.categories.len());
    let rows = match full.exact {
        true => full.rows,
        // The last category is hardly asked about: some of its days are empty.
        false if quiet && asked.usual == Usual::ByGrain && number.is_multiple_of(5) => 0,
        false => (full.rows * (60 + number % 41)).div_ceil(100),
    };
    if day < today {
        return rows;
    }
    // Today goes on: so far it has the rows of its hours.
    let hours = conditions.now.duration_since(asked.zone.start_of(day)).as_hours().clamp(0, 24) as u64;
    match asked.usual {
        // Streams that tell of each other have rows at the same hours.
        Usual::Steady | Usual::Few => (rows * hours).div_ceil(24),
        Usual::ByGrain | Usual::One => rows * hours / 24,
    }
}

/// Columns that tell of the same objects in two ways choose them alike.
fn same_as(name: &str) -> &str {
    match name {
        "citation_details" => "citations",
        "sentiment_themes" => "themes",
        other => other,
    }
}

/// The values a column takes that is neither a figure nor tells rows apart; and how many at most when it is a list.
fn choices(column: &Column, asked: &Asked, world: &World) -> (Vec<Box<[u8]>>, Option<u64>) {
    let (item, at_most) = match &column.data_type {
        ColumnType::List(item) => (&**item, Some(5)),
        other => (other, None),
    };
    let known = Axis::of(&column.name).filter(|_| matches!(item, ColumnType::Utf8 | ColumnType::Struct(_)));
    let values: Vec<_> = match known {
        Some(axis) => {
            let len = axis.len(world, &asked.place).min(64);
            // Lists name what they hold in the plural, so the object's own name or URL is asked for.
            let singular = if axis == Axis::Page { "url" } else { "name" };
            (0..len).map(|index| told(&axis.entry(world, &asked.place, index), singular, item, &[], index)).collect()
        }
        None if *item == ColumnType::Bool => vec![json!(true), json!(false)],
        None if *item == ColumnType::Utf8 && !column.values.is_empty() => {
            column.values.iter().map(|value| json!(value)).collect()
        }
        None => (0..24).map(|index| invented(&column.name, item, &column.values, mix(index))).collect(),
    };
    let encode = |(index, value): (usize, &serde_json::Value)| encoded(value, index % 4 == 2);
    (values.iter().enumerate().map(encode).collect(), at_most)
}
