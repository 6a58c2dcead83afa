//! Any number of rows, each made when it is read: columns bound to what fills them.

use std::sync::Arc;

use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;
use serde_json::{Value, json};

use super::binding::{BoundDimension, bind_dimensions, dimension_of};
use super::dataset::Dataset;
use super::day_rows::{DayRows, DayTable};
use super::dimension::{Dimension, describe};
use super::figure::{Figure, RowSeed};
use super::invented::{in_type, invented};
use super::json_text::{Number, ONE, json_text, write_instant};
use super::objects::{AccountObjects, Object, Subject, text};
use super::permutation::Permutation;
use super::row_spec::{RowSpec, RowVolume, SpecColumn};
use super::seeded::{mix, pick, salt, write_uuid};
use super::vocabulary as words;

/// The rows of one answer, none of them made yet.
#[derive(Debug)]
pub(crate) struct GeneratedRows {
    objects: Arc<AccountObjects>,
    subject: Subject,
    columns: Vec<BoundColumn>,
    dimensions: Vec<BoundDimension>,
    /// Which combination of counted dimensions each row of a day has.
    combinations: Permutation,
    days: DayTable,
    /// Rows within a day are rotated by this many, as the API does with rows that an incomplete `order_by` leaves equal.
    rotation: u64,
    sentences: Vec<Box<[u8]>>,
    answer_bytes: usize,
}

#[derive(Debug)]
struct BoundColumn {
    column: Column,
    source: ValueSource,
    salt: u64,
    /// One row of so many has no value; 0 is none.
    null_in: u64,
}

/// Where the values of a column come from.
#[derive(Debug)]
enum ValueSource {
    Day,
    /// The first second of the row's day, or of the next day, in Unix seconds.
    Second {
        next: bool,
    },
    /// The identifier of the row itself.
    RowId,
    /// The same in every row.
    Fixed(Box<[u8]>),
    /// An instant within the row's day.
    InDay,
    /// An instant before the row's day.
    Earlier,
    /// The identifier of the row's execution.
    Run {
        dimension: usize,
    },
    /// What the column says of the row's object.
    Object {
        dimension: usize,
        ready: Vec<Box<[u8]>>,
    },
    Figure(Figure),
    /// One of some values, or up to `at_most` of them if the column is a list.
    Choice {
        values: Vec<Box<[u8]>>,
        at_most: Option<u64>,
    },
    /// The text of an answer.
    LongText,
}

/// Rows of a full day, and whether every day has exactly as many.
#[derive(Debug, Clone, Copy)]
struct DayVolume {
    rows: u64,
    is_exact: bool,
}

impl GeneratedRows {
    pub(crate) fn new(spec: &RowSpec, dataset: &Dataset) -> Self {
        let objects = &*dataset.objects;
        let mut dimensions = bind_dimensions(spec, objects);
        // Rows keep their identity whichever figures are asked for.
        let mut grain: Vec<_> =
            spec.columns.iter().filter(|one| one.is_key).map(|one| one.column.name.as_str()).collect();
        grain.sort_unstable();
        let identity = spec.subject.identity(objects, &format!("{grain:?}{}", spec.kind));
        let changed = spec.subject.changed.as_deref().map_or(0, |changed| salt(1, changed));
        let wanted = dataset.account.rows_per_day.get(&spec.stream).copied();
        let volume = day_volume(wanted, identity, &mut dimensions, spec, objects);
        let has_runs = dimensions.iter().any(|bound| bound.is_counted && bound.dimension == Dimension::Run);
        // Executions are counted in order, so that the rows of one are neighbours.
        let combinations = Permutation::new(combinations(&dimensions), if has_runs { 0 } else { identity | 1 });
        let days = spec.days.iter().map(|day| {
            let keys = mix(identity ^ mix(day.to_epoch_days() as u64));
            let revision = dataset.revisions.get(day).copied().unwrap_or(0);
            DayRows {
                day: *day,
                label: day.to_string(),
                start_second: spec.zone.start_of(*day).as_second(),
                next_second: spec.zone.start_of(day.next()).as_second(),
                rows: rows_on(*day, spec, dataset, identity, volume),
                keys,
                figures: mix(keys ^ mix(revision + 1) ^ changed),
            }
        });
        let sentence = |(index, text): (usize, &&str)| {
            // Without the quotes: sentences are joined within one text.
            let text = json_text(&json!(text), index % 5 == 4);
            text[1..text.len() - 1].into()
        };
        let mut rows = Self {
            objects: dataset.objects.clone(),
            subject: spec.subject.clone(),
            columns: Vec::new(),
            dimensions,
            combinations,
            days: DayTable::new(days, spec.order),
            rotation: 0,
            sentences: words::SENTENCES.iter().enumerate().map(sentence).collect(),
            answer_bytes: dataset.account.answer_bytes,
        };
        rows.columns = spec.columns.iter().map(|column| rows.bind(column, spec)).collect();
        rows
    }

    fn bind(&self, SpecColumn { column, is_key }: &SpecColumn, spec: &RowSpec) -> BoundColumn {
        let (source, null_in) = self.source(column, *is_key, spec);
        BoundColumn { column: column.clone(), source, salt: salt(0, same_as(&column.name)), null_in }
    }

    /// Where the values of `column` come from, and in how many rows one is null; 0 is never.
    fn source(&self, column: &Column, is_key: bool, spec: &RowSpec) -> (ValueSource, u64) {
        let data_type = &column.data_type;
        let unless_positional = |null_in| if spec.positional { 0 } else { null_in };
        if spec.is_day(column) {
            return match data_type {
                ColumnType::Timestamp => (ValueSource::InDay, 0),
                ColumnType::UnixSeconds => (ValueSource::Second { next: false }, 0),
                _ => (ValueSource::Day, 0),
            };
        }
        if let Some(text) = spec.fixed(&column.name) {
            return (ValueSource::Fixed(json_text(&in_type(text, data_type), false)), 0);
        }
        if spec.signal.as_ref() == Some(&column.name) && !spec.zero {
            let most = column.range.map_or(500, |[_, most]| most as i64);
            let source = match data_type {
                ColumnType::Bool => ValueSource::Fixed(b"true".as_slice().into()),
                ColumnType::Float64 => ValueSource::Figure(Figure::Fraction(ONE.min(most * ONE), most * ONE)),
                _ => ValueSource::Figure(Figure::Whole(1, most)),
            };
            return (source, 0);
        }
        if let Some(index) = self.dimension_for(column, is_key) {
            let bound = &self.dimensions[index];
            if bound.dimension == Dimension::Run {
                return (ValueSource::Run { dimension: index }, 0);
            }
            let ready = bound.ready.iter().enumerate().map(|(position, object)| {
                let value = describe(object, &column.name, data_type, &column.values, position as u64);
                json_text(&value, position % 4 == 3)
            });
            let null_in = if !is_key && bound.dimension == Dimension::Persona { 4 } else { 0 };
            return (ValueSource::Object { dimension: index, ready: ready.collect() }, null_in);
        }
        match data_type {
            ColumnType::Int64 | ColumnType::Float64 => {
                let (figure, null_in) = self.figure(column, spec);
                (ValueSource::Figure(figure), unless_positional(null_in))
            }
            ColumnType::Timestamp if column.name.starts_with("first") => (ValueSource::Earlier, 10),
            ColumnType::Timestamp => (ValueSource::InDay, unless_positional(30)),
            ColumnType::UnixSeconds => (ValueSource::Second { next: true }, 0),
            ColumnType::Date => (ValueSource::Day, 0),
            ColumnType::Bool if spec.zero => (ValueSource::Fixed(b"false".as_slice().into()), 0),
            ColumnType::Utf8 if column.name == "id" => (ValueSource::RowId, 0),
            ColumnType::Utf8 if column.long_text => (ValueSource::LongText, 50),
            _ => (choices(column, spec, &self.objects), 25),
        }
    }

    /// The dimension whose object `column` describes.
    fn dimension_for(&self, column: &Column, is_key: bool) -> Option<usize> {
        let dimension = dimension_of(column, is_key)?;
        let find = |wanted: &Dimension| self.dimensions.iter().position(|bound| bound.dimension == *wanted);
        let found = find(&dimension).or_else(|| dimension.implied_by().iter().find_map(find))?;
        // A list is a member of the object, or it names other objects than the row's.
        let is_member = |object: &Object| object.contains_key(&column.name);
        let is_list = matches!(column.data_type, ColumnType::List(_));
        (!is_list || self.dimensions[found].ready.first().is_some_and(is_member)).then_some(found)
    }

    fn figure(&self, column: &Column, spec: &RowSpec) -> (Figure, u64) {
        let name = column.name.as_str();
        let is_whole = column.data_type == ColumnType::Int64;
        if spec.zero {
            return (if is_whole { Figure::Whole(0, 0) } else { Figure::Fraction(0, 0) }, 0);
        }
        let has = |name: &str| spec.columns.iter().any(|other| other.column.name == name);
        let visits = |kind: &str| -> Option<Figure> {
            let dimension = self.dimensions.iter().position(|bound| bound.dimension == Dimension::Bot)?;
            let is_counted = |bot: &Object| kind.is_empty() || text(bot, "bot_type") == kind;
            let counts = self.dimensions[dimension].ready.iter().map(is_counted).collect();
            Some(Figure::Visits { dimension, counts, column: salt(0, "count") })
        };
        let special = match name {
            "rank" | "visibility_rank" => Some(Figure::Rank),
            "negative_sentiment" if has("positive_sentiment") => {
                Some(Figure::RestOfHundred { column: salt(0, "positive_sentiment") })
            }
            "count" => visits(""),
            "citations" => visits("ai_assistant"),
            "indexing" => visits("index"),
            "training" => visits("ai_training"),
            "agents" => visits("ai_agent"),
            _ => None,
        };
        let is_rank = column.unit.as_deref() == Some("rank");
        let millionths = |bound: f64| (bound * ONE as f64) as i64;
        let null_in = match &special {
            Some(Figure::RestOfHundred { .. }) => 0,
            _ if name == "positive_sentiment" => 0,
            _ if is_rank => 12,
            _ => 60,
        };
        let figure = special.unwrap_or_else(|| match column.range {
            Some([low, high]) if is_whole => Figure::Whole(low as i64, high as i64),
            None if is_whole => Figure::Whole(0, 500),
            Some([low, high]) => Figure::Fraction(millionths(low), millionths(high)),
            None if is_rank => Figure::Fraction(ONE, 12 * ONE),
            None => Figure::Fraction(0, 40 * ONE),
        });
        (figure, null_in)
    }

    pub(crate) fn total(&self) -> u64 {
        self.days.total()
    }

    /// The days that have rows, in the order of the answer.
    pub(crate) fn days(&self) -> &DayTable {
        &self.days
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|bound| &bound.column)
    }

    /// Rotates the rows within each day by `rows`.
    pub(crate) fn rotate(&mut self, rows: u64) {
        self.rotation = rows;
    }

    /// Begins row `offset` of the answer; there must be such a row.
    pub(crate) fn seek(&self, offset: u64, row: &mut RowSeed) {
        let (day, number) = self.days.locate(offset);
        self.begin_row(day, number, row);
    }

    /// Begins row `number` of the day at `day`.
    pub(crate) fn begin_row(&self, day: usize, number: u64, row: &mut RowSeed) {
        let of_day = self.days.get(day);
        let number = if self.rotation == 0 { number } else { (number + self.rotation) % of_day.rows };
        row.day = day;
        row.number = number;
        row.figures = mix(of_day.figures ^ number);
        row.subject = number;
        row.digits.clear();
        let mut combination = self.combinations.at(number);
        // Counted dimensions come first, so the execution is known where the others are chosen.
        for bound in &self.dimensions {
            let is_run = bound.dimension == Dimension::Run;
            let len = bound.len.max(1);
            let digit = if bound.is_counted {
                combination % len
            } else if is_run {
                number
            } else {
                mix(of_day.keys ^ mix(row.subject ^ bound.salt)) % len
            };
            if bound.is_counted {
                combination /= len;
            }
            if is_run {
                row.subject = digit;
            }
            row.digits.push(digit);
        }
    }

    /// The number that column `index` holds in `row`, or `None` if the column holds no numbers.
    pub(crate) fn number(&self, index: usize, row: &RowSeed) -> Option<Number> {
        let bound = &self.columns[index];
        let ValueSource::Figure(figure) = &bound.source else { return None };
        Some(if bound.is_null(row) { Number::Null } else { figure.value(mix(row.figures ^ bound.salt), row) })
    }

    /// Whether column `index` holds numbers.
    pub(crate) fn is_numeric(&self, index: usize) -> bool {
        matches!(self.columns[index].source, ValueSource::Figure(_))
    }

    /// Writes the value of column `index` in `row`.
    pub(crate) fn write(&self, index: usize, row: &RowSeed, out: &mut Vec<u8>) {
        let bound = &self.columns[index];
        if bound.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        let day = self.days.get(row.day);
        let mut write_id = |before: &str, number: u64, after: &str| {
            out.extend_from_slice(before.as_bytes());
            write_uuid(number, out);
            out.extend_from_slice(after.as_bytes());
        };
        match &bound.source {
            ValueSource::RowId => write_id("\"", day.keys ^ mix(row.number) ^ bound.salt, "\""),
            ValueSource::Run { dimension } => {
                let number = day.keys ^ mix(row.digits[*dimension]);
                match bound.column.data_type {
                    ColumnType::Struct(_) => write_id("{\"id\":\"", number, "\",\"name\":null}"),
                    _ => write_id("\"", number, "\""),
                }
            }
            ValueSource::Figure(figure) => figure.value(mix(row.figures ^ bound.salt), row).write(out),
            ValueSource::Object { dimension, ready } => {
                let digit = row.digits[*dimension];
                match ready.get(digit as usize) {
                    Some(text) => out.extend_from_slice(text),
                    None => out.extend_from_slice(&self.describe_further(*dimension, digit, &bound.column)),
                }
            }
            ValueSource::Day => out.extend_from_slice(format!("\"{}\"", day.label).as_bytes()),
            ValueSource::Second { next } => {
                Number::Integer(if *next { day.next_second } else { day.start_second }).write(out);
            }
            ValueSource::Fixed(text) => out.extend_from_slice(text),
            ValueSource::InDay => {
                // Within 23 hours, which even the shortest day has; the same in all rows of an execution.
                let number = mix(day.keys ^ mix(row.subject) ^ bound.salt);
                let micros = if number >> 60 == 0 { (number >> 32) as u32 % 1_000_000 } else { 0 };
                write_instant(day.start_second + (number % (23 * 3600)) as i64, micros, out);
            }
            ValueSource::Earlier => {
                let number = mix(day.keys ^ mix(row.number) ^ bound.salt);
                write_instant(day.start_second - (number % (90 * 86_400)) as i64, 0, out);
            }
            ValueSource::Choice { values, at_most } => {
                let number = mix(mix(day.figures ^ row.subject) ^ bound.salt);
                write_choice(values, *at_most, number, out);
            }
            ValueSource::LongText => self.write_text(mix(day.figures ^ mix(row.subject)), out),
        }
    }

    /// What `column` says of an object that is not kept ready.
    fn describe_further(&self, dimension: usize, index: u64, column: &Column) -> Box<[u8]> {
        let object = self.dimensions[dimension].dimension.object(&self.objects, &self.subject, index);
        json_text(&describe(&object, &column.name, &column.data_type, &column.values, index), false)
    }

    fn write_text(&self, mut number: u64, out: &mut Vec<u8>) {
        out.push(b'"');
        if !number.is_multiple_of(40) {
            let end = out.len() + self.answer_bytes / 2 + (number >> 16) as usize % (self.answer_bytes + 1);
            Number::Integer((number >> 1) as i64).write(out);
            out.push(b' ');
            while out.len() < end {
                number = mix(number);
                out.extend_from_slice(&pick(&self.sentences, number)[..]);
            }
        }
        out.push(b'"');
    }
}

impl BoundColumn {
    fn is_null(&self, row: &RowSeed) -> bool {
        self.null_in != 0 && mix(row.figures ^ !self.salt).is_multiple_of(self.null_in)
    }
}

fn write_choice(values: &[Box<[u8]>], at_most: Option<u64>, number: u64, out: &mut Vec<u8>) {
    let first = number >> 8;
    let Some(at_most) = at_most else {
        out.extend_from_slice(&pick(values, first)[..]);
        return;
    };
    out.push(b'[');
    for position in 0..(number % (at_most + 1)).min(values.len() as u64) {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&pick(values, first + position)[..]);
    }
    out.push(b']');
}

/// How many combinations of counted dimensions there are.
fn combinations(dimensions: &[BoundDimension]) -> u64 {
    let counted = dimensions.iter().filter(|bound| bound.is_counted);
    counted.fold(1, |product: u64, bound| product.saturating_mul(bound.len.max(1)))
}

/// The rows of a full day. Grows the vocabulary until a day of `wanted` rows fits.
fn day_volume(
    wanted: Option<u64>,
    identity: u64,
    dimensions: &mut [BoundDimension],
    spec: &RowSpec,
    objects: &AccountObjects,
) -> DayVolume {
    let counted = || dimensions.iter().filter(|bound| bound.is_counted);
    let has_runs = counted().any(|bound| bound.dimension == Dimension::Run);
    let usual = match (spec.volume, counted().count()) {
        (RowVolume::One, _) => return DayVolume { rows: 1, is_exact: true },
        (RowVolume::Few, _) => 2 + mix(identity) % 3,
        _ if has_runs => 20,
        (_, 0) => 1,
        (_, 1) => 24,
        (_, 2) => 60,
        (_, 3) => 80,
        (_, 4) => 110,
        _ => 150,
    };
    let is_exact = wanted.is_some() || spec.volume == RowVolume::Few;
    let rows = wanted.unwrap_or(usual);
    let all = combinations(dimensions);
    // Where objects were left out, those that would be added could be the same ones.
    let can_grow = |bound: &&mut BoundDimension| bound.is_counted && bound.is_whole && bound.dimension.elasticity() > 0;
    let most = dimensions.iter_mut().filter(can_grow).max_by_key(|bound| bound.dimension.elasticity());
    if let Some(most) = most.filter(|_| (wanted.is_some() || has_runs) && spec.volume != RowVolume::Few) {
        most.len = rows.div_ceil(all / most.len.max(1)).max(most.len);
        let further = most.ready.len() as u64..most.dimension.ready(most.len);
        most.ready.extend(further.map(|index| most.dimension.object(objects, &spec.subject, index)));
    }
    DayVolume { rows: rows.min(combinations(dimensions)), is_exact }
}

fn rows_on(day: Day, spec: &RowSpec, dataset: &Dataset, identity: u64, full: DayVolume) -> u64 {
    if spec.volume == RowVolume::One {
        return 1;
    }
    let today = spec.zone.today(dataset.now);
    if day < dataset.first_day || day > today {
        return 0;
    }
    let number = mix(identity ^ mix(day.to_epoch_days() as u64) ^ 0x5eed);
    let is_last = spec.subject.category.is_some_and(|index| index > 0 && index + 1 == dataset.objects.categories.len());
    let rows = match spec.volume {
        _ if full.is_exact => full.rows,
        // The last category is hardly asked about: some of its days are empty.
        RowVolume::ByGrain if is_last && number.is_multiple_of(5) => 0,
        _ => (full.rows * (60 + number % 41)).div_ceil(100),
    };
    if day < today {
        return rows;
    }
    // Today has the rows of its hours so far.
    let hours = dataset.now.duration_since(spec.zone.start_of(day)).as_hours().clamp(0, 24) as u64;
    match spec.volume {
        // Streams that rely on each other have rows at the same hours.
        RowVolume::Steady | RowVolume::Few => (rows * hours).div_ceil(24),
        RowVolume::ByGrain | RowVolume::One => rows * hours / 24,
    }
}

/// Columns that describe the same objects in two ways choose them alike.
fn same_as(name: &str) -> &str {
    match name {
        "citation_details" => "citations",
        "sentiment_themes" => "themes",
        other => other,
    }
}

/// The values of a column that is neither a figure nor of a dimension.
fn choices(column: &Column, spec: &RowSpec, objects: &AccountObjects) -> ValueSource {
    let (item, at_most) = match &column.data_type {
        ColumnType::List(item) => (&**item, Some(5)),
        other => (other, None),
    };
    let is_reference = matches!(item, ColumnType::Utf8 | ColumnType::Struct(_));
    let values: Vec<Value> = match Dimension::from_column_name(&column.name).filter(|_| is_reference) {
        Some(dimension) => {
            // Lists name what they hold in the plural, so the object's own name or URL is asked for.
            let singular = if dimension == Dimension::Page { "url" } else { "name" };
            let object = |index| dimension.object(objects, &spec.subject, index);
            let len = dimension.len(objects, &spec.subject).min(64);
            (0..len).map(|index| describe(&object(index), singular, item, &[], index)).collect()
        }
        None if *item == ColumnType::Bool => vec![json!(true), json!(false)],
        None if *item == ColumnType::Utf8 && !column.values.is_empty() => {
            column.values.iter().map(|value| json!(value)).collect()
        }
        None => (0..24).map(|index| invented(&column.name, item, &column.values, mix(index))).collect(),
    };
    let values = values.iter().enumerate().map(|(index, value)| json_text(value, index % 4 == 2)).collect();
    ValueSource::Choice { values, at_most }
}
