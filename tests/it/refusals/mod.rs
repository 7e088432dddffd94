//! How refusals look to clients, caches and outer layers.

mod application;
mod browser;
mod cache;
mod gateway;
mod support;
