//! The HTTP server: requests in, responses out, and everything that goes wrong on request.

pub(crate) mod active_faults;
pub(crate) mod control;
pub(crate) mod envelope;
pub(crate) mod exchange;
pub(crate) mod fault;
pub(crate) mod oversized_body;
pub(crate) mod rate_limit;
pub(crate) mod response_body;
pub(crate) mod state;
pub(crate) mod transfer;
