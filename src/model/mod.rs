//! The nouns: plain values that every layer speaks of. No input or output happens here.

pub mod block;
pub mod column;
pub mod content_hash;
pub mod cost;
pub mod coverage;
pub mod day;
pub mod day_states;
pub mod days;
pub mod disk_trouble;
pub mod event;
pub mod figures;
pub mod forgotten;
pub mod history;
pub mod moment;
pub mod outcome;
pub mod pagination;
pub mod periods;
pub mod proof;
pub mod relation;
pub mod request_line;
pub mod scope;
pub mod slice;
pub mod stream;
pub mod told;
pub mod window;
pub mod words;
