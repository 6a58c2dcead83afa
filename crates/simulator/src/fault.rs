//! Faults: what goes wrong on request, with which requests, and how often.

use std::fmt;
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Only requests with this in their path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests about the category with this id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only requests of more days than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longer_than: Option<i64>,
    /// How many matching requests are answered well before.
    #[serde(default)]
    pub after: u64,
    /// How many requests it befalls then; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// What can go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum FaultKind {
    /// A status other than 200, such as 403, 404, 429 or 503.
    Status {
        /// The status.
        code: u16,
        /// `Retry-After` word for word (`2`, `999999999`, `soon`); `date:30` is an HTTP date in 30 seconds; none when
        /// absent.
        #[serde(default, deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
        retry_after: Option<String>,
        /// `X-RateLimit-Reset`, in seconds from now; nothing is then left of the budget.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reset: Option<i64>,
    },
    /// A page of HTML with the given status, 200 unless told.
    Html {
        /// The status.
        #[serde(default = "ok")]
        code: u16,
    },
    /// HTTP 422.
    Unprocessable {
        /// Whether `detail` is a text or a list.
        #[serde(default)]
        detail: DetailForm,
    },
    /// The connection breaks within the body.
    Truncate {
        /// Bytes that arrive before.
        bytes: u64,
    },
    /// Nothing more is sent, and the connection stays open.
    Stall {
        /// Bytes that arrive before.
        bytes: u64,
    },
    /// The body comes a little at a time.
    Drip {
        /// Bytes of each piece.
        bytes: usize,
        /// Milliseconds before each piece.
        milliseconds: u64,
    },
    /// An event stream ends cleanly, rows missing.
    SilentEnd {
        /// Rows that arrive before.
        rows: u64,
    },
    /// An event named `error` ends an event stream.
    ErrorEvent {
        /// Rows that arrive before.
        rows: u64,
    },
    /// The total grows by one with each request it befalls; the first still tells the truth.
    ChangingTotal,
    /// `next_cursor` is the cursor that was sent.
    RepeatedCursor,
    /// A page holds the rows of the page before.
    RepeatedPage,
    /// `data` stands before `info`.
    DataFirst,
    /// From now on the key is rejected.
    RevokeKey,
    /// Rows have a member that nobody announced.
    ExtraField,
    /// A member of every row has a value of another type.
    WrongType {
        /// Which member.
        column: String,
    },
    /// Named rows lack a member that was asked for. Positional rows cannot.
    LackField {
        /// Which member.
        column: String,
    },
    /// `info.query` is null.
    NullQuery,
    /// No total is told.
    NoTotal,
    /// No `X-RateLimit` headers come.
    NoRateHeaders,
    /// `X-RateLimit-Reset` comes in another form than Unix seconds.
    ResetHeader {
        /// Which.
        form: ResetForm,
    },
    /// HTTP 307 to another address.
    Redirect {
        /// Which.
        to: String,
    },
    /// The body is compressed, also where nobody asked for it. What breaks or stalls then counts compressed bytes.
    Gzip {
        /// The compressed body ends cleanly after so many bytes; it comes whole when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<u64>,
        /// The byte of the compressed body that is damaged; none when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        damaged_at: Option<u64>,
    },
    /// A text holds a byte that is no UTF-8.
    InvalidUtf8,
    /// A value before the first row nests so deep.
    Deep {
        /// How many arrays stand in another.
        levels: usize,
    },
    /// Far more comes than there is.
    Flood {
        /// Of what.
        of: FloodForm,
        /// How much; without an end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        megabytes: Option<u64>,
    },
    /// The key that was sent is repeated, as it is and as part of an address.
    RepeatKey {
        /// Where.
        at: KeyPlace,
    },
    /// `X-RateLimit-Limit` tells another limit.
    LimitHeader {
        /// The limit told.
        limit: u64,
    },
}

/// The two forms of `detail` in a 422.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetailForm {
    /// A sentence.
    #[default]
    Text,
    /// A list of places and messages.
    List,
}

/// Where an answer repeats the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// In the `detail` of an error.
    Error,
    /// In headers, of which some should be numbers.
    Headers,
    /// In the address of a redirect.
    Redirect,
    /// In a page of HTML with status 200.
    Page,
    /// In every row.
    Rows,
}

/// What an answer is flooded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloodForm {
    /// Its rows again and again.
    Rows,
    /// One text in one row.
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
    /// An HTTP date.
    HttpDate,
    /// An ISO 8601 date.
    IsoDate,
    /// It does not come.
    Absent,
}

impl From<FaultKind> for Fault {
    /// Befalls every request.
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

    /// Only requests of more than `days` days.
    pub fn longer_than(self, days: i64) -> Self {
        Self { longer_than: Some(days), ..self }
    }

    /// Only after `requests` matching ones were answered well.
    pub fn after(self, requests: u64) -> Self {
        Self { after: requests, ..self }
    }

    /// Only `requests` times.
    pub fn times(self, requests: u64) -> Self {
        Self { times: Some(requests), ..self }
    }

    /// Whether it concerns event streams alone.
    pub(super) fn is_of_events(&self) -> bool {
        matches!(self.kind, FaultKind::SilentEnd { .. } | FaultKind::ErrorEvent { .. })
    }

    /// Whether it concerns pages alone.
    pub(super) fn is_of_pages(&self) -> bool {
        matches!(self.kind, FaultKind::RepeatedCursor | FaultKind::RepeatedPage | FaultKind::DataFirst)
    }

    /// A fault from its JSON; members that mean nothing are refused.
    pub(super) fn from_json(given: Value) -> Result<Self, String> {
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

    /// Reads `status:code=503,retry_after=2,stream=visibility,after=1,times=2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut members = Map::new();
        members.insert("fault".into(), Value::from(name.trim().replace('-', "_")));
        for setting in settings.split(',').filter(|setting| !setting.trim().is_empty()) {
            let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not `name=value`"))?;
            let value = value.trim();
            let name = name.trim();
            // A category may well be called `2026`.
            let is_text = matches!(name, "stream" | "path" | "category" | "column" | "to");
            let number = value.parse::<i64>().ok().filter(|_| !is_text);
            members.insert(name.to_owned(), number.map_or_else(|| Value::from(value), Value::from));
        }
        Self::from_json(Value::Object(members))
    }
}

impl fmt::Display for Fault {
    /// Writes what `FromStr` reads.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Value::Object(members)) = serde_json::to_value(self) else {
            return Err(fmt::Error);
        };
        out.write_str(members.get("fault").and_then(Value::as_str).unwrap_or_default())?;
        let idle = |(name, value): &(&String, &Value)| *name != "fault" && !(*name == "after" && **value == 0);
        for (index, (name, value)) in members.iter().filter(idle).enumerate() {
            let before = if index == 0 { ':' } else { ',' };
            match value {
                Value::String(text) => write!(out, "{before}{name}={text}")?,
                other => write!(out, "{before}{name}={other}")?,
            }
        }
        Ok(())
    }
}

fn ok() -> u16 {
    200
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_reads_as_it_is_written() {
        for text in [
            "status:code=503,retry_after=2,stream=visibility,after=1,times=2",
            "status:code=429,retry_after=date:30,reset=-5",
            "truncate:bytes=1000,path=/stream",
            "drip:bytes=10,milliseconds=5",
            "unprocessable:detail=list",
            "wrong_type:column=visibility_score",
            "lack_field:column=executions",
            "changing_total",
            "reset_header:form=iso_date",
            "status:code=403,category=2026",
            "html:code=200,longer_than=8",
            "redirect:to=http://127.0.0.1:1/x?y=z",
            "gzip",
            "gzip:ends_at=2000,damaged_at=100",
            "invalid_utf8",
            "deep:levels=100000",
            "flood:of=rows,megabytes=1024",
            "flood:of=blanks,stream=models",
            "repeat_key:at=rows",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        let built = Fault::from(FaultKind::Stall { bytes: 10 }).of_stream("answers").times(1);
        assert_eq!("stall:bytes=10,stream=answers,times=1".parse(), Ok(built));
    }

    #[test]
    fn mistyped_faults_are_refused_in_words() {
        for text in ["staus:code=503", "status", "truncate:byte=3", "stall:bytes=1,time=2", "html:200"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
