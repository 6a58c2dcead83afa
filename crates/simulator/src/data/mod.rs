//! The invented account: its settings, its objects, and the rows of every stream as functions of a seed.

pub(crate) mod account;
pub(crate) mod answers;
pub(crate) mod binding;
pub(crate) mod dataset;
pub(crate) mod day_rows;
pub(crate) mod dimension;
pub(crate) mod figure;
pub(crate) mod generated;
pub(crate) mod invented;
pub(crate) mod lists;
pub(crate) mod objects;
pub(crate) mod permutation;
pub(crate) mod products;
pub(crate) mod row_spec;
pub(crate) mod row_zone;
pub(crate) mod rows;
pub(crate) mod seeded;
pub(crate) mod stream_shape;
pub(crate) mod tally;
pub(crate) mod vocabulary;
