//! The only HTTP of the exporter: requests, the budget they draw on, retries, and whole rows cut from what comes back.

mod blocks;
mod budget;
mod client;
mod error;
mod events;
mod headers;
mod json_rows;
mod pace;
mod patience;
#[cfg(test)]
mod properties;
mod repeats;
mod request;

pub use blocks::{BlockBuilder, Envelope, FramingError};
pub use budget::{Budget, BudgetState, Came, RateHeaders, Sent, Turn, Waiting};
pub use client::{Client, ClientSettings, Limits, Response};
pub use error::ApiError;
pub use events::EventRows;
pub use json_rows::JsonRows;
pub use pace::pace;
pub use request::{Asked, Request, RequestFacts, Transport, Variables};
