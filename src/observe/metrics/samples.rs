//! Samples of metrics, to text and back.

use std::collections::BTreeMap;

use crate::observe::metrics::family::{BUCKETS, FAMILIES, Family, Kind};

/// How many were at most as large as the end of each bucket, all of them together, and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Histogram {
    /// By the ends of buckets; each holds those of the one before.
    pub buckets: [f64; BUCKETS.len()],
    /// The sum of all.
    pub sum: f64,
    /// How many.
    pub count: f64,
}

impl Histogram {
    fn add(&mut self, more: &Self) {
        self.buckets.iter_mut().zip(more.buckets).for_each(|(count, more)| *count += more);
        self.sum += more.sum;
        self.count += more.count;
    }
}

/// Values of labels, in the order of their names.
pub type Labels = Vec<String>;

/// Values of metrics, by name and labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    numbers: BTreeMap<&'static str, BTreeMap<Labels, f64>>,
    histograms: BTreeMap<&'static str, BTreeMap<Labels, Histogram>>,
}

impl Samples {
    /// Says that `family` is `value` for `labels`.
    pub fn set(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        self.numbers.entry(family.name).or_default().insert(owned(labels), value);
    }

    /// Says the same where a value is known, and nothing where none is.
    pub fn set_known(&mut self, family: &'static Family, labels: &[&str], value: Option<f64>) {
        match value {
            Some(value) => self.set(family, labels, value),
            None => _ = self.numbers.get_mut(family.name).and_then(|samples| samples.remove(&owned(labels))),
        }
    }

    /// Adds `amount`; adding nothing shows that there was nothing yet.
    pub fn add(&mut self, family: &'static Family, labels: &[&str], amount: f64) {
        *self.numbers.entry(family.name).or_default().entry(owned(labels)).or_default() += amount;
    }

    /// Counts something of `value` in a histogram.
    pub fn observe(&mut self, family: &'static Family, labels: &[&str], value: f64) {
        let histogram = self.histogram(family, owned(labels));
        for (count, end) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *count += f64::from(u8::from(value <= end));
        }
        histogram.sum += value;
        histogram.count += 1.0;
    }

    /// Forgets all samples of `family`.
    pub fn clear(&mut self, family: &'static Family) {
        self.numbers.remove(family.name);
    }

    /// Forgets the samples of `family` whose labels are not to be kept.
    pub fn retain(&mut self, family: &'static Family, is_kept: impl Fn(&Labels) -> bool) {
        if let Some(samples) = self.numbers.get_mut(family.name) {
            samples.retain(|labels, _| is_kept(labels));
        }
    }

    /// Adds everything of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (name, samples) in &other.numbers {
            let numbers = self.numbers.entry(name).or_default();
            samples.iter().for_each(|(labels, value)| *numbers.entry(labels.clone()).or_default() += value);
        }
        for (name, samples) in &other.histograms {
            let histograms = self.histograms.entry(name).or_default();
            samples.iter().for_each(|(labels, more)| histograms.entry(labels.clone()).or_default().add(more));
        }
    }

    /// The sample of a counter or a gauge.
    pub fn number(&self, family: &'static Family, labels: &[&str]) -> Option<f64> {
        self.numbers.get(family.name)?.get(&owned(labels)).copied()
    }

    /// The samples of a counter or a gauge.
    pub fn numbers(&self, family: &'static Family) -> impl Iterator<Item = (&Labels, f64)> {
        self.numbers.get(family.name).into_iter().flatten().map(|(labels, value)| (labels, *value))
    }

    /// The samples of a histogram.
    pub fn histograms(&self, family: &'static Family) -> impl Iterator<Item = (&Labels, &Histogram)> {
        self.histograms.get(family.name).into_iter().flatten()
    }

    /// The text format of Prometheus, which node_exporter reads from files too. Metrics without a sample are left out.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for family in FAMILIES {
            let name = family.name;
            if self.numbers(family).next().is_some() || self.histograms(family).next().is_some() {
                text.push_str(&format!("# HELP {name} {}\n# TYPE {name} {}\n", family.help, family.kind.name()));
            }
            for (values, number) in self.numbers(family) {
                line(&mut text, family, "", values, None, number);
            }
            for (values, histogram) in self.histograms(family) {
                let ends = BUCKETS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
                for (end, count) in ends.zip(histogram.buckets.iter().chain([&histogram.count])) {
                    line(&mut text, family, "_bucket", values, Some(&end), *count);
                }
                line(&mut text, family, "_sum", values, None, histogram.sum);
                line(&mut text, family, "_count", values, None, histogram.count);
            }
        }
        text
    }

    /// What counters and histograms of `text` had come to. Lines that say nothing of these are passed over.
    pub fn counted(text: &str) -> Self {
        let mut samples = Self::default();
        text.lines().filter_map(Line::read).for_each(|line| samples.take(line));
        samples
    }

    fn take(&mut self, line: Line<'_>) {
        let Line { family, part, values, end, value } = line;
        match (family.kind, part) {
            (Kind::Counter, "") => {
                self.numbers.entry(family.name).or_default().insert(values, value);
            }
            (Kind::Histogram, "_sum") => self.histogram(family, values).sum = value,
            (Kind::Histogram, "_count") => self.histogram(family, values).count = value,
            (Kind::Histogram, "_bucket") => {
                if let Some(index) = BUCKETS.iter().position(|known| Some(*known) == end) {
                    self.histogram(family, values).buckets[index] = value;
                }
            }
            _ => {}
        }
    }

    fn histogram(&mut self, family: &'static Family, labels: Labels) -> &mut Histogram {
        self.histograms.entry(family.name).or_default().entry(labels).or_default()
    }
}

/// A line of the text format that tells a sample of a known family.
struct Line<'a> {
    family: &'static Family,
    /// What follows the family's name: one of the parts of a histogram, or nothing.
    part: &'a str,
    values: Labels,
    /// Where a bucket ends.
    end: Option<f64>,
    value: f64,
}

impl<'a> Line<'a> {
    /// What `line` tells; none where it is a comment, of another program or version, or not a figure that can be counted on.
    fn read(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse::<f64>().ok().filter(|value| value.is_finite() && 0.0 <= *value)?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, parsed(labels.strip_suffix('}')?)?),
            None => (series, Vec::new()),
        };
        let (family, part) = FAMILIES.iter().find_map(|family| Some((*family, name.strip_prefix(family.name)?)))?;
        let (ends, labels): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(name, _)| *name == "le");
        let (names, values): (Vec<&str>, Labels) = labels.into_iter().unzip();
        let end = ends.first().and_then(|(_, end)| end.parse().ok());
        (names == family.labels).then_some(Self { family, part, values, end, value })
    }
}

fn owned(labels: &[&str]) -> Labels {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn line(text: &mut String, family: &Family, part: &str, values: &[String], end: Option<&str>, value: f64) {
    let labels = family.labels.iter().copied().zip(values.iter().map(String::as_str));
    let labels: Vec<String> = labels
        .chain(end.map(|end| ("le", end)))
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    text.push_str(&format!("{}{part}{labels} {value}\n", family.name));
}

/// `a="1",b="2"` as names and values.
fn parsed(mut labels: &str) -> Option<Vec<(&str, String)>> {
    let mut parsed = Vec::new();
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = rest.char_indices();
        let end = loop {
            match letters.next()? {
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (at, '"') => break at,
                (_, other) => value.push(other),
            }
        };
        parsed.push((name, value));
        labels = rest[end + 1..].trim_start_matches(',');
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::family::{BUDGET_LIMIT, FILES, REQUEST_DURATION, REQUESTS};

    fn some() -> Samples {
        let mut samples = Samples::default();
        samples.add(&REQUESTS, &["/v1/org/{id}/\"odd\\\n", "200"], 3.0);
        samples.add(&FILES, &["answers_v2", "written"], 0.0);
        samples.observe(&REQUEST_DURATION, &["/v2/prompts"], 0.25);
        samples.observe(&REQUEST_DURATION, &["/v2/prompts"], 7200.5);
        samples
    }

    #[test]
    fn samples_are_told_in_the_text_format() {
        let mut samples = some();
        samples.set(&BUDGET_LIMIT, &[], 600.0);
        insta::assert_snapshot!(samples.text());
    }

    #[test]
    fn what_was_counted_is_read_back_and_nothing_else_is() {
        let mut told = some();
        told.set(&BUDGET_LIMIT, &[], 600.0);
        let foreign = "node_load1 3\nprofound_export_rows_total 3\nprofound_export_rows_total{x=\"1\"} 3\n\
                       profound_export_rows_total{stream=\"a\"} -1\nprofound_export_rows_total{stream=\"a} 1\nrubbish";
        assert_eq!(Samples::counted(&format!("{}{foreign}", told.text())), some());
        assert_eq!(Samples::counted(""), Samples::default());
    }
}
