//! What the vendor's OpenAPI document says, as far as an exporter cares, and what a newer document says otherwise.

mod compare;
mod difference;
mod meaning;
mod openapi;
mod sent;
mod surface;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use difference::{Change, Difference};
pub use openapi::DocumentError;
pub use surface::{Member, Operation, OperationName, Surface};
