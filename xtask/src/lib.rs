//! The maintainers' tools. A library, so that `cargo test` runs the short forms of the same code.

pub mod fuzz;
pub mod model;
pub mod reference;
pub mod requests;
pub mod sequences;
pub mod torture;
pub mod year;

#[allow(dead_code, unused_imports, unused_macros, reason = "the tests share it; the tools need a part")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
