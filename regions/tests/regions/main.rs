//! The crate's tests through its public functions, in one binary, so that it is linked once.

mod build_script;
mod check;
mod fixtures;
mod nearness;
mod world;
