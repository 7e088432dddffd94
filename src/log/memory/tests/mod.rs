//! Tests of the log in memory.
//!
//! With `--cfg tenancy_loom`, loom instead runs the waiting readers in every interleaving:
//! `scripts/test loom`.

#[cfg(not(tenancy_loom))]
mod erasing;
#[cfg(tenancy_loom)]
mod interleavings;
#[cfg(not(tenancy_loom))]
mod model;
#[cfg(not(tenancy_loom))]
mod reading;
#[cfg(not(tenancy_loom))]
mod retention;
#[cfg(not(tenancy_loom))]
mod support;
