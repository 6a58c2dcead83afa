//! Method and path of an endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The methods that can be read-only. Others cannot be declared, so they cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    /// A query with a JSON body.
    Post,
}

/// Method and path of an endpoint, written `POST /v2/reports/visibility`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestLine {
    pub method: Method,
    /// Starts with a slash; `{name}` is a variable.
    pub path: String,
}

impl fmt::Display for RequestLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        write!(out, "{method} {}", self.path)
    }
}

impl Serialize for RequestLine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestLine {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not `GET /path` or `POST /path`"));
        let (method, path) = text.split_once(' ').ok_or_else(wrong)?;
        let method = match method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            _ => return Err(wrong()),
        };
        if !path.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self { method, path: path.to_owned() })
    }
}
