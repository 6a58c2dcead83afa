//! What the product promises, against the simulator, on memory and on disk. A module per promise.

mod again;
mod budget;
mod content;
mod days;
mod destination;
mod document;
mod drift;
mod entitlement;
mod fallback;
mod golden;
mod key;
mod layering;
mod ledger;
mod support;
mod whole;
