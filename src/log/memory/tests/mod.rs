//! What the log in memory promises.
//!
//! With `--cfg tenancy_loom`, loom runs the readers that wait through every interleaving instead:
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
