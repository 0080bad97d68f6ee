//! The HTTP API: requests in, answers out. Nothing outside this module names actix-web.
//!
//! `routes` has the table of endpoints, `error` decides every status of a failure.

mod anteroom;
mod base;
mod blobs;
mod body;
mod connection;
mod debug;
mod error;
mod file_body;
mod lists;
mod location;
mod manifests;
mod observed;
mod request;
mod response;
mod routes;
mod server;
#[cfg(test)]
mod tests;
mod uploads;

pub use anteroom::Anteroom;
pub use server::{Bound, Server, Shared};
