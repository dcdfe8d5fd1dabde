//! Every row was answered by Go 1.26 itself.

mod limits;
mod matching;
mod refusals;
mod unicode;
