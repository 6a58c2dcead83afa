//! Tells someone when something needs them, once, and again when it is over.
//!
//! What is the matter follows from values alone (`rules.rs`); what was already told lies in one small object beside the
//! ledger (`book.rs`, `store.rs`), so that neither a restart nor the next one-shot run tells it again; `send` knows how
//! each kind of target wants it.

mod book;
mod condition;
mod ears;
mod message;
mod rules;
mod send;
mod store;
mod teller;

pub use send::{SendError, Sender};
pub use teller::Teller;
