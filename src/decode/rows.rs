//! Blocks of rows to record batches.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::decode::builder::ColumnBuilder;
use crate::decode::error::DecodeError;
use crate::decode::schema::{TableSchema, Target};
use crate::decode::value::{Fault, Name, NameSeed, RawSeed, RowContext, ValueSeed};
use crate::model::block::Positions;
use crate::model::scope::Scope;

/// Members of rows that the catalog does not know, each with the first value seen.
pub type Drift = BTreeMap<String, String>;

/// Turns the blocks of one slice into record batches.
#[derive(Debug)]
pub struct Decoder {
    schema: Arc<TableSchema>,
    builders: Vec<ColumnBuilder>,
    extra: StringBuilder,
    row: RowContext,
    binding: Option<Binding>,
    /// Columns that the exporter adds for the scope, with their values: a row that says the same says nothing new.
    of_scope: HashMap<&'static str, String>,
    /// Which columns any row held, null or not.
    appeared: Vec<bool>,
    rows_read: u64,
    page: u64,
}

/// Where the values of positional arrays go, for one page.
#[derive(Debug)]
struct Binding {
    dimensions: Vec<BoundName>,
    metrics: Vec<BoundName>,
}

/// A name of `info.query` and the column it names, if the catalog knows it.
#[derive(Debug)]
struct BoundName {
    name: String,
    column: Option<usize>,
}

impl Decoder {
    /// A decoder of rows of `schema`.
    pub fn new(schema: Arc<TableSchema>) -> Self {
        Self {
            builders: schema.types.iter().map(ColumnBuilder::new).collect(),
            extra: StringBuilder::new(),
            row: RowContext::new(Arc::clone(&schema)),
            binding: None,
            of_scope: HashMap::new(),
            appeared: vec![false; schema.types.len()],
            rows_read: 0,
            page: 1,
            schema,
        }
    }

    /// The same for rows of `scope`, which may repeat what they were asked for.
    #[must_use]
    pub fn of(mut self, scope: &Scope) -> Self {
        for (part, named) in scope.parts() {
            let (id, name) = part.columns();
            self.of_scope.extend(id.map(|column| (column, named.id.clone())));
            self.of_scope.insert(name, named.name.clone());
        }
        self
    }

    /// Whether rows of this page must wait, because nothing binds their positions yet.
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

    /// The rows that follow belong to the next page, whose positions may differ.
    pub fn end_page(&mut self) {
        self.page += 1;
        self.binding = None;
    }

    /// What the catalog did not know, so far.
    pub fn drift(&self) -> &Drift {
        &self.row.drift
    }

    /// Columns that were asked for by name and that no row held, though there were rows.
    pub fn absent(&self) -> Vec<String> {
        let absent = self.schema.asked.iter().filter(|column| 0 < self.rows_read && !self.appeared[**column]);
        absent.map(|column| self.schema.arrow.field(*column).name().clone()).collect()
    }

    /// Decodes a JSON array of `rows` rows: the stream's columns, then `_extra`.
    ///
    /// # Errors
    /// [`DecodeError`]; what was decoded before is not affected, but the decoder must not be used again.
    pub fn decode(&mut self, json: &[u8], rows: usize) -> Result<RecordBatch, DecodeError> {
        let before = self.rows_read;
        let text = std::str::from_utf8(json).map_err(|error| self.damaged(format!("not UTF-8: {error}")))?;
        let mut deserializer = sonic_rs::Deserializer::from_str(text);
        let read = AllRows(self).deserialize(&mut deserializer);
        if let Err(error) = read {
            return Err(self.fault(&error));
        }
        deserializer.end().map_err(|error| self.damaged(error.to_string()))?;
        let found = self.rows_read - before;
        if found != rows as u64 {
            return Err(self.damaged(format!("{found} rows stand where {rows} were cut")));
        }
        self.finish().map_err(|error| self.damaged(error.to_string()))
    }

    fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.builders.len() + 1);
        for builder in &mut self.builders {
            arrays.push(builder.finish()?);
        }
        arrays.push(Arc::new(self.extra.finish()));
        RecordBatch::try_new(Arc::clone(&self.schema.arrow), arrays)
    }

    fn damaged(&self, problem: String) -> DecodeError {
        DecodeError::Damaged { stream: self.schema.stream.clone(), page: self.page, row: self.rows_read, problem }
    }

    fn fault(&mut self, error: &sonic_rs::Error) -> DecodeError {
        let stream = self.schema.stream.clone();
        let (page, row) = (self.page, self.rows_read + 1);
        match self.row.fault.take() {
            Some(Fault::Mismatch { column, expected, found }) => {
                DecodeError::Mismatch { stream, row, column, expected, found }
            }
            Some(Fault::Length { array, expected, found }) => {
                DecodeError::Length { stream, page, row, array, expected, found }
            }
            Some(Fault::Unbound) => DecodeError::Unbound { stream, page },
            // The parser repeats what it could not read.
            None if self.schema.protects() => self.damaged("not the JSON that was expected".to_owned()),
            // Only the first line: the parser goes on to draw the text, which may be long.
            None => self.damaged(error.to_string().lines().next().unwrap_or_default().to_owned()),
        }
    }

    fn end_row(&mut self) {
        let rows = self.extra_len() + 1;
        for builder in self.builders.iter_mut().filter(|builder| builder.len() < rows) {
            builder.append_null();
        }
        match self.row.extra.is_empty() {
            true => self.extra.append_null(),
            false => {
                self.extra.append_value(format!("{{{}}}", self.row.extra));
                self.row.extra.clear();
            }
        }
        self.rows_read += 1;
    }

    fn extra_len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        self.extra.len()
    }

    /// Whether `column` has its value of the row under the cursor.
    fn is_filled(&self, column: usize) -> bool {
        self.extra_len() < self.builders[column].len()
    }
}

/// The array of rows.
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

/// One row: an object of named values, or of positional arrays.
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
                Name::Known(Target::Column(column)) => {
                    decoder.appeared[column] = true;
                    if decoder.is_filled(column) && decoder.schema.positional {
                        // A reference has told it already.
                        members.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if decoder.is_filled(column) {
                        // The first value of a name counts; another is kept aside.
                        let json = members.next_value_seed(RawSeed)?;
                        let name = decoder.schema.arrow.field(column).name().clone();
                        decoder.row.keep_unknown(&name, &json);
                        continue;
                    }
                    let builder = &mut decoder.builders[column];
                    let row = &mut decoder.row;
                    row.within(column, |row| members.next_value_seed(ValueSeed { builder, row }))?;
                }
                Name::Known(Target::Reference { id, name }) => {
                    members.next_value_seed(ReferenceSeed { decoder, id, name })?;
                }
                Name::Known(Target::Dimensions) => {
                    members.next_value_seed(PositionalSeed { decoder, array: "dimensions" })?;
                }
                Name::Known(Target::Metrics) => {
                    members.next_value_seed(PositionalSeed { decoder, array: "metrics" })?;
                }
                Name::Unknown(name) => {
                    let json = members.next_value_seed(RawSeed)?;
                    let same = |text: &String| serde_json::from_str::<String>(&json).is_ok_and(|said| said == *text);
                    match decoder.schema.is_of_scope(&name) {
                        true if decoder.of_scope.get(name.as_str()).is_some_and(same) => {}
                        true => decoder.row.keep_known(&name, &json),
                        false => decoder.row.keep_unknown(&name, &json),
                    }
                }
            }
        }
        Ok(())
    }
}

/// The values of a positional array, each into the column its name binds it to.
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
        let Decoder { builders, row, binding, appeared, .. } = self.decoder;
        let Some(binding) = binding else {
            row.fault = Some(Fault::Unbound);
            return Err(A::Error::custom("positional values without names"));
        };
        let names = match self.array {
            "dimensions" => &binding.dimensions,
            _ => &binding.metrics,
        };
        for (index, bound) in names.iter().enumerate() {
            let read = match bound.column {
                // The first value counts here too: a second one would be taken for that of the next row.
                Some(column) if builders[column].len() == rows => {
                    appeared[column] = true;
                    let builder = &mut builders[column];
                    row.within(column, |row| values.next_element_seed(ValueSeed { builder, row }))?
                }
                _ => values.next_element_seed(RawSeed)?.map(|json| row.keep_unknown(&bound.name, &json)),
            };
            if read.is_none() {
                row.fault = Some(Fault::Length { array: self.array, expected: names.len(), found: index });
                return Err(A::Error::custom("too few values"));
            }
        }
        let mut found = names.len();
        while values.next_element::<IgnoredAny>()?.is_some() {
            found += 1;
        }
        if found != names.len() {
            row.fault = Some(Fault::Length { array: self.array, expected: names.len(), found });
            return Err(A::Error::custom("too many values"));
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
    /// The column of a plain value: the name's, or the id's where there is no name.
    fn plain<E: serde::de::Error>(&mut self, read: impl FnOnce(ValueSeed<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(column) = self.name.or(self.id) else {
            return Ok(());
        };
        self.decoder.appeared[column] = true;
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

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { decoder, id, name } = self;
        let part = |member: &str| match member {
            "id" => Some(id),
            "name" => Some(name),
            _ => None,
        };
        while let Some(member) = members.next_key_seed(NameSeed(part))? {
            match member {
                Name::Known(Some(column)) if !decoder.is_filled(column) => {
                    decoder.appeared[column] = true;
                    let builder = &mut decoder.builders[column];
                    let row = &mut decoder.row;
                    row.within(column, |row| members.next_value_seed(ValueSeed { builder, row }))?;
                }
                // A plain column has told it already, or positional rows would not tell it either.
                Name::Known(_) => {
                    members.next_value::<IgnoredAny>()?;
                }
                Name::Unknown(member) => {
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
