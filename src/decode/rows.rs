//! Decodes blocks of rows to record batches.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::builder::ColumnBuilder;
use crate::decode::error::DecodeError;
use crate::decode::schema::{MemberTarget, TableSchema};
use crate::decode::value::{MemberName, NameSeed, RawSeed, RowContext, ValueSeed};
use crate::decode::words::with_marks;
use crate::model::block::Positions;
use crate::model::scope::Scope;

/// Members of rows that the catalog does not declare, each with the first value seen.
pub type Drift = BTreeMap<String, String>;

/// Decodes the blocks of one slice.
#[derive(Debug)]
pub struct Decoder {
    schema: Arc<TableSchema>,
    builders: Vec<ColumnBuilder>,
    extra: StringBuilder,
    row: RowContext,
    binding: Option<Binding>,
    /// Columns that the exporter adds for the scope, with their values. A row that repeats them adds nothing.
    scope_values: HashMap<&'static str, String>,
    /// The columns that any row had, null or not.
    seen: Vec<bool>,
    /// Of the current block.
    misfits: Vec<Misfit>,
}

/// A row of a batch with a value that its column cannot hold.
#[derive(Debug)]
pub struct Misfit {
    /// Its number in the batch.
    pub row: usize,
    /// Always a [`DecodeError::Mismatch`].
    pub problem: DecodeError,
}

/// The columns of positional values, for one page.
#[derive(Debug)]
struct Binding {
    dimensions: Vec<BoundName>,
    metrics: Vec<BoundName>,
}

/// A name of `info.query`, and its column if the catalog declares one.
#[derive(Debug)]
struct BoundName {
    name: String,
    column: Option<usize>,
}

impl Decoder {
    pub fn new(schema: Arc<TableSchema>) -> Self {
        Self {
            builders: schema.types.iter().map(ColumnBuilder::new).collect(),
            extra: StringBuilder::new(),
            row: RowContext::new(Arc::clone(&schema)),
            binding: None,
            scope_values: HashMap::new(),
            seen: vec![false; schema.types.len()],
            misfits: Vec::new(),
            schema,
        }
    }

    /// For rows of `scope`, which may repeat its ids and names.
    #[must_use]
    pub fn with_scope(mut self, scope: &Scope) -> Self {
        for (part, named) in scope.parts() {
            let (id, name) = part.columns();
            self.scope_values.extend(id.map(|column| (column, named.id.clone())));
            self.scope_values.insert(name, named.name.clone());
        }
        self
    }

    /// Whether the rows of this page must wait for the names of their positions.
    pub fn needs_positions(&self) -> bool {
        self.schema.positional && self.binding.is_none()
    }

    /// Binds the positional rows of this page.
    pub fn bind(&mut self, positions: &Positions) {
        let bound = |names: &[String]| {
            let bind = |name: &String| BoundName { name: name.clone(), column: self.schema.column(name) };
            names.iter().map(bind).collect()
        };
        self.binding = Some(Binding { dimensions: bound(&positions.dimensions), metrics: bound(&positions.metrics) });
    }

    /// The following rows belong to the next page, whose positions may differ.
    pub fn end_page(&mut self) {
        self.row.page += 1;
        self.binding = None;
    }

    pub fn drift(&self) -> &Drift {
        &self.row.drift
    }

    /// Columns that the request names, or the key, and that no row had, if there were rows.
    pub fn missing_columns(&self) -> Vec<String> {
        let missing = self.schema.expected.iter().filter(|column| self.row.rows_read > 0 && !self.seen[**column]);
        missing.map(|column| self.schema.arrow.field(*column).name().clone()).collect()
    }

    /// Decodes a JSON array of `rows` rows: the stream's columns, then `_extra`.
    ///
    /// # Errors
    /// [`DecodeError`], after which the decoder must not be used. Earlier batches are not affected.
    pub fn decode(&mut self, json: &[u8], rows: usize) -> Result<RecordBatch, DecodeError> {
        let (batch, misfits) = self.decode_with_misfits(json, rows)?;
        misfits.into_iter().next().map_or(Ok(batch), |misfit| Err(misfit.problem))
    }

    /// The same, but a value that its column cannot hold is null in the batch and a misfit.
    ///
    /// # Errors
    /// Those of [`Self::decode`], but for [`DecodeError::Mismatch`].
    pub fn decode_with_misfits(&mut self, json: &[u8], rows: usize) -> Result<(RecordBatch, Vec<Misfit>), DecodeError> {
        let before = self.row.rows_read;
        let text = std::str::from_utf8(json).map_err(|error| self.damaged(format!("not UTF-8: {error}")))?;
        let first = self.read(text);
        if first.is_err() || std::mem::take(&mut self.row.has_rounded) {
            // Only now: most blocks are JSON, and nothing else takes the time to look for words that are not, or for long integers.
            match (with_marks(text).filter(|_| self.row.fault.is_none()), first) {
                (Some(marked), _) => {
                    self.restart(before);
                    self.row.has_marked_words = true;
                    let read = self.read(&marked);
                    self.row.has_marked_words = false;
                    read.map_err(|error| self.fault(&error))?;
                }
                (None, Err(error)) => return Err(self.fault(&error)),
                (None, Ok(())) => {}
            }
        }
        let found = self.row.rows_read - before;
        if found != rows as u64 {
            return Err(self.damaged(format!("{found} rows instead of the {rows} that were framed")));
        }
        let misfits = std::mem::take(&mut self.misfits);
        Ok((self.finish().map_err(|error| self.damaged(error.to_string()))?, misfits))
    }

    fn read(&mut self, text: &str) -> Result<(), sonic_rs::Error> {
        let mut deserializer = sonic_rs::Deserializer::from_str(text);
        AllRows(self).deserialize(&mut deserializer)?;
        deserializer.end()
    }

    /// Forgets the rows of a block that is read once more.
    fn restart(&mut self, rows_read: u64) {
        self.builders = self.schema.types.iter().map(ColumnBuilder::new).collect();
        self.extra = StringBuilder::new();
        self.misfits.clear();
        self.row.restart(rows_read);
    }

    fn finish(&mut self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.builders.len() + 1);
        for builder in &mut self.builders {
            arrays.push(builder.finish()?);
        }
        arrays.push(Arc::new(self.extra.finish()));
        RecordBatch::try_new(Arc::clone(&self.schema.arrow), arrays)
    }

    fn damaged(&self, problem: String) -> DecodeError {
        DecodeError::Damaged {
            stream: self.schema.stream.clone(),
            page: self.row.page,
            row: self.row.rows_read,
            problem,
        }
    }

    fn fault(&mut self, error: &sonic_rs::Error) -> DecodeError {
        if let Some(fault) = self.row.fault.take() {
            return fault;
        }
        // The parser's message repeats the text, which may be a protected value.
        if self.schema.has_protected_columns() {
            return self.damaged("not the expected JSON".to_owned());
        }
        // Only the first line: the others draw the text, which may be long.
        self.damaged(error.to_string().lines().next().unwrap_or_default().to_owned())
    }

    fn end_row(&mut self) {
        if let Some(problem) = self.row.misfit.take() {
            self.misfits.push(Misfit { row: self.extra_len(), problem });
        }
        let rows = self.extra_len() + 1;
        for builder in self.builders.iter_mut().filter(|builder| builder.len() < rows) {
            builder.append_null();
        }
        self.extra.append_option(self.row.take_extra());
        self.row.rows_read += 1;
    }

    fn extra_len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder;
        self.extra.len()
    }

    /// Whether `column` has a value for the current row.
    fn is_filled(&self, column: usize) -> bool {
        self.builders[column].len() > self.extra_len()
    }
}

struct AllRows<'a>(&'a mut Decoder);

impl<'de> DeserializeSeed<'de> for AllRows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AllRows<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while rows.next_element_seed(OneRow(self.0))?.is_some() {
            self.0.end_row();
        }
        Ok(())
    }
}

/// One row: an object with named values or positional arrays.
struct OneRow<'a>(&'a mut Decoder);

impl<'de> DeserializeSeed<'de> for OneRow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneRow<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let decoder = self.0;
        while let Some(name) = members.next_key_seed(NameSeed(|name: &str| decoder.schema.target(name)))? {
            match name {
                MemberName::Known(MemberTarget::Column(column)) => {
                    decoder.seen[column] = true;
                    if decoder.is_filled(column) && decoder.schema.positional {
                        // A reference had the value already.
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if decoder.is_filled(column) {
                        // The first value of a name counts, another one goes to `_extra`.
                        let json = members.next_value_seed(RawSeed)?;
                        let name = decoder.schema.arrow.field(column).name().clone();
                        decoder.row.keep_unknown(&name, &json);
                        continue;
                    }
                    let builder = &mut decoder.builders[column];
                    let row = &mut decoder.row;
                    row.within(column, |row| members.next_value_seed(ValueSeed { builder, row }))?;
                }
                MemberName::Known(MemberTarget::Reference { id, name }) => {
                    members.next_value_seed(ReferenceSeed { decoder, id, name })?;
                }
                MemberName::Known(MemberTarget::Dimensions) => {
                    members.next_value_seed(PositionalSeed { decoder, array: "dimensions" })?;
                }
                MemberName::Known(MemberTarget::Metrics) => {
                    members.next_value_seed(PositionalSeed { decoder, array: "metrics" })?;
                }
                MemberName::Unknown(name) => {
                    let json = members.next_value_seed(RawSeed)?;
                    let is_same = |text: &String| serde_json::from_str(&json).is_ok_and(|value: String| value == *text);
                    if !decoder.schema.is_scope_column(&name) {
                        decoder.row.keep_unknown(&name, &json);
                    } else if !decoder.scope_values.get(name.as_str()).is_some_and(is_same) {
                        decoder.row.keep_known(&name, &json);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values of a positional array, each for the column of its name.
struct PositionalSeed<'a> {
    decoder: &'a mut Decoder,
    array: &'static str,
}

impl<'de> DeserializeSeed<'de> for PositionalSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for PositionalSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the array `{}`", self.array)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let rows = self.decoder.extra_len();
        let Decoder { builders, row, binding, seen, .. } = self.decoder;
        let Some(binding) = binding else {
            row.fault = Some(DecodeError::Unbound { stream: row.stream(), page: row.page });
            return Err(A::Error::custom("positional values without names"));
        };
        let names = match self.array {
            "dimensions" => &binding.dimensions,
            _ => &binding.metrics,
        };
        let mut found = 0;
        for bound in names {
            let read = match bound.column {
                // The first value counts here too. A second one would become the value of the next row.
                Some(column) if builders[column].len() == rows => {
                    seen[column] = true;
                    let builder = &mut builders[column];
                    row.within(column, |row| values.next_element_seed(ValueSeed { builder, row }))?
                }
                _ => values.next_element_seed(RawSeed)?.map(|json| row.keep_unknown(&bound.name, &json)),
            };
            if read.is_none() {
                break;
            }
            found += 1;
        }
        while found >= names.len() && values.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        if found != names.len() {
            let (stream, page, line) = (row.stream(), row.page, row.rows_read + 1);
            let (array, expected) = (self.array, names.len());
            row.fault = Some(DecodeError::Length { stream, page, row: line, array, expected, found });
            return Err(A::Error::custom("another number of values than of names"));
        }
        Ok(())
    }
}

/// A reference `{id, name}`, or a plain value in its place.
struct ReferenceSeed<'a> {
    decoder: &'a mut Decoder,
    id: Option<usize>,
    name: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for ReferenceSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ReferenceSeed<'_> {
    /// Reads a plain value into the column of the name, or of the id if there is no name.
    fn plain<E: serde::de::Error>(&mut self, read: impl FnOnce(ValueSeed<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(column) = self.name.or(self.id) else {
            return Ok(());
        };
        self.decoder.seen[column] = true;
        if self.decoder.is_filled(column) {
            return Ok(());
        }
        let builder = &mut self.decoder.builders[column];
        self.decoder.row.within(column, |row| read(ValueSeed { builder, row }))
    }
}

impl<'de> Visitor<'de> for ReferenceSeed<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text, or a reference {id, name}")
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.plain(|seed| seed.visit_unit())
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<(), E> {
        self.plain(|seed| seed.visit_str(value))
    }

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<(), E> {
        self.plain(|seed| seed.visit_bool(value))
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<(), E> {
        self.plain(|seed| seed.visit_i64(value))
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<(), E> {
        self.plain(|seed| seed.visit_u64(value))
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<(), E> {
        self.plain(|seed| seed.visit_f64(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, items: A) -> Result<(), A::Error> {
        let mut items = Some(items);
        self.plain(|seed| items.take().map_or(Ok(()), |items| seed.visit_seq(items)))?;
        // Where the value is not wanted, its items are passed over.
        match items {
            Some(mut items) => {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { decoder, id, name } = self;
        let part = |member: &str| match member {
            "id" => Some(id),
            "name" => Some(name),
            _ => None,
        };
        while let Some(member) = members.next_key_seed(NameSeed(part))? {
            match member {
                MemberName::Known(Some(column)) if !decoder.is_filled(column) => {
                    decoder.seen[column] = true;
                    let builder = &mut decoder.builders[column];
                    let row = &mut decoder.row;
                    row.within(column, |row| members.next_value_seed(ValueSeed { builder, row }))?;
                }
                // A plain column had the value already, or positional rows do not have it either.
                MemberName::Known(_) => {
                    members.next_value::<IgnoredAny>()?;
                }
                MemberName::Unknown(member) => {
                    let json = members.next_value_seed(RawSeed)?;
                    let object = name.or(id).map(|column| decoder.schema.arrow.field(column).name().clone());
                    let path = format!("{}.{member}", object.unwrap_or_default());
                    decoder.row.keep_unknown(&path, &json);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
