//! The faults in force, and those that apply to one request.

use serde_json::{Map, Value};

use super::fault::{AnnouncedAt, Fault, FaultKind};

/// The faults in force, each with the number of requests it has matched.
#[derive(Debug, Default)]
pub(crate) struct ActiveFaults(Vec<(Fault, u64)>);

/// A request as faults see it.
#[derive(Debug)]
pub(crate) struct FaultTarget<'a> {
    pub(crate) stream: &'a str,
    pub(crate) path: &'a str,
    /// The id and the name of the category, if the request is about one.
    pub(crate) category: Option<[String; 2]>,
    /// For how many days the request is, if it has days.
    pub(crate) days: Option<i64>,
    pub(crate) is_event_stream: bool,
    pub(crate) body: &'a Value,
}

/// The faults that apply to one request. Of several of one kind the last counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppliedFaults {
    pub(crate) kinds: Vec<FaultKind>,
    /// By how much the announced total differs from the number of rows.
    pub(crate) total_shift: u64,
    /// The key of the request, verbatim and encoded as in a URL.
    pub(crate) sent_key: String,
}

/// The value of the last fault that matches a pattern.
macro_rules! last_fault {
    ($faults:expr, $pattern:pat => $value:expr) => {
        $faults.kinds.iter().rev().find_map(|kind| match kind {
            $pattern => Some($value),
            _ => None,
        })
    };
}
pub(crate) use last_fault;

impl ActiveFaults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Every fault as JSON, with the number of requests that `matched`.
    pub(crate) fn to_json(&self) -> Value {
        let each = self.0.iter().map(|(fault, matched)| {
            let mut fault = serde_json::to_value(fault).unwrap_or_default();
            fault["matched"] = Value::from(*matched);
            fault
        });
        each.collect()
    }

    /// Counts the request, and returns the faults that apply to it.
    pub(crate) fn apply(&mut self, target: &FaultTarget<'_>) -> AppliedFaults {
        let mut applied = AppliedFaults::default();
        for (fault, matched) in self.0.iter_mut().filter(|(fault, _)| fault.matches(target)) {
            let number = *matched;
            *matched += 1;
            let is_over = fault.times.is_some_and(|times| number >= fault.after.saturating_add(times));
            if number < fault.after || is_over {
                continue;
            }
            if fault.kind == FaultKind::ChangingTotal {
                applied.total_shift += number - fault.after;
            }
            applied.kinds.push(fault.kind.clone());
        }
        applied
    }
}

impl Fault {
    fn matches(&self, target: &FaultTarget<'_>) -> bool {
        let within = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| text.contains(wanted));
        let is_category =
            |wanted: &String| target.category.as_ref().is_some_and(|id_and_name| id_and_name.contains(wanted));
        let is_longer = |longest: i64| target.days.is_some_and(|days| days > longest);
        let has_body = match &self.kind {
            FaultKind::RejectMember { member, limit } => {
                let asked = target.body["limit"].as_u64().filter(|_| !target.is_event_stream);
                has_member(target.body, member) && limit.is_none_or(|limit| asked.is_none_or(|asked| asked > limit))
            }
            FaultKind::SilentEnd { .. }
            | FaultKind::ErrorEvent { .. }
            | FaultKind::RepeatedEvents { .. }
            | FaultKind::RenamedEvents { .. }
            | FaultKind::NoSummary
            | FaultKind::DefaultPage { .. } => target.is_event_stream,
            FaultKind::RepeatedCursor | FaultKind::RepeatedPage | FaultKind::DataFirst | FaultKind::NoInfo { .. } => {
                !target.is_event_stream
            }
            _ => true,
        };
        has_body
            && within(&self.stream, target.stream)
            && within(&self.path, target.path)
            && self.category.as_ref().is_none_or(is_category)
            && self.longer_than.is_none_or(is_longer)
    }
}

/// Whether `body` has `member`, or the list before its dot has the entry behind it.
fn has_member(body: &Value, member: &str) -> bool {
    match member.split_once('.') {
        None => !body[member].is_null(),
        Some((list, entry)) => body[list].as_array().is_some_and(|entries| entries.iter().any(|other| other == entry)),
    }
}

impl AppliedFaults {
    pub(crate) fn has(&self, kind: &FaultKind) -> bool {
        self.kinds.contains(kind)
    }

    /// The members that a response has `at` a place besides its own.
    pub(crate) fn announced(&self, at: AnnouncedAt) -> Map<String, Value> {
        let announced = self.kinds.iter().filter_map(|kind| match kind {
            FaultKind::Announce { at: place, member, value } if *place == at => {
                let json = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
                Some((member.clone(), json))
            }
            _ => None,
        });
        announced.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_applies_only_to_the_requests_it_names() {
        let mut faults = ActiveFaults::default();
        faults.add("status:code=503,stream=visibility,after=1,times=1".parse().unwrap());
        let target = |stream| FaultTarget {
            stream,
            path: "/v2/reports",
            category: None,
            days: None,
            is_event_stream: false,
            body: &Value::Null,
        };
        let mut fails = |stream| !faults.apply(&target(stream)).kinds.is_empty();
        assert!(!fails("visibility_v2"));
        assert!(!fails("answers_v2"));
        assert!(fails("visibility_v2"));
        assert!(!fails("visibility_v2"));
    }
}
