//! Any number of rows, each made when it is read: columns bound to what fills them.

use std::sync::Arc;

use catalog::model::column::{Column, ColumnType};
use catalog::model::day::Day;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answers::{ANSWERS, Answers, Counted, pace};
use super::binding::{BoundDimension, bind_dimensions, dimension_of};
use super::dataset::Dataset;
use super::day_rows::{DayRows, DayTable};
use super::dimension::{Dimension, describe};
use super::figure::{Figure, RowSeed};
use super::invented::{in_type, invented};
use super::objects::{AccountObjects, Object, Subject, text};
use super::permutation::Permutation;
use super::row_spec::{RowSpec, RowVolume, SpecColumn};
use super::seeded::{mix, pick, row_uuid, salt};
use super::stream_shape::is_positional;
use super::tally::{Group, ONE, Tally};
use super::vocabulary::WORDS;

/// The rows of one answer, none of them made yet.
#[derive(Debug)]
pub(crate) struct GeneratedRows {
    objects: Arc<AccountObjects>,
    subject: Subject,
    /// What is counted, in reports on answers.
    counted: Option<Counted>,
    columns: Vec<BoundColumn>,
    dimensions: Vec<BoundDimension>,
    /// Which combination of counted dimensions each row of a day has.
    combinations: Permutation,
    pub(crate) days: DayTable,
    /// Rows within a day are rotated by this many, as the API does with rows that an incomplete `order_by` leaves equal.
    rotation: u64,
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
    /// The first second of the row's day, in Unix seconds.
    StartSecond,
    /// The first second of the next day, in Unix seconds.
    EndSecond,
    /// The identifier of the row itself.
    RowId,
    /// The same in every row.
    Fixed(Value),
    /// An instant within the row's day.
    InDay,
    /// The identifier of the row's execution, in this dimension.
    Run(usize),
    /// What the column says of the row's object in this dimension, with the values of objects that are ready.
    Object(usize, Vec<Value>),
    Figure(Figure),
    /// What the row's answer names of a dimension.
    Named(Dimension, Vec<Value>),
    /// One of some values, or up to so many of them if the column is a list.
    Choice(Vec<Value>, Option<u64>),
    /// The text of an answer.
    LongText,
}

impl GeneratedRows {
    pub(crate) fn new(spec: &RowSpec, dataset: &Dataset) -> Self {
        let objects = &*dataset.objects;
        let mut dimensions = bind_dimensions(spec, objects);
        // Rows keep their identity whichever figures are asked for.
        let mut grain: Vec<_> =
            spec.columns.iter().filter(|one| one.is_key).map(|one| one.column.name.as_str()).collect();
        grain.sort_unstable();
        let answers = Answers::new(objects, &spec.subject);
        let counted = Counted::new(&spec.stream).filter(|_| answers.is_some());
        let answers = answers.filter(|_| counted.is_some());
        let own = || spec.subject.identity(objects.seed, &format!("{grain:?}{}", spec.stream.query));
        // An answer is the same one in every report.
        let identity = answers.as_ref().map_or_else(own, Answers::seed);
        let changed = spec.subject.changed.as_deref().map_or(0, |changed| salt(1, changed));
        let wanted = dataset.account.rows_per_day.get(&spec.stream.name).copied();
        let volume = day_volume(wanted, identity, &mut dimensions, spec, objects);
        let has_runs = dimensions.iter().any(|bound| bound.is_counted && bound.dimension == Dimension::Run);
        // Executions are counted in order, so that the rows of one are neighbours.
        let combinations = Permutation::new(combinations(&dimensions), if has_runs { 0 } else { identity | 1 });
        let each = match (&answers, counted, wanted) {
            (Some(answers), Some(counted), None) if counted.is_answers() => answers.rows_of_an_answer(counted),
            _ => 1,
        };
        let report = answers.zip(counted).filter(|(_, counted)| wanted.is_none() && !counted.is_answers());
        let answers_on = |day: Day| (day, rows_on(day, spec, dataset, identity, (ANSWERS, false)));
        let covered_days = if spec.is_one_figure { spec.days.len().max(1) } else { 1 };
        let days = spec.days.chunks(covered_days).map(|covered| {
            let day = &covered[0];
            let groups = report.as_ref().map(|(answers, counted)| {
                answers.groups(*counted, covered.iter().copied().map(answers_on), &dimensions)
            });
            let keys = mix(identity ^ mix(day.to_epoch_days() as u64));
            let revision = dataset.revisions.get(day).copied().unwrap_or(0);
            DayRows {
                day: *day,
                start_second: spec.zone.start_of(*day).as_second(),
                next_second: spec.zone.start_of(day.next()).as_second(),
                rows: match &groups {
                    Some(groups) => groups.len() as u64,
                    None => rows_on(*day, spec, dataset, identity, volume) * each,
                },
                keys,
                revision,
                pace: pace(*day),
                groups: groups.unwrap_or_default(),
                figures: mix(keys ^ mix(revision + 1) ^ changed),
            }
        });
        let days = DayTable::new(days, spec.order);
        let mut rows = Self {
            objects: dataset.objects.clone(),
            subject: spec.subject.clone(),
            counted,
            columns: Vec::new(),
            dimensions,
            combinations,
            days,
            rotation: 0,
            answer_bytes: dataset.account.answer_bytes,
        };
        let bind = |SpecColumn { column, is_key }: &SpecColumn| {
            let (source, null_in) = rows.source(column, *is_key, spec);
            BoundColumn { column: column.clone(), source, salt: salt(0, &column.name), null_in }
        };
        rows.columns = spec.columns.iter().map(bind).collect();
        rows
    }

    /// Where the values of `column` come from, and in how many rows one is null; 0 is never.
    fn source(&self, column: &Column, is_key: bool, spec: &RowSpec) -> (ValueSource, u64) {
        let data_type = &column.data_type;
        // The schema of positional values allows hardly any nulls.
        let unless_positional = |null_in| if is_positional(&spec.stream) { 0 } else { null_in };
        if spec.is_day(column) {
            return match data_type {
                ColumnType::Timestamp => (ValueSource::InDay, 0),
                ColumnType::UnixSeconds => (ValueSource::StartSecond, 0),
                _ => (ValueSource::Day, 0),
            };
        }
        if let Some(text) = spec.fixed(&column.name) {
            return (ValueSource::Fixed(in_type(text, data_type)), 0);
        }
        if spec.stream.signal.as_ref() == Some(&column.name) && !spec.zero {
            let most = column.range.map_or(500, |[_, most]| most as i64);
            let source = match data_type {
                ColumnType::Bool => ValueSource::Fixed(json!(true)),
                ColumnType::Float64 => ValueSource::Figure(Figure::Fraction(ONE.min(most * ONE), most * ONE)),
                _ => ValueSource::Figure(Figure::Whole(1, most)),
            };
            return (source, 0);
        }
        if let Some(index) = self.dimension_for(column, is_key) {
            let bound = &self.dimensions[index];
            if bound.dimension == Dimension::Run {
                return (ValueSource::Run(index), 0);
            }
            // Reports on citations leave out the scheme.
            let is_bare = self.counted == Some(Counted::Citations) && column.name == "url";
            let name = if is_bare { "page" } else { &column.name };
            let describe = |(position, object): (usize, &Object)| {
                describe(object, name, data_type, &column.values, position as u64)
            };
            let mut ready: Vec<_> = bound.ready.iter().enumerate().map(describe).collect();
            let has_null = !is_key && bound.dimension == Dimension::Persona;
            if self.is_answers() && has_null {
                // The answer to a prompt without a persona.
                ready.push(Value::Null);
            }
            return (ValueSource::Object(index, ready), if has_null && !self.is_answers() { 4 } else { 0 });
        }
        if let (true, ColumnType::List(_), Some(dimension)) =
            (self.is_answers(), data_type, Dimension::from_column_name(&column.name))
            && matches!(dimension, Dimension::Asset | Dimension::Page | Dimension::Theme)
            && let (ValueSource::Choice(values, _), _) = (choices(column, spec, &self.objects), 0)
        {
            // An answer that names none has no list now and then.
            return (ValueSource::Named(dimension, values), 25);
        }
        match data_type {
            ColumnType::Int64 | ColumnType::Float64 => {
                let (figure, null_in) = self.figure(column, spec);
                (ValueSource::Figure(figure), unless_positional(null_in))
            }
            ColumnType::Timestamp => (ValueSource::InDay, unless_positional(30)),
            ColumnType::UnixSeconds => (ValueSource::EndSecond, 0),
            ColumnType::Date => (ValueSource::Day, 0),
            ColumnType::Bool if spec.zero => (ValueSource::Fixed(json!(false)), 0),
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

    fn is_answers(&self) -> bool {
        self.counted.is_some_and(Counted::is_answers)
    }

    fn figure(&self, column: &Column, spec: &RowSpec) -> (Figure, u64) {
        let is_whole = column.data_type == ColumnType::Int64;
        if let (Some(measure), Some(_)) = (Tally::measure(&column.name), self.counted) {
            return (Figure::Measured(measure, column.data_type.clone()), 0);
        }
        if spec.zero {
            return (if is_whole { Figure::Whole(0, 0) } else { Figure::Fraction(0, 0) }, 0);
        }
        let visits = |kind: &str| -> Option<Figure> {
            let dimension = self.dimensions.iter().position(|bound| bound.dimension == Dimension::Bot)?;
            let is_counted = |bot: &Object| kind.is_empty() || text(bot, "bot_type") == kind;
            let counts = self.dimensions[dimension].ready.iter().map(is_counted).collect();
            Some(Figure::Visits { dimension, counts, column: salt(0, "count") })
        };
        let special = match column.name.as_str() {
            "rank" | "visibility_rank" => Some(Figure::Rank),
            "count" => visits(""),
            "citations" => visits("ai_assistant"),
            "indexing" => visits("index"),
            "training" => visits("ai_training"),
            "agents" => visits("ai_agent"),
            _ => None,
        };
        let is_rank = column.unit.as_deref() == Some("rank");
        let millionths = |bound: f64| (bound * ONE as f64) as i64;
        let figure = special.unwrap_or_else(|| match column.range {
            Some([low, high]) if is_whole => Figure::Whole(low as i64, high as i64),
            None if is_whole => Figure::Paced(0, 500),
            Some([low, high]) => Figure::Fraction(millionths(low), millionths(high)),
            None if is_rank => Figure::Fraction(ONE, 12 * ONE),
            None => Figure::Fraction(0, 40 * ONE),
        });
        (figure, if is_rank { 12 } else { 60 })
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|bound| &bound.column)
    }

    /// Rotates the rows within each day by `rows`.
    pub(crate) fn rotate(&mut self, rows: u64) {
        self.rotation = rows;
    }

    /// Row `number` of the day at `day` as named values.
    pub(crate) fn object(&self, day: usize, number: u64) -> Object {
        let row = self.row(day, number);
        self.columns().enumerate().map(|(index, column)| (column.name.clone(), self.value(index, &row))).collect()
    }

    /// What the columns of row `number` of the day at `day` are made from.
    pub(crate) fn row(&self, day: usize, number: u64) -> RowSeed {
        let of_day = self.days.get(day);
        let number = if self.rotation == 0 { number } else { (number + self.rotation) % of_day.rows };
        let figures = mix(of_day.figures ^ number);
        let seed = |digits: Vec<u64>, subject: u64, tally: Tally| {
            let tally = if of_day.revision == 0 { tally } else { tally.restated(figures) };
            RowSeed { day, pace: of_day.pace, number, digits, subject, figures, tally, answer: None }
        };
        if let Some(Group { digits, tally, .. }) = of_day.groups.get(number as usize) {
            return seed(digits.clone(), number, *tally);
        }
        let answers = self.counted.filter(|counted| counted.is_answers());
        if let Some((answers, counted)) = Answers::new(&self.objects, &self.subject).zip(answers) {
            let (answer, digits) = answers.row(of_day.day, number, counted, &self.dimensions);
            let subject = answer.number;
            return RowSeed { answer: Some(answer), ..seed(digits, subject, Tally::default()) };
        }
        let mut combination = self.combinations.at(number);
        let mut subject = number;
        // Counted dimensions come first, so the execution is known where the others are chosen.
        let digits = self.dimensions.iter().map(|bound| {
            let is_run = bound.dimension == Dimension::Run;
            let len = bound.len.max(1);
            let digit = if bound.is_counted {
                combination % len
            } else if is_run {
                number
            } else {
                mix(of_day.keys ^ mix(subject ^ bound.salt)) % len
            };
            if bound.is_counted {
                combination /= len;
            }
            if is_run {
                subject = digit;
            }
            digit
        });
        let digits = digits.collect();
        seed(digits, subject, Tally::invented(figures))
    }

    /// Whether column `index` holds numbers.
    pub(crate) fn is_numeric(&self, index: usize) -> bool {
        matches!(self.columns[index].source, ValueSource::Figure(_))
    }

    /// The value of column `index` in `row`.
    pub(crate) fn value(&self, index: usize, row: &RowSeed) -> Value {
        let bound = &self.columns[index];
        let is_named =
            |dimension: &Dimension| row.answer.as_ref().is_some_and(|answer| !answer.named(dimension).is_empty());
        if matches!(&bound.source, ValueSource::Named(dimension, _) if is_named(dimension)) {
            // Falls through: only an empty list may be null.
        } else if bound.null_in != 0 && mix(row.figures ^ !bound.salt).is_multiple_of(bound.null_in) {
            return Value::Null;
        }
        let day = self.days.get(row.day);
        match &bound.source {
            ValueSource::RowId => json!(row_uuid(day.keys ^ mix(row.number) ^ bound.salt)),
            ValueSource::Run(dimension) => {
                let id = row_uuid(day.keys ^ mix(row.digits[*dimension]));
                match bound.column.data_type {
                    ColumnType::Struct(_) => json!({ "id": id, "name": null }),
                    _ => json!(id),
                }
            }
            ValueSource::Figure(figure) => figure.value(mix(row.figures ^ bound.salt), row),
            ValueSource::Object(dimension, ready) => {
                let digit = row.digits[*dimension];
                let further = || self.describe_further(*dimension, digit, &bound.column);
                ready.get(digit as usize).cloned().unwrap_or_else(further)
            }
            ValueSource::Day => json!(day.day),
            ValueSource::StartSecond => json!(day.start_second),
            ValueSource::EndSecond => json!(day.next_second),
            ValueSource::Fixed(value) => value.clone(),
            ValueSource::InDay => {
                // Within 23 hours, which even the shortest day has; the same in all rows of an execution.
                let number = mix(day.keys ^ mix(row.subject) ^ bound.salt);
                let micros = if number >> 60 == 0 { (number >> 32) as i32 & 0xf_ffff } else { 0 };
                json!(Timestamp::new(day.start_second + (number % (23 * 3600)) as i64, micros % 1_000_000 * 1000).ok())
            }
            ValueSource::Named(dimension, values) => {
                let named = row.answer.as_ref().map(|answer| answer.named(dimension)).unwrap_or_default();
                named.into_iter().filter_map(|number| values.get(number as usize).cloned()).collect()
            }
            ValueSource::Choice(values, at_most) => {
                let number = mix(mix(day.figures ^ row.subject) ^ bound.salt);
                let value = |position| pick(values, (number >> 8) + position).clone();
                match at_most {
                    Some(most) => (0..(number % (most + 1)).min(values.len() as u64)).map(value).collect(),
                    None => value(0),
                }
            }
            ValueSource::LongText => json!(self.long_text(mix(day.figures ^ mix(row.subject)))),
        }
    }

    /// What `column` says of an object that is not kept ready.
    fn describe_further(&self, dimension: usize, index: u64, column: &Column) -> Value {
        let object = self.dimensions[dimension].dimension.object(&self.objects, &self.subject, index);
        describe(&object, &column.name, &column.data_type, &column.values, index)
    }

    fn long_text(&self, mut number: u64) -> String {
        let mut text = String::new();
        if !number.is_multiple_of(40) {
            let length = self.answer_bytes / 2 + (number >> 16) as usize % (self.answer_bytes + 1);
            text = format!("{} ", number >> 1);
            while text.len() < length {
                number = mix(number);
                text.push_str(pick::<String>(&WORDS.sentences, number));
            }
        }
        text
    }
}

/// How many combinations of counted dimensions there are.
fn combinations(dimensions: &[BoundDimension]) -> u64 {
    let counted = dimensions.iter().filter(|bound| bound.is_counted);
    counted.fold(1, |product: u64, bound| product.saturating_mul(bound.len.max(1)))
}

/// The rows of a full day, and whether every day has exactly as many. Grows the vocabulary until `wanted` rows fit.
fn day_volume(
    wanted: Option<u64>,
    identity: u64,
    dimensions: &mut [BoundDimension],
    spec: &RowSpec,
    objects: &AccountObjects,
) -> (u64, bool) {
    let counted = || dimensions.iter().filter(|bound| bound.is_counted);
    let has_runs = counted().any(|bound| bound.dimension == Dimension::Run);
    let usual = match (spec.volume, counted().count()) {
        (RowVolume::One, _) => return (1, true),
        (RowVolume::Few, _) => 2 + mix(identity) % 3,
        _ if Counted::new(&spec.stream).is_some_and(Counted::is_answers) => ANSWERS,
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
    (rows.min(combinations(dimensions)), is_exact)
}

fn rows_on(day: Day, spec: &RowSpec, dataset: &Dataset, identity: u64, (full, is_exact): (u64, bool)) -> u64 {
    if spec.volume == RowVolume::One {
        return 1;
    }
    let today = spec.zone.today(dataset.now);
    if day < dataset.first_day || day > today {
        return 0;
    }
    let number = mix(identity ^ mix(day.to_epoch_days() as u64) ^ 0x5eed);
    let category = dataset.objects.category_index(&spec.subject.scope);
    let is_last = category.is_some_and(|index| index > 0 && index + 1 == dataset.objects.categories.len());
    let rows = match spec.volume {
        _ if is_exact => full,
        // The last category is hardly asked about: some of its days are empty.
        RowVolume::ByGrain if is_last && number.is_multiple_of(5) => 0,
        // Prompts are put as a schedule says, everything else happens by chance too.
        _ if Counted::new(&spec.stream).is_some() => (full * pace(day)).div_ceil(100),
        _ => (full * (pace(day) - number % 30)).div_ceil(100),
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
    ValueSource::Choice(values, at_most)
}
