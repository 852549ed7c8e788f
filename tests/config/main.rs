//! The configuration as operators write it, with every way to get it wrong.

mod mistakes;
mod mutated;
mod world;
