//! The names in the vendor's OpenAPI document, and how a newer document differs from the one this version was made for.

mod compare;
mod difference;
mod impact;
mod openapi;
mod sent;
mod surface;
#[cfg(test)]
mod tests;

pub use compare::compare;
pub use difference::{Difference, DifferenceKind};
pub use surface::{DocumentError, Operation, OperationName, Surface, SurfaceMember};
