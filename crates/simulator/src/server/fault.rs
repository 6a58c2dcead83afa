//! Faults: what goes wrong on request, with which requests, and how often.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing that goes wrong with the requests it matches. In JSON `{"fault": "status", "code": 503, "times": 2}`; on a
/// command line `status:code=503,times=2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only requests of streams with this in their name.
    pub stream: Option<String>,
    /// Only requests with this in their path.
    pub path: Option<String>,
    /// Only requests about the category with this id or name.
    pub category: Option<String>,
    /// Only requests for more days than this.
    pub longer_than: Option<i64>,
    /// How many matching requests succeed before the first that fails.
    #[serde(default)]
    pub after: u64,
    /// How many requests fail then; all if absent.
    pub times: Option<u64>,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum FaultKind {
    /// A status other than 200, such as 403, 404, 429 or 503.
    Status {
        code: u16,
        /// `Retry-After` verbatim (`2`, `999999999`, `soon`); `date:30` is an HTTP date in 30 seconds.
        retry_after: Option<String>,
        /// `X-RateLimit-Reset` in seconds from now, with no requests remaining.
        reset: Option<i64>,
    },
    /// A page of HTML, with status 200 by default.
    Html {
        #[serde(default = "ok")]
        code: u16,
    },
    /// A gateway answers instead of the API.
    Gateway { code: u16, form: GatewayForm },
    /// HTTP 422.
    Unprocessable {
        #[serde(default)]
        detail: DetailForm,
    },
    /// HTTP 422 that names a member of the body, such as `include.citation_details`, if the body has it.
    RejectMember {
        member: String,
        /// Only for more rows than this, which an event stream always asks for.
        limit: Option<u64>,
    },
    /// The connection breaks after this many bytes of the body.
    Truncate { bytes: u64 },
    /// Nothing is sent after this many bytes of the body, and the connection stays open.
    Stall { bytes: u64 },
    /// The body arrives in pieces of so many bytes, with a pause before each.
    Drip { bytes: usize, milliseconds: u64 },
    /// An event stream ends cleanly after this many rows, before its last row.
    SilentEnd { rows: u64 },
    /// An event stream sends its first rows once more before its end.
    RepeatedEvents { rows: u64 },
    /// An event that reports an error ends an event stream after this many rows.
    ErrorEvent {
        rows: u64,
        /// The name of the event, if it is not `error`.
        name: Option<String>,
    },
    /// The rows of an event stream are events of this name; empty for none.
    RenamedEvents { name: String },
    /// An event stream has no summary.
    NoSummary,
    /// Without a limit, in an event stream of version 1, only so many rows are sent and counted.
    DefaultPage { rows: u64 },
    /// The total counts entities, of which each has several rows.
    EntityTotals,
    /// The result has only so many rows, as if the service had computed it once more.
    FewerRows { rows: usize },
    /// The announced total grows by one with each request; the first one is right.
    ChangingTotal,
    /// `next_cursor` is the cursor of the request.
    RepeatedCursor,
    /// A page holds the rows of the previous page.
    RepeatedPage,
    /// A list has only its first rows.
    ShortList { rows: u64 },
    /// `data` comes before `info`.
    DataFirst,
    /// The key is rejected from now on.
    RevokeKey,
    /// Rows have a member that the catalog does not declare.
    ExtraField,
    /// A member of every row has a value of another type.
    WrongType { column: String },
    /// A member of every row, or of those of one day, has this value, which need not be JSON.
    BadValue { column: String, value: String, day: Option<String> },
    /// Named rows lack a requested member. Positional rows cannot.
    MissingField { column: String },
    /// `info.query` is null.
    NullQuery,
    /// No total is announced.
    NoTotal,
    /// A member around the rows, or a header, has this value, which is JSON or a text.
    Announce { at: AnnouncedAt, member: String, value: String },
    /// The rows come without `info`.
    NoInfo { form: NoInfoForm },
    /// The `X-RateLimit` headers are missing.
    NoRateHeaders,
    /// The `Date` header holds no date, as good as none.
    NoDate,
    /// `X-RateLimit-Reset` has another form than Unix seconds.
    ResetHeader { form: ResetForm },
    /// HTTP 307 to another address.
    Redirect { to: String },
    /// The body is compressed, even if the request does not accept it. Other faults then count compressed bytes.
    Gzip {
        /// The compressed body ends cleanly after so many bytes.
        ends_at: Option<u64>,
        /// Which byte of the compressed body is damaged.
        damaged_at: Option<u64>,
    },
    /// A text of every row ends with half of a surrogate pair.
    HalfSurrogate { column: String },
    /// A text contains a byte that is not UTF-8.
    InvalidUtf8,
    /// A value before the first row has this many nested arrays.
    DeepNesting { levels: usize },
    /// The body is far larger than its rows.
    Flood {
        of: FloodForm,
        /// Endless if absent.
        megabytes: Option<u64>,
    },
    /// The response contains the key of the request, verbatim and encoded as in a URL.
    RepeatKey { at: KeyLocation },
}

/// The form of `detail` in a 422.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetailForm {
    /// A sentence.
    #[default]
    Text,
    /// A list of places and messages.
    List,
}

/// The forms in which gateways answer, other than a page of HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayForm {
    Text,
    Empty,
    /// JSON with `message`, as API gateways answer.
    Message,
    /// JSON of RFC 9457, with `detail` and more.
    Problem,
    /// The JSON of the API, with a header that asks to log in at a proxy.
    Login,
}

/// Where a response has a member that says something about its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnouncedAt {
    Body,
    /// `info`, or the summary of an event stream.
    Info,
    Header,
}

/// How `info` is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoInfoForm {
    Absent,
    Null,
    /// The body is a bare array.
    Bare,
}

/// Where a response contains the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLocation {
    /// In the `detail` of an error response.
    Error,
    /// In headers, of which some should be numbers.
    Headers,
    /// In the URL of a redirect.
    Redirect,
    /// In a page of HTML with status 200.
    Page,
    /// In every row.
    Rows,
}

/// What makes a body too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloodForm {
    /// Its rows, over and over.
    Rows,
    /// One text of one row.
    Text,
    /// Spaces before the first row, or comments of an event stream.
    Blanks,
}

/// The forms of `X-RateLimit-Reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetForm {
    /// Seconds from now.
    Seconds,
    HttpDate,
    IsoDate,
    Absent,
}

impl From<FaultKind> for Fault {
    /// A fault of every request.
    fn from(kind: FaultKind) -> Self {
        Self { kind, stream: None, path: None, category: None, longer_than: None, after: 0, times: None }
    }
}

impl Fault {
    /// Only requests of streams with `name` in their name.
    pub fn of_stream(self, name: &str) -> Self {
        Self { stream: Some(name.to_owned()), ..self }
    }

    /// Only requests with `part` in their path.
    pub fn on_path(self, part: &str) -> Self {
        Self { path: Some(part.to_owned()), ..self }
    }

    /// Only requests about the category with this id or name.
    pub fn of_category(self, category: &str) -> Self {
        Self { category: Some(category.to_owned()), ..self }
    }

    /// Only requests for more than `days` days.
    pub fn longer_than(self, days: i64) -> Self {
        Self { longer_than: Some(days), ..self }
    }

    /// Only after `requests` matching requests succeeded.
    pub fn after(self, requests: u64) -> Self {
        Self { after: requests, ..self }
    }

    /// Only `requests` times.
    pub fn times(self, requests: u64) -> Self {
        Self { times: Some(requests), ..self }
    }

    /// Reads a fault from JSON.
    ///
    /// # Errors
    /// If a setting is missing, invalid or unknown. serde cannot reject unknown members of a flattened enum, so the fault
    /// is written again and compared.
    pub(crate) fn from_json(given: Value) -> Result<Self, String> {
        let fault: Self = serde_json::from_value(given.clone()).map_err(|error| error.to_string())?;
        let known = serde_json::to_value(&fault).map_err(|error| error.to_string())?;
        let members = given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        match members.map(|(name, _)| name).find(|name| known.get(name.as_str()).is_none()) {
            Some(name) => Err(format!("a fault `{}` has no `{name}`", known["fault"].as_str().unwrap_or_default())),
            None => Ok(fault),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    /// Parses `status:code=503,retry_after=2,stream=visibility,after=1,times=2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut members = Map::new();
        members.insert("fault".into(), Value::from(name.trim().replace('-', "_")));
        for setting in settings.split(',').filter(|setting| !setting.trim().is_empty()) {
            let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not `name=value`"))?;
            let (name, value) = (name.trim(), value.trim());
            // A category may be called `2026`.
            let is_text = matches!(
                name,
                "stream" | "path" | "category" | "column" | "member" | "to" | "retry_after" | "name" | "value"
            );
            let number = value.parse::<i64>().ok().filter(|_| !is_text);
            members.insert(name.to_owned(), number.map_or_else(|| Value::from(value), Value::from));
        }
        Self::from_json(Value::Object(members))
    }
}

fn ok() -> u16 {
    200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_parsed_from_its_command_line_form() {
        let built = Fault::from(FaultKind::Stall { bytes: 10 }).of_stream("answers").times(1);
        assert_eq!("stall:bytes=10,stream=answers,times=1".parse(), Ok(built));
        let status = FaultKind::Status { code: 429, retry_after: Some("date:30".into()), reset: Some(-5) };
        assert_eq!("status:code=429,retry_after=date:30,reset=-5".parse(), Ok(Fault::from(status)));
        let html = Fault::from(FaultKind::Html { code: 200 }).of_category("2026").longer_than(8);
        assert_eq!("html:category=2026,longer_than=8".parse(), Ok(html));
        let redirect = Fault::from(FaultKind::Redirect { to: "http://127.0.0.1:1/x?y=z".into() });
        assert_eq!("redirect:to=http://127.0.0.1:1/x?y=z".parse(), Ok(redirect));
        let flood = FaultKind::Flood { of: FloodForm::Blanks, megabytes: None };
        assert_eq!("flood:of=blanks".parse(), Ok(Fault::from(flood)));
        assert_eq!("changing-total".parse(), Ok(Fault::from(FaultKind::ChangingTotal)));
    }

    #[test]
    fn mistyped_faults_are_rejected() {
        for text in ["staus:code=503", "status", "truncate:byte=3", "stall:bytes=1,time=2", "html:200"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
