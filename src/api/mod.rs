//! The client of the Profound API: requests, the rate limit, retries, and rows framed from response bodies.

mod announced;
mod blocks;
mod client;
mod client_key;
mod error;
mod error_body;
mod events;
mod headers;
mod json_rows;
mod key_leak;
mod outage;
mod rate_limit;
mod request;
mod response;
mod response_limits;
mod surrogates;
#[cfg(test)]
mod tests;

pub use blocks::{BlockBuilder, FramingError, ResponseEnvelope};
pub use client::{Client, ClientSettings};
pub use error::ApiError;
pub use events::EventRows;
pub use json_rows::JsonRows;
pub use rate_limit::{
    Admission, RateLimitHeaders, RateLimitState, RateLimiter, ResponseKind, RunLimits, SentRequest, completion_times,
};
pub use request::{Request, RequestOptions, SliceRequest, Transport, Variables};
pub use response::Response;
