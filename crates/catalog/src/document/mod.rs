//! The names in the vendor's OpenAPI document, and how a newer document differs from the one this version was made for.

mod compare;
mod impact;
mod openapi;
mod sent;
mod surface;
#[cfg(test)]
mod tests;

pub use compare::{Difference, DifferenceKind, compare};
pub use surface::{DocumentError, Operation, OperationName, Surface, SurfaceMember};
