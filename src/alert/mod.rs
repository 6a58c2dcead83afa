//! Notifies an operator once when a condition starts to fire, and once when it is resolved.
//!
//! Conditions follow from values alone (`rules.rs`). Which target was notified is one small object of the lake (`state.rs`,
//! `store.rs`), so that neither a restart nor the next one-shot run notifies twice. `send` knows the form of each kind of target.

mod condition;
mod dispatcher;
mod message;
mod observer;
mod rules;
mod send;
mod state;
mod store;

pub use dispatcher::AlertDispatcher;
pub use send::{SendError, Sender};
