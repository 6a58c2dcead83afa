//! The answers of a category: what each says of brands and pages, and what reports count in them. Every report on answers
//! is a count of these, so that its figures agree with those of all others, and with the answers themselves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use catalog::model::day::Day;
use catalog::model::stream::Stream;
use serde_json::Value;

use super::binding::BoundDimension;
use super::dimension::Dimension;
use super::objects::{AccountObjects, CategoryObjects, Object, Subject};
use super::seeded::{mix, salt};
use super::tally::{Group, ONE};
use super::vocabulary::WORDS;

/// Answers of a category on its busiest day, unless the account says how many rows there are.
pub(crate) const ANSWERS: u64 = 36;

/// What a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Each answer, once.
    Answers,
    /// Each answer, once for each owned asset.
    Evaluations,
    /// Answers that name an asset.
    Mentions,
    /// Pages that answers cite.
    Citations,
    /// What answers say of a theme of an asset that they name.
    Assessments,
}

impl Counted {
    /// What the reports at the endpoint of `stream` count; `None` if they do not count answers.
    pub(crate) fn new(stream: &Stream) -> Option<Self> {
        match stream.request.path.get("/v1".len()..)? {
            "/prompts/answers" if stream.key.iter().any(|key| key == "asset_id") => Some(Self::Evaluations),
            "/prompts/answers" => Some(Self::Answers),
            "/reports/visibility" => Some(Self::Mentions),
            "/reports/citations" => Some(Self::Citations),
            "/reports/sentiment" => Some(Self::Assessments),
            _ => None,
        }
    }

    /// Whether each row is an answer.
    pub(crate) fn is_answers(self) -> bool {
        matches!(self, Self::Answers | Self::Evaluations)
    }
}

/// The answers of one category.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    objects: &'a AccountObjects,
    category: &'a CategoryObjects,
    seed: u64,
    /// The only asset whose sentiment is counted.
    asset: Option<u64>,
}

/// One answer, with objects as their numbers in the lists of the account.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) number: u64,
    prompt: u64,
    model: u64,
    region: u64,
    persona: u64,
    /// In order of appearance.
    assets: Vec<u64>,
    pages: Vec<u64>,
    assessments: Vec<Event>,
}

/// Something that an answer says, and that reports count.
#[derive(Debug, Clone, Default)]
struct Event {
    asset: u64,
    page: u64,
    tag: u64,
    theme: u64,
    competitor: Option<u64>,
    /// Whether it was said: answers that do not name an asset count for its ratios.
    is_said: bool,
    position: u64,
    is_positive: bool,
}

/// What all rows of one context have in common, such as those of one engine.
#[derive(Debug, Default)]
struct Context {
    answers: i64,
    /// The answer that was counted last.
    last: Option<(Day, u64)>,
    /// By engine.
    said: Vec<i64>,
}

impl<'a> Answers<'a> {
    /// `None` if the scope of `subject` has no category.
    pub(crate) fn new(objects: &'a AccountObjects, subject: &Subject) -> Option<Self> {
        let category = objects.category(&subject.scope)?;
        let id = category.object["id"].as_str().unwrap_or_default();
        let number_of = |id: &String| category.assets.iter().position(|asset| asset["id"] == **id);
        let asset = subject.scope.asset.as_ref().and_then(|asset| number_of(&asset.id)).map(|number| number as u64);
        Some(Self { objects, category, seed: salt(objects.seed, &format!("answers/{id}")), asset })
    }

    /// The seed of what is the same in every report.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    fn chance(&self, parts: [u64; 3]) -> u64 {
        parts.into_iter().fold(self.seed, |seed, part| mix(seed ^ part))
    }

    /// Answer `number` of `day`.
    pub(crate) fn answer(&self, day: Day, number: u64) -> Answer {
        let index = (i64::from(day.to_epoch_days()) as u64).wrapping_mul(ANSWERS).wrapping_add(number);
        let chance = |what: u64| self.chance([index, 1, what]);
        let prompts = self.category.prompts.len().max(1) as u64;
        let prompt = index % prompts;
        // Every prompt is put to one engine after the other.
        let model = (index + index / prompts) % self.objects.models.len() as u64;
        let mut answer = Answer {
            number,
            prompt,
            model,
            region: chance(0) % self.objects.regions.len() as u64,
            // Some prompts are put without a persona, which is the one behind those of the list.
            persona: chance(1) % (self.category.personas.len() as u64 + 1),
            assets: Vec::new(),
            pages: self.pages(index, model),
            assessments: Vec::new(),
        };
        let topic = prompt % self.category.topics.len() as u64;
        // Multiples of the golden ratio are spread evenly, so that shares of a few answers are close to what they tend to.
        let spread = |asset: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(self.chance([asset, 2, 0]));
        let mut named: Vec<(u64, u64)> = Vec::new();
        for asset in 0..self.category.assets.len() as u64 {
            let strength = self.strength(asset, model, topic, day);
            if ((spread(asset) >> 32) * 1000) >> 32 < strength {
                named.push((strength * (600 + chance(asset + 10) % 800), asset));
            }
        }
        named.sort_unstable_by_key(|(prominence, asset)| (Reverse(*prominence), *asset));
        answer.assets = named.into_iter().map(|(_, asset)| asset).collect();
        for asset in &answer.assets {
            let competitor = answer.assets.iter().copied().find(|other| other != asset);
            for which in 0..1 + chance(asset + 1000) % 2 {
                let number = self.chance([index, asset + 3, which]);
                let theme = (skewed(number, WORDS.themes.len()) + asset * 5) % WORDS.themes.len() as u64;
                let is_positive = (number >> 32) % 1000 < self.favour(*asset, theme, day);
                let assessment =
                    Event { asset: *asset, theme, competitor, is_said: true, is_positive, ..Event::default() };
                answer.assessments.push(assessment);
            }
        }
        answer
    }

    /// How many of a thousand answers name `asset`: some brands win, some lose, and each engine has its favourites.
    fn strength(&self, asset: u64, model: u64, topic: u64, day: Day) -> u64 {
        let usual = 180 + self.chance([asset, 3, 0]) % 420;
        let trend = 1000 + wave(day, 260, self.chance([asset, 4, 0])) * 45 / 100;
        let of_model = 800 + self.chance([asset, 5, model]) % 400;
        let of_topic = 850 + self.chance([asset, 6, topic]) % 300;
        (usual * trend as u64 / 1000 * of_model / 1000 * of_topic / 1000).clamp(20, 950)
    }

    /// How many of a thousand assessments of a theme of `asset` are positive.
    fn favour(&self, asset: u64, theme: u64, day: Day) -> u64 {
        let usual = 350 + (self.chance([asset, 7, theme]) % 500) as i64;
        (usual + wave(day, 180, self.chance([asset, 8, theme])) * 20 / 100).clamp(50, 980) as u64
    }

    /// The pages that an answer of `model` cites: few sites have most citations.
    fn pages(&self, index: u64, model: u64) -> Vec<u64> {
        let sites = WORDS.sites.len() as u64;
        let mut pages: Vec<u64> = Vec::new();
        for which in 0..self.chance([index, 9, 0]) % 6 {
            let number = self.chance([index, 10, which]);
            let preference = if number.is_multiple_of(3) { model } else { 0 };
            let page = (skewed(number, WORDS.sites.len()) + preference) % sites + sites * skewed(number >> 16, 5);
            if !pages.contains(&page) {
                pages.push(page);
            }
        }
        pages
    }

    /// The events of `answer` that `counted` counts.
    fn events(&self, answer: &Answer, counted: Counted) -> Vec<Event> {
        let of_asset = |asset: u64| {
            let place = answer.assets.iter().position(|named| *named == asset);
            Event {
                asset,
                is_said: place.is_some(),
                position: place.map_or(0, |place| place as u64 + 1),
                ..Event::default()
            }
        };
        match counted {
            Counted::Answers => vec![Event::default()],
            Counted::Evaluations => self.owned().map(of_asset).collect(),
            Counted::Mentions => (0..self.category.assets.len() as u64).map(of_asset).collect(),
            Counted::Citations => {
                answer.pages.iter().map(|page| Event { page: *page, is_said: true, ..Event::default() }).collect()
            }
            Counted::Assessments => {
                let is_asked = |event: &&Event| self.asset.is_none_or(|asset| asset == event.asset);
                answer.assessments.iter().filter(is_asked).cloned().collect()
            }
        }
    }

    fn owned(&self) -> impl Iterator<Item = u64> {
        let owned = |(_, asset): &(usize, &Object)| asset["is_owned"] == true;
        self.category.assets.iter().enumerate().filter(owned).map(|(number, _)| number as u64)
    }

    /// How many rows each answer has, where every row is one.
    pub(crate) fn rows_of_an_answer(&self, counted: Counted) -> u64 {
        if counted == Counted::Evaluations { self.owned().count() as u64 } else { 1 }
    }

    /// The answer and the objects of row `number` of `day`, where every row is an answer.
    pub(crate) fn row(
        &self,
        day: Day,
        number: u64,
        counted: Counted,
        dimensions: &[BoundDimension],
    ) -> (Answer, Vec<u64>) {
        let each = self.rows_of_an_answer(counted).max(1);
        let answer = self.answer(day, number / each);
        let event = self.events(&answer, counted).into_iter().nth((number % each) as usize).unwrap_or_default();
        let digit = |bound: &BoundDimension| self.digit(&answer, &event, &bound.dimension).unwrap_or_default();
        let digits = dimensions.iter().map(digit).collect();
        (answer, digits)
    }

    /// The number of the object that `dimension` has in an event; `None` if it has none.
    fn digit(&self, answer: &Answer, event: &Event, dimension: &Dimension) -> Option<u64> {
        let sites = WORDS.sites.len() as u64;
        Some(match dimension {
            Dimension::Model => answer.model,
            Dimension::Prompt => answer.prompt,
            Dimension::Topic => answer.prompt % self.category.topics.len() as u64,
            Dimension::Region => answer.region,
            Dimension::Persona => answer.persona,
            Dimension::Run => answer.number,
            Dimension::Asset => event.asset,
            Dimension::Competitor => event.competitor?,
            Dimension::Page => event.page,
            Dimension::Site => event.page % sites,
            Dimension::CitationCategory => {
                let category = &WORDS.sites[(event.page % sites) as usize][1];
                WORDS.citation_categories.iter().position(|known| known == category)? as u64
            }
            Dimension::Tag => event.tag,
            Dimension::Theme => event.theme,
            Dimension::Claim => (event.theme * 2 + u64::from(!event.is_positive)) % WORDS.claims.len() as u64,
            // The two values of `sentiment_type`.
            Dimension::Declared(column) if column.values.len() == 2 => u64::from(!event.is_positive),
            _ => 0,
        })
    }

    /// The tags of a prompt; one without tags has the tag behind those of the list.
    fn tags(&self, prompt: u64) -> Vec<u64> {
        let tags = self.category.prompts.get(prompt as usize).map_or(&Value::Null, |prompt| &prompt["tags"]);
        let ids: Vec<&Value> = tags.as_array().into_iter().flatten().map(|tag| &tag["id"]).collect();
        let numbers = (0..).zip(&self.category.tags).filter(|(_, tag)| ids.contains(&&tag["id"]));
        let numbers: Vec<u64> = numbers.map(|(number, _)| number).collect();
        if numbers.is_empty() { vec![self.category.tags.len() as u64] } else { numbers }
    }

    /// The rows of a report over the first so many answers of each day, the greatest count first.
    pub(crate) fn groups(
        &self,
        counted: Counted,
        days: impl Iterator<Item = (Day, u64)>,
        dimensions: &[BoundDimension],
    ) -> Vec<Group> {
        let has_tags = dimensions.iter().any(|bound| bound.dimension == Dimension::Tag);
        let engines = self.objects.models.len();
        let mut contexts: BTreeMap<u128, Context> = BTreeMap::new();
        let mut groups: BTreeMap<u128, Group> = BTreeMap::new();
        for (day, number) in days.flat_map(|(day, answers)| (0..answers).map(move |number| (day, number))) {
            let answer = self.answer(day, number);
            let tags = if has_tags { self.tags(answer.prompt) } else { vec![0] };
            let events = self.events(&answer, counted);
            for event in tags.iter().flat_map(|tag| events.iter().map(|event| Event { tag: *tag, ..event.clone() })) {
                let digits = dimensions.iter().map(|bound| self.digit(&answer, &event, &bound.dimension));
                let Some(digits) = digits.collect::<Option<Vec<u64>>>() else { continue };
                let context = contexts.entry(context_of(&digits, dimensions)).or_default();
                context.said.resize(engines, 0);
                if context.last != Some((day, number)) {
                    context.last = Some((day, number));
                    context.answers += 1;
                }
                let key = packed(&digits, dimensions, |bound| bound.is_counted);
                let new = || Group { digits, said: vec![0; engines], ..Group::default() };
                let group = groups.entry(key).or_insert_with(new);
                if event.is_said {
                    context.said[answer.model as usize] += 1;
                    group.said[answer.model as usize] += 1;
                    group.tally.said += 1;
                    group.tally.positions += event.position as i64;
                    group.tally.positive += i64::from(event.is_positive);
                }
            }
        }
        for group in groups.values_mut() {
            let context = &contexts[&context_of(&group.digits, dimensions)];
            let shares = group.said.iter().zip(&context.said).filter_map(|(said, all)| (said * ONE).checked_div(*all));
            let engines = context.said.iter().filter(|all| **all > 0).count().max(1) as i64;
            group.tally.answers = context.answers;
            group.tally.all = context.said.iter().sum();
            group.tally.share = shares.sum::<i64>() / engines;
        }
        // Assets that are not asked for count in the shares of those that are.
        let is_asked = |group: &Group| {
            dimensions.iter().zip(&group.digits).all(|(bound, digit)| bound.is_whole || *digit < bound.len)
        };
        let mut groups: Vec<_> = groups.into_values().filter(is_asked).collect();
        groups.sort_by_key(|group| Reverse(group.tally.said));
        groups
    }
}

/// The digits of some dimensions as one number.
fn packed(digits: &[u64], dimensions: &[BoundDimension], is_wanted: impl Fn(&BoundDimension) -> bool) -> u128 {
    let wanted = dimensions.iter().zip(digits).filter(|(bound, _)| is_wanted(bound));
    wanted.fold(0, |packed, (bound, digit)| packed * u128::from(bound.len + 2) + u128::from(*digit))
}

/// What distinguishes the answers that a row is a share of.
fn context_of(digits: &[u64], dimensions: &[BoundDimension]) -> u128 {
    packed(digits, dimensions, |bound| bound.is_counted && bound.dimension.is_of_the_question())
}

impl Answer {
    /// The objects of a kind that the answer names, in order.
    pub(crate) fn named(&self, dimension: &Dimension) -> Vec<u64> {
        match dimension {
            Dimension::Asset => self.assets.clone(),
            Dimension::Theme => {
                self.assessments.iter().map(|event| event.theme).collect::<BTreeSet<_>>().into_iter().collect()
            }
            _ => self.pages.clone(),
        }
    }
}

/// A number below `count`, mostly a small one.
fn skewed(number: u64, count: usize) -> u64 {
    let part = number & 0xffff;
    (part * part * count as u64) >> 32
}

/// From -1000 to 1000 and back in `period` days. Whole numbers, so that every platform has the same figures.
pub(crate) fn wave(day: Day, period: i64, phase: u64) -> i64 {
    let at = (i64::from(day.to_epoch_days()) + (phase % period as u64) as i64).rem_euclid(period) * 4000 / period;
    if at < 2000 { at - 1000 } else { 3000 - at }
}

/// How busy a day is, in per cent: weekdays, seasons and years differ.
pub(crate) fn pace(day: Day) -> u64 {
    // The first day of the epoch was a Thursday.
    let weekday = [6, 8, 8, 7, 5, -13, -15][(i64::from(day.to_epoch_days()) + 3).rem_euclid(7) as usize];
    (82 + weekday + wave(day, 365, 90) * 6 / 1000 + wave(day, 1460, 0) * 2 / 1000) as u64
}
