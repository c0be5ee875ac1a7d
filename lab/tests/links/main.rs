//! Links without servers: what they delay, how they are cut and healed, how long they are.

mod carrying;
mod cuts;
mod distances;
mod target;
