//! What the tests over several crates share: running recorded answers of a
//! real Flagr against this evaluator.

pub mod vectors;
