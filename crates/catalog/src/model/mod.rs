//! The nouns: plain values without input or output.

pub mod column;
pub mod day;
pub mod days;
pub mod history;
pub mod pagination;
pub mod relation;
pub mod request_line;
pub mod scope;
pub mod stream;
pub mod window;
