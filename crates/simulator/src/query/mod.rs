//! What a request means: its parameters, the rows it selects, and which of them its page holds.

pub(crate) mod cursor;
pub(crate) mod endpoint;
pub(crate) mod error_response;
pub(crate) mod fan_out;
pub(crate) mod page;
pub(crate) mod parameters;
pub(crate) mod resolve;
pub(crate) mod selection;
pub(crate) mod template;
pub(crate) mod truth;
pub(crate) mod validation;
