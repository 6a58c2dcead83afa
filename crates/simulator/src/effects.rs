//! What all faults that befall one request come to.

use serde_json::Value;

use super::fault::{DetailForm, Fault, FaultKind, FloodForm, KeyPlace, ResetForm};

const MEGABYTE: u64 = 1024 * 1024;

/// Faults added up for one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Effects {
    /// Code, `Retry-After` and `X-RateLimit-Reset` from now.
    pub(super) status: Option<(u16, Option<String>, Option<i64>)>,
    pub(super) html: Option<u16>,
    pub(super) unprocessable: Option<DetailForm>,
    pub(super) truncate: Option<u64>,
    pub(super) stall: Option<u64>,
    /// Bytes of a piece, and milliseconds before each.
    pub(super) drip: Option<(usize, u64)>,
    pub(super) silent_end: Option<u64>,
    pub(super) error_event: Option<u64>,
    pub(super) total_shift: u64,
    pub(super) repeated_cursor: bool,
    pub(super) repeated_page: bool,
    pub(super) data_first: bool,
    pub(super) revoke_key: bool,
    pub(super) extra_field: bool,
    pub(super) wrong_types: Vec<String>,
    pub(super) lacking: Vec<String>,
    pub(super) null_query: bool,
    pub(super) no_total: bool,
    pub(super) no_rate_headers: bool,
    pub(super) reset_form: Option<ResetForm>,
    pub(super) limit_header: Option<u64>,
    pub(super) redirect: Option<String>,
    /// Where the compressed body ends, and which byte of it is damaged.
    pub(super) gzip: Option<(Option<u64>, Option<u64>)>,
    pub(super) invalid_utf8: bool,
    pub(super) deep: Option<usize>,
    /// With what, and with how many bytes.
    pub(super) flood: Option<(FloodForm, u64)>,
    pub(super) repeat_key: Option<KeyPlace>,
    /// What members say that nobody announced, in place of what they usually do.
    pub(super) extra_text: Option<String>,
    /// Not a fault: every list is wrapped, as the account says.
    pub(super) wrap_lists: bool,
}

/// A request as faults see it.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) stream: &'a str,
    pub(super) path: &'a str,
    /// Id and name of the category, if it is about one.
    pub(super) category: Option<(&'a str, &'a str)>,
    /// How many days it is about, if it says any.
    pub(super) days: Option<i64>,
    pub(super) event: bool,
}

/// Faults in force, and how many requests each has met.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, u64)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Every fault as JSON, with the matching requests it has `met`.
    pub(super) fn to_json(&self) -> Value {
        let each = self.0.iter().map(|(fault, met)| {
            let mut fault = serde_json::to_value(fault).unwrap_or_default();
            fault["met"] = Value::from(*met);
            fault
        });
        each.collect()
    }

    /// Counts the request, and adds up what befalls it.
    pub(super) fn befall(&mut self, target: &Target<'_>) -> Effects {
        let mut effects = Effects::default();
        for (fault, met) in &mut self.0 {
            if !matches(fault, target) {
                continue;
            }
            let number = *met;
            *met += 1;
            let in_time = fault.times.is_none_or(|times| number < fault.after.saturating_add(times));
            if fault.after <= number && in_time {
                effects.add(&fault.kind, number - fault.after);
            }
        }
        effects
    }
}

fn matches(fault: &Fault, target: &Target<'_>) -> bool {
    let within =
        |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| text.contains(wanted.as_str()));
    let category = match (&fault.category, target.category) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some((id, name))) => wanted == id || wanted == name,
    };
    within(&fault.stream, target.stream)
        && within(&fault.path, target.path)
        && category
        && fault.longer_than.is_none_or(|longest| target.days.is_some_and(|days| longest < days))
        && (!fault.is_of_events() || target.event)
        && (!fault.is_of_pages() || !target.event)
}

impl Effects {
    /// Whether rows differ from what they should be.
    pub(super) fn changes_rows(&self) -> bool {
        self.extra_field || !self.lacking.is_empty() || !self.wrong_types.is_empty()
    }

    fn add(&mut self, kind: &FaultKind, number: u64) {
        match kind {
            FaultKind::Status { code, retry_after, reset } => {
                self.status = Some((*code, retry_after.clone(), *reset));
            }
            FaultKind::Html { code } => self.html = Some(*code),
            FaultKind::Unprocessable { detail } => self.unprocessable = Some(*detail),
            FaultKind::Truncate { bytes } => self.truncate = Some(*bytes),
            FaultKind::Stall { bytes } => self.stall = Some(*bytes),
            FaultKind::Drip { bytes, milliseconds } => self.drip = Some(((*bytes).max(1), *milliseconds)),
            FaultKind::SilentEnd { rows } => self.silent_end = Some(*rows),
            FaultKind::ErrorEvent { rows } => self.error_event = Some(*rows),
            FaultKind::ChangingTotal => self.total_shift += number,
            FaultKind::RepeatedCursor => self.repeated_cursor = true,
            FaultKind::RepeatedPage => self.repeated_page = true,
            FaultKind::DataFirst => self.data_first = true,
            FaultKind::RevokeKey => self.revoke_key = true,
            FaultKind::ExtraField => self.extra_field = true,
            FaultKind::WrongType { column } => self.wrong_types.push(column.clone()),
            FaultKind::LackField { column } => self.lacking.push(column.clone()),
            FaultKind::NullQuery => self.null_query = true,
            FaultKind::NoTotal => self.no_total = true,
            FaultKind::NoRateHeaders => self.no_rate_headers = true,
            FaultKind::ResetHeader { form } => self.reset_form = Some(*form),
            FaultKind::Redirect { to } => self.redirect = Some(to.clone()),
            FaultKind::Gzip { ends_at, damaged_at } => self.gzip = Some((*ends_at, *damaged_at)),
            FaultKind::InvalidUtf8 => self.invalid_utf8 = true,
            FaultKind::Deep { levels } => self.deep = Some(*levels),
            FaultKind::Flood { of, megabytes } => {
                self.flood = Some((*of, megabytes.map_or(u64::MAX, |megabytes| megabytes.saturating_mul(MEGABYTE))));
            }
            FaultKind::RepeatKey { at } => {
                self.repeat_key = Some(*at);
                self.extra_field |= *at == KeyPlace::Rows;
            }
            FaultKind::LimitHeader { limit } => self.limit_header = Some(*limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_befalls_only_the_requests_it_names() {
        let mut faults = Faults::default();
        faults.add("status:code=503,stream=visibility,after=1,times=1".parse().unwrap());
        let target = |stream| Target { stream, path: "/v2/reports", category: None, days: None, event: false };
        let mut failed = |stream| faults.befall(&target(stream)).status.is_some();
        assert!(!failed("visibility_v2"));
        assert!(!failed("answers_v2"));
        assert!(failed("visibility_v2"));
        assert!(!failed("visibility_v2"));
    }
}
